"""Loading a model that somebody tampered with, checksums and all, runs nothing of theirs."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import skops.io
from forged_models import forge, plant_bytes, regressor_bytes
from scipy import sparse
from skops.io._protocol import PROTOCOL

from devices.errors import InputError
from latency_models.fit import FittedModel, fit_latency_model
from latency_models.persist import load_model, save_model
from profiler.ops import OpSpec

if TYPE_CHECKING:
    from conftest import SimulatedDevice

Node = dict[str, Any]


class Touch:
    """What makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.marker,)


@pytest.fixture(scope="module")
def fitted(
    device: SimulatedDevice, networks: list[tuple[OpSpec, ...]], network_ops: list[OpSpec]
) -> FittedModel:
    return fit_latency_model(device.table(network_ops), device.samples(networks), seed=0)


@pytest.fixture
def folder(tmp_path: Path, fitted: FittedModel) -> Path:
    save_model(tmp_path / "model", fitted.model, fitted.metadata)
    return tmp_path / "model"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that exists where something was run."""
    return tmp_path / "marker"


def node(loader: str, name: str, **rest: object) -> Node:
    """A node of a skops file; ``name`` is of the object it makes."""
    module, _, own = name.rpartition(".")
    return {"__class__": own, "__module__": module, "__loader__": loader, **rest}


def text(value: object) -> Node:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def many(*items: Node, kind: str = "tuple") -> Node:
    return node(f"{kind.title()}Node", f"builtins.{kind}", content=list(items))


def empty() -> Node:
    return node("DictNode", "builtins.dict", key_types=many(kind="list"), content={})


def a_call_by_items(marker: Path) -> Node:
    """``subprocess.run([...])`` in the place of ``list([...])``."""
    return node("ListNode", "subprocess.run", content=[text("touch"), text(str(marker))])


def a_call_by_constructor(marker: Path) -> Node:
    arguments = many(many(text("touch"), text(str(marker)), kind="list"))
    return node("ConstructorFromReduceNode", "subprocess.run", content=arguments)


def a_call_by_reduce(marker: Path) -> Node:
    arguments = many(text(f"touch '{marker}'"))
    reduce = {"__reduce__": {"args": arguments}}
    return node("LossNode", "os.system", content=empty(), **reduce)


def a_call_by_type_of_key(marker: Path) -> Node:
    key_types = many(node("FunctionNode", "os.system"), kind="list")
    content = {f"touch '{marker}'": text(0)}
    return node("DictNode", "builtins.dict", key_types=key_types, content=content)


CALLS = [a_call_by_items, a_call_by_constructor, a_call_by_reduce, a_call_by_type_of_key]


def with_node(data: bytes, hostile: Node, place: str, protocol: int = PROTOCOL) -> bytes:
    """A regressor's file with another node as the object, or deep within the object."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        schema = json.loads(old.read("schema.json"))
        if place == "root":
            schema = {**hostile, "_skops_version": schema["_skops_version"]}
        else:
            attributes = schema["content"]["content"]
            attributes[next(iter(attributes))] = hostile
        new.writestr("schema.json", json.dumps({**schema, "protocol": protocol}))
        for name in old.namelist():
            if name != "schema.json":
                new.writestr(name, old.read(name))
    return result.getvalue()


@pytest.mark.parametrize("place", ["root", "attribute"])
@pytest.mark.parametrize("call", CALLS)
def test_a_hostile_file_would_run_something_if_its_types_were_trusted(
    folder: Path, marker: Path, call: Callable[[Path], Node], place: str
) -> None:
    data = with_node(regressor_bytes(folder), call(marker), place)
    trusted = skops.io.get_untrusted_types(data=data)
    # What was run does not have to return what fits.
    with contextlib.suppress(TypeError, ValueError, AttributeError):
        skops.io.loads(data, trusted=trusted)
    assert marker.exists()


