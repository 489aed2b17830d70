"""Networks in files: taken apart where that can be done, refused in one line where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper
from onnx_examples import model_of, residual, saved

from devices.errors import InputError, MissingTableError
from devices.host import HostDevice
from devices.target import Target
from lutier.network_files import graph_device, measuring, model_jobs, open_network, table_of_kernels
from profiler.storage.database import MeasurementStore

TARGET = Target.parse("cpu/onnxruntime?threads=1")


def test_each_file_is_a_network_made_of_kernels_that_are_measured_once(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{name}.onnx", residual()) for name in "ab"]
    jobs = model_jobs(paths, HostDevice(), TARGET)
    networks = [job for job in jobs if job.role == "network"]
    keys = [job.key for job in jobs if job.role == "kernel"]
    assert len(networks) == 2
    assert len(set(keys)) == len(keys)
    assert all(set(network.ops) <= set(keys) for network in networks)
    assert model_jobs([], HostDevice(), Target.parse("cpu/torch")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cpu/torch", "only ONNX Runtime and LiteRT on this machine's CPU"),
        ("ssh:somewhere/onnxruntime", "only ONNX Runtime and LiteRT on this machine's CPU"),
        ("cpu/onnxruntime?precision=int8", "they are measured as they are"),
        ("cpu/litert?precision=int8", "a float32 file, and a target without a precision"),
    ],
)
def test_targets_that_show_no_graph_are_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        graph_device(HostDevice(), Target.parse(text))


def test_a_batch_that_is_not_the_targets_is_refused(tmp_path: Path) -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["out"])], shape=(4, 8))
    path = saved(tmp_path / "net.onnx", model)
    with pytest.raises(InputError, match=r"takes batches of 4.*a target with batch=4"):
        open_network(path, HostDevice(), TARGET)
    open_network(path, HostDevice(), Target.parse("cpu/onnxruntime?batch=4"))


def test_a_file_of_another_format_is_refused_by_its_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.tflite", residual())
    with pytest.raises(InputError, match=r"net\.tflite is no \.onnx file.*cpu/litert\?threads=1"):
        open_network(path, HostDevice(), TARGET)
    other = saved(tmp_path / "net.onnx", residual())
    with pytest.raises(InputError, match=r"net\.onnx is no \.tflite file.*cpu/onnxruntime"):
        open_network(other, HostDevice(), Target.parse("cpu/litert?threads=1"))


def test_a_target_without_a_table_says_what_measures_these_files(tmp_path: Path) -> None:
    with (
        MeasurementStore(f"sqlite:///{tmp_path / 'lut.db'}") as store,
        pytest.raises(MissingTableError) as caught,
    ):
        table_of_kernels(store, TARGET, [Path("my net.onnx")])
    assert caught.value.hint.endswith("--threads 1 --model 'my net.onnx'")
    assert caught.value.hint == measuring(TARGET, [Path("my net.onnx")])
