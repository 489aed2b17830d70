"""YAML that is meant to execute or to explode is refused before anything is built."""

from __future__ import annotations

import pytest

from devices.errors import InputError
from profiler.exchange.plain_yaml import SIZE_LIMIT, read_yaml
from profiler.exchange.source import Source

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)


def yaml(text: str) -> object:
    return read_yaml(Source.of("table.yaml", text.encode()))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "anchor or alias"),
        ("a: &x 1", "anchor or alias"),
        ("a: !!python/object/apply:os.system ['true']", "holds a tag"),
        ("!!python/name:os.system", "holds a tag"),
        ("a: !!float 1", "holds a tag"),
        ("[" * 5000, "nested too deeply"),
        ("a: [1", "not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("\x01", "not YAML"),
        ("x" * (SIZE_LIMIT + 1), "too large"),
    ],
)
def test_what_is_dangerous_or_broken_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        yaml(text)


def test_nothing_is_converted_or_lost() -> None:
    assert yaml("a: 1:30\na: .nan\nb: [yes, ~]") == [
        ("a", "1:30"),
        ("a", ".nan"),
        ("b", ["yes", "~"]),
    ]
