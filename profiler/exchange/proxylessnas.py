"""The keys of ProxylessNAS's latency table.

Source: ``LatencyEstimator`` of github.com/mit-han-lab/proxylessnas (``search/utils``) and
``ProxylessNASLatencyTable`` of github.com/mit-han-lab/once-for-all
(``ofa/nas/efficiency_predictor/latency_lookup_table.py``), which read ``mobile_trim.yaml``:

- ``Conv-input:224x224x3-output:112x112x32``: the first 3x3 convolution, of stride 2;
- ``expanded_conv-input:HxWxC-output:HxWxC-expand:E-kernel:K-stride:S-idskip:I``: MBConv;
- ``Conv_1-input:7x7x320-output:7x7x1280``: the last 1x1 convolution;
- ``AvgPool2D-input:7x7x1280-output:1x1x1280``: the global pool;
- ``Logits-input:7x7x1280-output:1000``: all after ``Conv_1``, the pool and the linear layer in one
  figure. With an input of 1x1 it is the linear layer alone.

Shapes are height x width x channels. Activations are not said: they are ReLU6, as in the paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from devices.errors import InputError
from profiler.ops import OpSpec

_SHAPE = r"([1-9][0-9]{0,6})x([1-9][0-9]{0,6})x([1-9][0-9]{0,6})"
_LAYER = re.compile(rf"(Conv|Conv_1|AvgPool2D)-input:{_SHAPE}-output:{_SHAPE}")
_LOGITS = re.compile(rf"Logits-input:{_SHAPE}-output:([1-9][0-9]{{0,6}})")
_MBCONV = re.compile(
    rf"expanded_conv-input:{_SHAPE}-output:{_SHAPE}"
    r"-expand:([0-9]{1,4})-kernel:([0-9]{1,3})-stride:([0-9]{1,3})-idskip:([01])"
)
_BOTH = "holds the pool and the linear layer in one figure, which cannot be told apart"


def spec_of(name: str) -> OpSpec:
    """The op that a key names.

    Raises:
        InputError: not a key of this format, or of no op of ours; the message is the reason.
    """
    if match := _MBCONV.fullmatch(name):
        height, width, channels, *rest = map(int, match.groups())
        out, expand, kernel, stride, skip = rest[2:]
        spec = OpSpec.make(
            "mbconv",
            (channels, height, width),
            out=out,
            kernel=kernel,
            stride=stride,
            expand=expand,
        )
        check_block(spec, (out, rest[0], rest[1]), bool(skip))
        return spec
    if match := _LAYER.fullmatch(name):
        height, width, channels, *output = map(int, match.groups()[1:])
        shape = (channels, height, width)
        kind = match.group(1)
        if kind == "AvgPool2D":
            if output != [1, 1, channels]:
                raise InputError("not a global pool")
            return OpSpec.make("global_avg_pool", shape)
        kernel, stride = (3, 2) if kind == "Conv" else (1, 1)
        spec = OpSpec.make("conv", shape, out=output[2], kernel=kernel, stride=stride)
        check_output(spec, (output[2], output[0], output[1]))
        return spec
    if match := _LOGITS.fullmatch(name):
        height, width, channels, classes = map(int, match.groups())
        if (height, width) != (1, 1):
            raise InputError(_BOTH)
        return OpSpec.make("linear", (channels,), out=classes)
    if "-se:" in name:
        raise InputError("a key of once-for-all: --format once-for-all")
    raise InputError("not a key of this format")


def check_output(spec: OpSpec, said: tuple[int, ...]) -> None:
    """Raise :class:`InputError` where an op gives another shape than a key says, CxHxW."""
    if spec.output_shape != said:
        gives, says = ("x".join(map(str, shape)) for shape in (spec.output_shape, said))
        raise InputError(f"{spec.key} gives {gives}, the key says {says}")


def check_block(spec: OpSpec, said: tuple[int, ...], skip: bool) -> None:
    """As :func:`check_output`, and that the input is added where ours adds it."""
    check_output(spec, said)
    adds = spec.integer("stride") == 1 and spec.output_shape == spec.input_shape
    if adds != skip:
        word = "without" if adds else "with"
        raise InputError(f"a block {word} a residual connection, unlike {spec.key}")


def name_of(spec: OpSpec) -> str:
    """The key of an op.

    Raises:
        InputError: the format has none; the message is the reason.
    """
    if spec.kind == "mbconv":
        expand = spec.integer("expand")
        name = (
            f"expanded_conv-{shapes(spec)}-expand:{expand}-kernel:{spec['kernel']}"
            f"-stride:{spec['stride']}-idskip:{int(spec.output_shape == spec.input_shape)}"
        )
    elif spec.kind == "conv":
        first = (spec["kernel"], spec["stride"]) == (3, 2)
        name = f"{'Conv' if first else 'Conv_1'}-{shapes(spec)}"
    elif spec.kind == "global_avg_pool":
        channels, height, width = spec.input_shape
        name = f"AvgPool2D-input:{height}x{width}x{channels}-output:1x1x{channels}"
    elif spec.kind == "linear":
        name = f"Logits-input:1x1x{spec.input_shape[0]}-output:{spec.output_shape[0]}"
    else:
        raise InputError(f"the format has no {spec.kind}")
    return told_apart(name, spec, spec_of)


def told_apart(name: str, spec: OpSpec, meaning: Callable[[str], OpSpec]) -> str:
    """The key that was written for an op, where it is read as that op and no other.

    An attribute that a key does not say must so have the value it stands for.

    Raises:
        InputError: it is read as another; the message is the reason.
    """
    try:
        meant = meaning(name)
    except InputError as error:
        raise InputError("the format has no such op", error.what) from error
    if meant != spec:
        raise InputError(f"the format cannot tell it from {meant.key}")
    return name


def shapes(spec: OpSpec) -> str:
    """``input:HxWxC-output:HxWxC``."""
    (c, h, w), (oc, oh, ow) = spec.input_shape, spec.output_shape
    return f"input:{h}x{w}x{c}-output:{oh}x{ow}x{oc}"