@pytest.mark.parametrize("protocol", range(PROTOCOL + 1))
@pytest.mark.parametrize("place", ["root", "attribute"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_in_a_regressor_is_not_made(
    folder: Path, marker: Path, call: Callable[[Path], Node], place: str, protocol: int
) -> None:
    plant_bytes(folder, with_node(regressor_bytes(folder), call(marker), place, protocol))
    with pytest.raises(InputError, match="cannot be read as a latency model"):
        load_model(folder)
    assert not marker.exists()


@pytest.mark.parametrize("place", ["root", "attribute"])
@pytest.mark.parametrize(
    "loader", ["ObjectNode", "TypeNode", "FunctionNode", "ListNode", "ConstructorFromReduceNode"]
)
def test_a_module_that_a_regressor_names_is_not_imported(
    folder: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, loader: str, place: str
) -> None:
    (marker.parent / "planted_module.py").write_text(f"open({str(marker)!r}, 'w').close()")
    monkeypatch.syspath_prepend(marker.parent)
    content: object = [] if loader == "ListNode" else many()
    hostile = node(loader, "planted_module.Thing", content=content)
    plant_bytes(folder, with_node(regressor_bytes(folder), hostile, place))
    with pytest.raises(InputError, match="types that no regressor has"):
        load_model(folder)
    assert not marker.exists()


@pytest.mark.parametrize("loader", ["NdArrayNode", "SparseMatrixNode"])
def test_a_pickle_within_an_array_is_not_loaded(folder: Path, marker: Path, loader: str) -> None:
    array = io.BytesIO()
    if loader == "NdArrayNode":
        np.save(array, np.array([Touch(marker)], dtype=object), allow_pickle=True)
        hostile = node(loader, "numpy.ndarray", type="numpy", file="hostile")
    else:
        np.savez(array, format=np.array([Touch(marker)], dtype=object))
        name = f"{sparse.csr_matrix.__module__}.csr_matrix"
        hostile = node(loader, name, type="scipy", file="hostile")
    array.seek(0)
    loaded = np.load(array, allow_pickle=True)
    _ = loaded if isinstance(loaded, np.ndarray) else loaded["format"]
    assert marker.exists()
    marker.unlink()

    data = io.BytesIO(with_node(regressor_bytes(folder), hostile, "attribute"))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("hostile", array.getvalue())
    plant_bytes(folder, data.getvalue())
    with pytest.raises(InputError, match="cannot be read as a latency model"):
        load_model(folder)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_in_the_place_of_a_regressor_is_not_loaded(
    folder: Path, marker: Path, protocol: int
) -> None:
    plant_bytes(folder, pickle.dumps(Touch(marker), protocol=protocol))
    with pytest.raises(InputError, match="BadZipFile"):
        load_model(folder)
    assert not marker.exists()


def test_a_pickle_in_the_place_of_the_model_is_not_loaded(folder: Path, marker: Path) -> None:
    (folder / "model.json").write_bytes(pickle.dumps(Touch(marker)))
    with pytest.raises(InputError, match="not JSON"):
        load_model(folder)
    assert not marker.exists()


def test_code_in_the_place_of_a_text_is_not_run(folder: Path, marker: Path) -> None:
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    forge(folder, lambda body: body["metadata"].update(target=code, space=code))
    _, metadata = load_model(folder)
    assert metadata.target == code
    forge(folder, lambda body: body["ops_ms"].update({code: 1.0}))
    with pytest.raises(InputError):
        load_model(folder)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../../marker", "/marker", "..\\..\\marker", "schema.json/../x"])
def test_names_within_a_regressor_lead_nowhere(folder: Path, marker: Path, name: str) -> None:
    hostile = node("NdArrayNode", "numpy.ndarray", type="numpy", file="../../outside.npy")
    np.save(marker.parent / "outside.npy", np.zeros(3))
    data = io.BytesIO(with_node(regressor_bytes(folder), hostile, "attribute"))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr(name, b"written")
    plant_bytes(folder, data.getvalue())
    before = sorted(marker.parent.rglob("*"))
    with pytest.raises(InputError, match="KeyError"):
        load_model(folder)
    assert sorted(marker.parent.rglob("*")) == before


def test_a_file_that_unpacks_to_more_than_it_is_is_not_unpacked(folder: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * (8 << 20))
    plant_bytes(folder, data.getvalue())
    with pytest.raises(InputError, match="unpacks to more"):
        load_model(folder)


def test_an_array_larger_than_any_memory_is_refused(folder: Path) -> None:
    array = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 58,)}
    np.lib.format.write_array_header_1_0(array, header)
    hostile = node("NdArrayNode", "numpy.ndarray", type="numpy", file="hostile")
    data = io.BytesIO(with_node(regressor_bytes(folder), hostile, "attribute"))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("hostile", array.getvalue())
    plant_bytes(folder, data.getvalue())
    with pytest.raises(InputError, match="cannot be read as a latency model"):
        load_model(folder)


def test_nodes_too_deep_to_follow_are_refused(folder: Path) -> None:
    hostile = text(0)
    for _ in range(300):
        hostile = many(hostile)
    plant_bytes(folder, with_node(regressor_bytes(folder), hostile, "root"))
    with pytest.raises(InputError, match="cannot be read as a latency model"):
        load_model(folder)


@pytest.mark.parametrize("method", [12, 14, 93, 99])
def test_an_archive_of_another_method_or_of_nonsense_is_refused(folder: Path, method: int) -> None:
    data = bytearray(regressor_bytes(folder))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = data.find(signature)
        while start >= 0:
            data[start + offset : start + offset + 2] = method.to_bytes(2, "little")
            start = data.find(signature, start + 4)
    plant_bytes(folder, bytes(data))
    with pytest.raises(InputError, match="cannot be read as a latency model"):
        load_model(folder)
