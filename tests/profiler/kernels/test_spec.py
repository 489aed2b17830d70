"""Kernels as values: what a key says is what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError
from profiler.kernels.spec import KEY_LIMIT, KernelSpec, Operand

CONV = (
    "onnxruntime/com.microsoft.nchwc:Conv:1/1x16x8x8,w32x16x3x3,w32>1x32x8x8/"
    "activation='Relu',group=1,pads=[1;1;1;1]"
)
SHAPES = st.lists(st.integers(0, 2000), max_size=4).map(tuple)
SCALARS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, width=32),
    st.from_regex(r"[A-Za-z0-9_.]{1,12}", fullmatch=True),
)


@st.composite
def operands(draw: st.DrawFn) -> Operand:
    kind = draw(st.sampled_from(["float32", "int64", "uint8", "bool", "float16"]))
    if kind == "int64" and draw(st.booleans()):
        values = draw(st.lists(st.integers(-100, 10**6), min_size=1, max_size=5).map(tuple))
        return Operand((len(values),), kind, True, values)
    return Operand(draw(SHAPES), kind, draw(st.booleans()))


@given(
    st.lists(st.none() | operands(), max_size=4).map(tuple),
    st.lists(st.none() | operands(), min_size=1, max_size=2).map(tuple),
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        SCALARS | st.lists(SCALARS, max_size=3).map(tuple),
        max_size=3,
    ),
)
def test_a_kernel_is_read_back_from_its_key(
    inputs: tuple[Operand | None, ...],
    outputs: tuple[Operand | None, ...],
    attributes: dict[str, int | float | str],
) -> None:
    spec = KernelSpec("onnx", "Op", 13, inputs, outputs, tuple(sorted(attributes.items())))
    assert " " not in spec.key
    if len(spec.key) <= KEY_LIMIT:
        assert KernelSpec.parse(spec.key) == spec


def test_a_key_says_layout_weights_and_attributes() -> None:
    spec = KernelSpec.parse(CONV)
    assert spec.key == CONV
    assert (spec.kind, str(spec)) == ("com.microsoft.nchwc:Conv", CONV)
    assert spec.activations == (Operand((1, 16, 8, 8)),)
    assert [each.shape for each in spec.weights] == [(32, 16, 3, 3), (32,)]
    assert spec.attribute("pads", ()) == (1, 1, 1, 1)
    assert spec.attribute("strides", "none") == "none"


@pytest.mark.parametrize(
    "key",
    [
        *("", "conv/3x8x8/out=8,kernel=3", "torch/onnx:Relu:14/1x8>1x8/"),
        *("onnxruntime/onnx:Relu/1x8>1x8/", "onnxruntime/onnx:Relu:x/1x8>1x8/"),
        *("onnxruntime/onnx:Relu:14/1x8/", "onnxruntime/onnx:Relu:14/q8:1x8>1x8/"),
        *("onnxruntime/onnx:Relu:14/1x8>1x8/a", "onnxruntime/onnx:Relu:14/1x8>1x8/a=b"),
        *("onnxruntime/onnx:Relu:14/1x8>1x8/a=1,a=2", "onnxruntime/onnx:R:1/wi64:2=1>1/"),
        "onnxruntime/onnx:Relu:14/" + "1x8," * 200 + ">1x8/",
    ],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InputError):
        KernelSpec.parse(key)


def test_flops_are_those_of_the_product() -> None:
    assert KernelSpec.parse(CONV).flops == 2 * 32 * 8 * 8 * 16 * 3 * 3
    gemm = "onnxruntime/onnx:Gemm:13/1x64,w10x64,w10>1x10/transB=1"
    assert KernelSpec.parse(gemm).flops == 2 * 64 * 10
    turned = "onnxruntime/onnx:Gemm:13/64x3,w64x10>3x10/transA=1"
    assert KernelSpec.parse(turned).flops == 2 * 64 * 30
    assert KernelSpec.parse("onnxruntime/onnx:Relu:14/1x8>1x8/").flops == 0


def test_copies_are_as_many_as_there_is_room_for_weights() -> None:
    assert KernelSpec.parse("onnxruntime/onnx:Relu:14/1x8>1x8/").copies == 8
    assert KernelSpec.parse(CONV).copies == 8
    large = KernelSpec.parse("onnxruntime/onnx:Gemm:13/1x1024,w1000x1024>1x1000/transB=1")
    assert large.copies == 2
    assert KernelSpec.parse("onnxruntime/onnx:MatMul:13/1x4096,w4096x4096>1x4096/").copies == 1
