"""The keys of once-for-all's latency table for MobileNetV3-like networks.

Source: ``MBv3LatencyTable`` of github.com/mit-han-lab/once-for-all
(``ofa/nas/efficiency_predictor/latency_lookup_table.py``). As ProxylessNAS's, except that

- ``expanded_conv-...-expand:MID-kernel:K-stride:S-idskip:I-se:0-hs:0`` says the channels inside the
  block, not the ratio, and whether it has squeeze-and-excite and h-swish;
- ``Conv_2-input:1x1xC-output:1x1xN`` is the 1x1 convolution after the pool;
- ``Logits-input:1x1xC-output:N`` is the linear layer alone.

A key does not tell ReLU from ReLU6, nor what follows ``Conv``, ``Conv_1`` and ``Conv_2``: all are
read as the vocabulary's ReLU6. The repository's ``ProxylessNASLatencyTable`` reads ProxylessNAS's
own keys: those are the format ``proxylessnas``.
"""

from __future__ import annotations

import re

from devices.errors import InputError
from profiler.exchange import proxylessnas
from profiler.ops import OpSpec

_SHAPE = r"([1-9][0-9]{0,6})x([1-9][0-9]{0,6})x([1-9][0-9]{0,6})"
_BLOCK = re.compile(
    rf"expanded_conv-input:{_SHAPE}-output:{_SHAPE}"
    r"-expand:([0-9]{1,7})-kernel:([0-9]{1,3})-stride:([0-9]{1,3})-idskip:([01])-se:([01])-hs:([01])"
)
_AFTER_POOL = re.compile(r"Conv_2-input:1x1x([1-9][0-9]{0,6})-output:1x1x([1-9][0-9]{0,6})")


def spec_of(name: str) -> OpSpec:
    """The op that a key names.

    Raises:
        InputError: not a key of this format, or of no op of ours; the message is the reason.
    """
    if match := _AFTER_POOL.fullmatch(name):
        channels, out = map(int, match.groups())
        return OpSpec.make("conv", (channels, 1, 1), out=out, kernel=1)
    if match := _BLOCK.fullmatch(name):
        return _block(*map(int, match.groups()))
    if name.startswith("expanded_conv-"):
        raise InputError("says no se and hs: a key of --format proxylessnas")
    return proxylessnas.spec_of(name)


def _block(
    height: int,
    width: int,
    channels: int,
    out_height: int,
    out_width: int,
    out: int,
    middle: int,
    kernel: int,
    stride: int,
    skip: int,
    squeeze: int,
    swish: int,
) -> OpSpec:
    if squeeze or swish:
        named = " and ".join(
            word for word, is_on in (("squeeze-and-excite", squeeze), ("h-swish", swish)) if is_on
        )
        raise InputError(f"a block with {named}, which the vocabulary's mbconv has not")
    if middle % channels:
        raise InputError(f"{middle} channels inside are no multiple of the {channels} outside")
    shape = (channels, height, width)
    spec = OpSpec.make(
        "mbconv", shape, out=out, kernel=kernel, stride=stride, expand=middle // channels
    )
    proxylessnas.check_block(spec, (out, out_height, out_width), bool(skip))
    return spec


def name_of(spec: OpSpec) -> str:
    """The key of an op.

    Raises:
        InputError: the format has none; the message is the reason.
    """
    if spec.kind == "mbconv":
        middle = spec.input_shape[0] * spec.integer("expand")
        name = (
            f"expanded_conv-{proxylessnas.shapes(spec)}-expand:{middle}-kernel:{spec['kernel']}"
            f"-stride:{spec['stride']}-idskip:{int(spec.output_shape == spec.input_shape)}"
            "-se:0-hs:0"
        )
    elif spec.kind == "conv" and spec.input_shape[1:] == (1, 1) and spec["kernel"] == 1:
        name = f"Conv_2-{proxylessnas.shapes(spec)}"
    else:
        return proxylessnas.name_of(spec)
    return proxylessnas.told_apart(name, spec, spec_of)
