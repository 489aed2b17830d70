"""Kernels are measured, stored and exported like all else."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_examples import residual, saved

from devices.artifact import ArtifactFolder
from devices.errors import InputError
from devices.host import HostDevice
from devices.target import Target
from profiler.jobs import make_artifact
from profiler.kernels.files import CALL, is_shared
from profiler.kernels.graph import take_apart
from profiler.kernels.jobs import file_job, kernel_jobs
from profiler.kernels.network_file import NetworkFile, read_network_file
from profiler.kernels.spec import KernelSpec
from profiler.protocol import Protocol
from profiler.run import profile
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable

TARGET = Target.make("cpu", "onnxruntime", {})
RELU = KernelSpec.parse("onnxruntime/onnx:Relu:14/1x8x4x4>1x8x4x4/")
QUICK = Protocol(min_rounds=8, max_rounds=8, min_seconds=0, max_seconds=0)


def test_each_kernel_has_one_job_and_what_all_need_comes_with_them() -> None:
    jobs = kernel_jobs([RELU, RELU])
    assert {job.role for job in jobs} == {"kernel"}
    keys = [job.key for job in jobs]
    assert keys.count(RELU.key) == keys.count(CALL) == 1
    assert all(is_shared(key) for key in keys if key != RELU.key)
    assert len(keys) > 6


def test_a_network_with_several_inputs_cannot_be_measured(tmp_path: Path) -> None:
    network = NetworkFile(tmp_path / "two.onnx", b"", {"a": (1, 2), "b": (1, 2)}, "0" * 64)
    with pytest.raises(InputError, match=r"two\.onnx takes 2 inputs"):
        file_job(network, [])


def test_a_job_of_a_file_fits_one_format(tmp_path: Path) -> None:
    job = kernel_jobs([RELU])[-1]
    artifact = make_artifact(job, "onnx", 1, ArtifactFolder(tmp_path))
    assert (artifact.key, artifact.input_shape) == (RELU.key, (1, 8, 4, 4))
    with pytest.raises(InputError, match="the target loads model files of format tflite"):
        make_artifact(job, "tflite", 1, ArtifactFolder(tmp_path))
    with pytest.raises(InputError, match=r"format tflite.*the runtime litert"):
        make_artifact(kernel_jobs([], "litert")[0], "onnx", 1, ArtifactFolder(tmp_path))


def test_kernels_and_their_network_are_measured_and_not_again(tmp_path: Path) -> None:
    network = read_network_file(saved(tmp_path / "net.onnx", residual()))
    with MeasurementStore(f"sqlite:///{tmp_path / 'lut.db'}") as store, HostDevice() as device:
        specs = [k.spec for k in take_apart(network, device, TARGET) if k.spec is not None]
        jobs = [file_job(network, specs), *kernel_jobs(specs)]
        result = profile(jobs, device, TARGET, store, QUICK)
        assert not result.failed
        again = profile(jobs, device, TARGET, store, QUICK)
        assert (len(again.measured), again.stored_before) == (0, len(jobs))
        table = LatencyTable.load(store, TARGET)
    assert set(table.kernels) == set(specs)
    assert all(latency_ms > 0 for latency_ms in table.kernels.values())
    assert table.made_of_kernels == {network.key: tuple(specs)}
    assert list(table.crowded) == sorted(table.crowded)
    assert len(table.crowded) > 5
    assert len(table) == 0
