"""What the latencies of files say of the kernels in them."""

from __future__ import annotations

import pytest

from profiler.kernels.files import (
    CALL,
    call_key,
    crowded_key,
    crowded_latencies_ms,
    is_made_of_kernels,
    is_shared,
    kernel_latencies_ms,
    product_key,
)
from profiler.kernels.spec import KernelSpec

RELU = KernelSpec.parse("onnxruntime/onnx:Relu:14/1x8x4x4>1x8x4x4/")


def test_a_kernel_takes_its_share_of_a_file_without_the_call() -> None:
    found = kernel_latencies_ms({CALL: 0.002, RELU.key: 0.018, "onnxruntime/other": 1.0})
    assert found == {RELU: pytest.approx(0.002)}


def test_a_kernel_costs_something_whatever_the_call_is_said_to_cost() -> None:
    assert kernel_latencies_ms({CALL: 0.02, RELU.key: 0.016})[RELU] == pytest.approx(0.0002)
    assert kernel_latencies_ms({RELU.key: 0.016})[RELU] == pytest.approx(0.002)


def test_files_of_convolutions_are_told_by_their_bytes() -> None:
    files = {CALL: 0.5, crowded_key(300): 3.5, crowded_key(100): 1.5, RELU.key: 1.0}
    assert crowded_latencies_ms(files) == {100: 1.0, 300: 3.0}
    assert list(crowded_latencies_ms(files)) == [100, 300]
    files[product_key(200)] = 2.5
    assert crowded_latencies_ms(files, products=True) == {200: 2.0}


@pytest.mark.parametrize(
    "key", ["onnxruntime/weights=", "onnxruntime/weights=-1", "torch/weights=7", "call", RELU.key]
)
def test_other_keys_are_not_shared(key: str) -> None:
    assert not is_shared(key)
    assert is_shared(CALL)
    assert is_shared(crowded_key(7))
    assert is_shared(product_key(7))
    assert is_shared(call_key("litert"))
    assert is_shared(crowded_key(7, "litert"))


def test_each_runtime_has_files_of_its_own() -> None:
    relu = KernelSpec.parse("litert/tflite:RELU:1/1x4x4x8>1x4x4x8/")
    files = {call_key("litert"): 0.002, relu.key: 0.018, crowded_key(100, "litert"): 1.002}
    assert kernel_latencies_ms(files) == {relu: pytest.approx(0.002)}
    assert crowded_latencies_ms(files) == {100: pytest.approx(1.0)}
    assert is_made_of_kernels(f"{relu.key} {RELU.key}")
    assert not is_made_of_kernels("linear/64/out=10")
