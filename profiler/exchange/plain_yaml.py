"""YAML without its dangers: nested mappings and lists of text, nothing else."""

from __future__ import annotations

from typing import Any

from devices.errors import InputError
from profiler.exchange.source import Source

SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes above which a YAML file is not read: its parser is slow."""
DEPTH_LIMIT = 12

Pairs = list[tuple[Any, Any]]


def read_yaml(source: Source) -> Any:
    """The document of a YAML file: text, lists, and mappings as lists of pairs.

    Nothing is constructed: every scalar stays text, so that ``1:30`` does not become 90, and a key
    that stands there twice is seen twice. Anchors, aliases and tags are refused: a few lines of
    them can stand for gigabytes, or for code.

    Raises:
        InputError: too large, not YAML, more than one document, nested too deeply, or with an
            anchor, alias or tag.
    """
    import yaml

    if len(source.data) > SIZE_LIMIT:
        raise InputError(
            f"{source.name} is too large", f"a YAML table has at most {SIZE_LIMIT >> 20} MiB"
        )
    # SafeLoader's parser; libyaml's is the same and faster, where PyYAML was built with it.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = source.text()
    try:
        _inspect(source.name, text, loader)
        node = yaml.compose(text, Loader=loader)
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{source.name} is not YAML", reason) from error
    return None if node is None else _plain(node)


def _inspect(name: str, text: str, loader: Any) -> None:
    """Refuse what explodes before anything is built of it; events are made one at a time."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=loader):
        mark: Any = event.start_mark
        at = f"line {mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(f"{name} holds an anchor or alias", f"{at}; a table needs none")
        if getattr(event, "tag", None):
            raise InputError(f"{name} holds a tag", f"{at}; a table needs none")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise InputError(f"{name} is not a table", f"{at} is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(node: Any) -> Any:
    import yaml

    if isinstance(node, yaml.MappingNode):
        return Mapping([(_plain(key), _plain(value)) for key, value in node.value])
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return str(node.value)


class Mapping(Pairs):
    """A YAML mapping, its pairs in order and none of them lost."""

    def get(self, wanted: str) -> Any:
        """The value of the first pair of that name; ``None`` where there is none."""
        return next((value for name, value in self if name == wanted), None)

    @property
    def says_twice(self) -> str:
        """The first name that stands there twice; empty where none does."""
        seen: set[str] = set()
        for name in (name for name, _ in self if isinstance(name, str)):
            if name in seen:
                return name[:80]
            seen.add(name)
        return ""
