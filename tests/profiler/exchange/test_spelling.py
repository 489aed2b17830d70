from __future__ import annotations

import pytest

from profiler.exchange.spelling import spelled
from profiler.ops import OpSpec

BLOCK = OpSpec.make("mbconv", (16, 112, 112), out=24, kernel=5, stride=2, expand=3)
POOL = OpSpec.make("global_avg_pool", (1280, 7, 7))


@pytest.mark.parametrize(
    ("spec", "file_format", "key"),
    [
        (
            BLOCK,
            "proxylessnas",
            "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0",
        ),
        (
            BLOCK,
            "once-for-all",
            "expanded_conv-input:112x112x16-output:56x56x24"
            "-expand:48-kernel:5-stride:2-idskip:0-se:0-hs:0",
        ),
        (POOL, "proxylessnas", "AvgPool2D-input:7x7x1280-output:1x1x1280"),
        (POOL, "csv", ""),
        (POOL, "", ""),
        (POOL, "no format", ""),
        (OpSpec.make("residual_block", (16, 8, 8), out=16), "proxylessnas", ""),
    ],
)
def test_an_op_is_spelled_as_its_format_does_where_there_is_a_word(
    spec: OpSpec, file_format: str, key: str
) -> None:
    assert spelled(spec, file_format) == key
