from __future__ import annotations

import json
from pathlib import Path

import pytest

from devices.errors import InputError, UnknownNameError
from lutier.architecture_files import find_architecture, read_architecture, write_architecture
from search.spaces.mobile import mobile_tiny
from search.spaces.published import PUBLISHED

TINY = mobile_tiny().architecture([0] * 9)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_written_is_read_back(name: str, tmp_path: Path) -> None:
    architecture = PUBLISHED[name].architecture(96, 10)
    write_architecture(tmp_path / "network.json", architecture)
    assert read_architecture(tmp_path / "network.json") == architecture


def test_a_network_is_found_by_name_by_id_and_by_file(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    write_architecture(path, TINY)
    assert find_architecture(str(path)) == find_architecture(TINY.id) == TINY
    assert find_architecture("mobilenet-v2") == PUBLISHED["mobilenet-v2"].architecture()
    with pytest.raises(UnknownNameError, match="mobilenet-v2"):
        find_architecture("mobilenetv2")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"architecture": TINY.id, "space": "mobile"}, "contradicts itself"),
        ({"architecture": "mobile-tiny:00", "space": "mobile-tiny"}, "9 blocks"),
        ({"architecture": "mobil-tiny:00", "space": "mobil-tiny"}, "mobile-tiny"),
        ({"architecture": "proxyless-mobile", "space": "mobile"}, "not an architecture"),
        ({"architecture": 1, "space": "mobile"}, "two fields are text"),
        ({"architecture": TINY.id}, "is not a result"),
        ([], "is not a result"),
        ("text", "is not a result"),
    ],
)
def test_what_is_no_network_is_refused(document: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=says):
        read_architecture(path)


@pytest.mark.parametrize("contents", [b"", b"{", b"\x80\x04", b"[" * 100_000, b" " * (2 << 20)])
def test_what_is_no_json_is_refused(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_bytes(contents)
    with pytest.raises(InputError, match="is not a result"):
        read_architecture(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*gone\.json"):
        read_architecture(tmp_path / "gone.json")
    with pytest.raises(InputError, match=r"no file .*result\.json"):
        read_architecture(tmp_path)
