"""TFLite files of kernels: the runtime runs the very operator, as often as it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_edge_litert.interpreter import Interpreter
from tflite_examples import small

from devices.artifact import Artifact
from devices.errors import InputError
from devices.host import HostDevice
from devices.target import Target
from profiler.kernels.jobs import file_job, kernel_jobs
from profiler.kernels.spec import KernelSpec
from profiler.kernels.tflite_file import read_tflite_file
from profiler.kernels.tflite_kernels import tflite_kernels
from profiler.kernels.tflite_writer import (
    CROWDED_SHAPE,
    PRODUCT_SHAPE,
    crowded_product_tflite_bytes,
    crowded_tflite_bytes,
    kernel_tflite_bytes,
)
from profiler.kernels.writer import CONVOLUTION_BYTES, PRODUCT_BYTES, input_shape
from profiler.protocol import Protocol
from profiler.run import profile
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable

TARGET = Target.make("cpu", "litert", {})
POOL = "filterHeight=2,filterWidth=2,options='Pool2DOptions',padding=1,strideH=2,strideW=2"
KEYS = [
    "litert/tflite:RELU:1/1x4x4x8>1x4x4x8/",
    "litert/tflite:ADD:1/1x4x4x8*2>1x4x4x8/options='AddOptions'",
    "litert/tflite:MUL:1/1x4x4x8,1x1x1x8>1x4x4x8/options='MulOptions'",
    "litert/tflite:CONCATENATION:1/1x4x4x8,1x4x4x4>1x4x4x12/axis=3,options='ConcatenationOptions'",
    f"litert/tflite:MAX_POOL_2D:1/1x4x4x8>1x2x2x8/{POOL}",
    "litert/tflite:RESHAPE:1/1x4x4x8,wi32:2=8;16>8x16/options='ReshapeOptions'",
    "litert/tflite:MEAN:1/1x4x4x8,wi32:2=1;2>1x8/options='ReducerOptions'",
    "litert/tflite:SPLIT:1/wi32:scalar=3,1x4x4x8>1x4x4x4*2/numSplits=2,options='SplitOptions'",
    "litert/tflite:GATHER:1/10x3,i32:5>5x3/options='GatherOptions'",
    "litert/tflite:CAST:1/i32:5>5/inDataType=2,options='CastOptions'",
]


def loaded_ops(contents: bytes) -> list[str]:
    """Operators of a file as the runtime lists them."""
    interpreter = Interpreter(model_content=contents, num_threads=1)
    return [each["op_name"] for each in interpreter._get_ops_details()]


@pytest.mark.parametrize("key", KEYS)
def test_a_kernel_runs_as_often_as_it_says(key: str, tmp_path: Path) -> None:
    spec = KernelSpec.parse(key)
    contents = kernel_tflite_bytes(spec)
    assert contents == kernel_tflite_bytes(spec)
    assert loaded_ops(contents).count(spec.op_type) == spec.copies == 8
    assert [kernel.spec for kernel in tflite_kernels(contents, "kernel")] == [spec] * 8
    path = tmp_path / "kernel.tflite"
    path.write_bytes(contents)
    model = HostDevice().load(Artifact(path, key, "tflite", input_shape(spec), "0" * 64), TARGET)
    assert len(model.time_ms(warmup=1, runs=3)) == 3
    model.close()


def test_every_kernel_of_a_network_stays_what_it_is() -> None:
    for kernel in tflite_kernels(small(), "net"):
        assert kernel.spec is not None
        found = tflite_kernels(kernel_tflite_bytes(kernel.spec), "kernel")
        assert [each.spec for each in found] == [kernel.spec] * kernel.spec.copies


def test_large_outputs_are_kept_less_often() -> None:
    spec = KernelSpec.parse("litert/tflite:RELU:1/1x512x512x8>1x512x512x8/")
    assert spec.copies == 1


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("litert/tflite:BOGUS:1/1x4>1x4/", "no operator BOGUS"),
        ("litert/tflite:ADD:1/1x4*2>1x4/options='Bogus'", "no options Bogus"),
        ("litert/tflite:ADD:1/1x4*2>1x4/bogus=1,options='AddOptions'", "have no bogus"),
        ("litert/tflite:CONV_2D:1/1x4>1x4/pads=[1]", "pads of 1 numbers"),
    ],
)
def test_what_tflite_does_not_have_is_refused(key: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        kernel_tflite_bytes(KernelSpec.parse(key))


def test_files_of_weights_hold_what_they_say() -> None:
    assert loaded_ops(kernel_tflite_bytes(None)) == ["RELU"]
    for contents, size, shape in (
        (crowded_tflite_bytes(3), 3 * CONVOLUTION_BYTES, CROWDED_SHAPE),
        (crowded_product_tflite_bytes(3), 3 * PRODUCT_BYTES, PRODUCT_SHAPE),
    ):
        assert size < len(contents) < 1.1 * size
        interpreter = Interpreter(model_content=contents, num_threads=1)
        assert tuple(interpreter.get_input_details()[0]["shape"]) == shape


def test_kernels_and_their_network_are_measured_and_not_again(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(small())
    network = read_tflite_file(path)
    specs = [k.spec for k in tflite_kernels(network.contents, "net") if k.spec is not None]
    jobs = [file_job(network, specs), *kernel_jobs(specs, "litert")]
    quick = Protocol(min_rounds=8, max_rounds=8, min_seconds=0, max_seconds=0)
    with MeasurementStore(f"sqlite:///{tmp_path / 'lut.db'}") as store, HostDevice() as device:
        assert not profile(jobs, device, TARGET, store, quick).failed
        again = profile(jobs, device, TARGET, store, quick)
        assert (len(again.measured), again.stored_before) == (0, len(jobs))
        table = LatencyTable.load(store, TARGET)
    assert set(table.kernels) == set(specs)
    assert table.made_of_kernels == {network.key: tuple(specs)}
    assert len(table.crowded) > 5
