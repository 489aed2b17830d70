"""The artifact folder: named by contents, so that the same model is one file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.artifact import Artifact, ArtifactFolder
from devices.errors import UnknownNameError


def add(
    folder: ArtifactFolder, contents: bytes, key: str = "op", file_format: str = "onnx"
) -> Artifact:
    return folder.add(contents, key=key, file_format=file_format, input_shape=(1, 3, 8, 8))


def test_the_folder_is_made_with_the_first_file(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path / "models")
    assert not folder.folder.exists()
    assert add(folder, b"model").path.read_bytes() == b"model"


def test_an_artifact_says_what_it_is(tmp_path: Path) -> None:
    artifact = add(ArtifactFolder(tmp_path), b"model", key="conv", file_format="torch-export")
    digest = hashlib.sha256(b"model").hexdigest()
    path = tmp_path / f"{digest}.pt2"
    assert artifact == Artifact(path, "conv", "torch-export", (1, 3, 8, 8), digest)


@given(st.lists(st.binary(max_size=4), max_size=8))
def test_there_are_as_many_files_as_contents(
    tmp_path_factory: pytest.TempPathFactory, many: list[bytes]
) -> None:
    folder = ArtifactFolder(tmp_path_factory.mktemp("models"))
    artifacts = [add(folder, contents, key=f"op {i}") for i, contents in enumerate(many)]
    assert [artifact.path.read_bytes() for artifact in artifacts] == many
    assert len(list(folder.folder.iterdir())) == len(set(many))


def test_a_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path)
    before = add(folder, b"model").path.stat()
    after = add(folder, b"model", key="another op that computes the same").path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_unknown_format_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="onnx"):
        add(ArtifactFolder(tmp_path), b"model", file_format="onx")
    assert list(tmp_path.iterdir()) == []
