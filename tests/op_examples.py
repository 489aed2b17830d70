"""Ops of every kind at awkward sizes, and modules that look trained."""

from __future__ import annotations

import torch
from torch import nn

KEYS = [
    "conv/3x32x32/out=16,kernel=3,stride=2",
    "conv/5x9x14/out=7,kernel=5,stride=2,activation=relu",
    "conv/8x1x1/out=12,kernel=1,activation=none",
    "conv/2x3x2/out=3,kernel=7,stride=3",
    "depthwise_conv/6x15x11/kernel=3,stride=2",
    "depthwise_conv/4x2x3/kernel=5,stride=4,activation=none",
    "mbconv/8x16x16/out=8,kernel=3,stride=1,expand=6",
    "mbconv/8x13x7/out=8,kernel=7,stride=2,expand=3",
    "mbconv/16x9x9/out=16,kernel=5,stride=1,expand=1",
    "mbconv/8x9x9/out=8,kernel=3,expand=1,activation=relu,groups=2,expand_conv=always",
    "mbconv/8x12x10/out=12,kernel=5,expand=6,stride=2,activation=relu,groups=4",
    "mbconv/2x5x5/out=4,kernel=3,expand=3,groups=2",
    "mbconv/6x7x7/out=6,kernel=3,expand=1,expand_conv=always",
    "relu_conv/5x9x14/out=7,kernel=3,stride=2",
    "relu_conv/16x8x8/out=16,kernel=1",
    "residual_block/4x8x6/out=8,stride=2",
    "residual_block/4x7x5/out=4",
    "residual_block/4x7x5/out=6",
    "batch_norm/5x7x3/",
    "batch_norm/5x7x3/activation=relu",
    "batch_norm/5x7x3/activation=relu6",
    "add/5x7x3/",
    "add/5x7x3/inputs=3",
    "avg_pool/4x9x6/kernel=3,stride=2",
    "avg_pool/4x8x8/kernel=3,stride=2",
    "avg_pool/4x2x2/kernel=7",
    "max_pool/4x9x6/kernel=3,stride=2",
    "max_pool/3x5x5/kernel=5,stride=3",
    "global_avg_pool/12x7x5/",
    "linear/33/out=10",
    "identity/4x9x6/",
    "zero/4x9x6/",
    "zero/4x9x6/stride=2",
]

# Of these ONNX Runtime has no 8-bit kernels: hard swish and the hard sigmoid of squeeze-and-excite.
FLOAT_KEYS = [
    "mbconv/6x8x7/out=6,kernel=5,expand=3,activation=hswish,squeeze=5",
    "mbconv/6x8x7/out=8,kernel=3,expand=1,stride=2,activation=relu,squeeze=1",
    "mbconv/6x8x8/out=6,kernel=3,expand=2,groups=3,squeeze=4",
    "conv/3x9x8/out=8,kernel=3,stride=2,activation=hswish",
    "depthwise_conv/6x9x8/kernel=3,activation=hswish",
    "batch_norm/5x7x3/activation=hswish",
]

# The skeleton of NAS-Bench-201, with the ops of a cell one after the other where it adds them up.
NASBENCH201 = [
    "conv/3x12x12/out=4,kernel=3,activation=none",
    "relu_conv/4x12x12/out=4,kernel=3",
    "avg_pool/4x12x12/kernel=3",
    "identity/4x12x12/",
    "add/4x12x12/inputs=3",
    "residual_block/4x12x12/out=8,stride=2",
    "relu_conv/8x6x6/out=8,kernel=1",
    "add/8x6x6/inputs=2",
    "residual_block/8x6x6/out=16,stride=2",
    "relu_conv/16x3x3/out=16,kernel=3",
    "batch_norm/16x3x3/activation=relu",
    "global_avg_pool/16x3x3/",
    "linear/16/out=10",
]

_FBNET = "activation=relu,expand_conv=always"
# Every candidate of FBNet's space; the last but two is its skip where the shape changes.
FBNET = [
    "conv/3x32x32/out=8,kernel=3,stride=2,activation=relu",
    f"mbconv/8x16x16/out=8,kernel=3,expand=1,{_FBNET}",
    f"mbconv/8x16x16/out=8,kernel=3,expand=1,groups=2,{_FBNET}",
    f"mbconv/8x16x16/out=12,kernel=3,stride=2,expand=3,{_FBNET}",
    f"mbconv/12x8x8/out=12,kernel=3,expand=6,{_FBNET}",
    f"mbconv/12x8x8/out=12,kernel=5,expand=1,{_FBNET}",
    f"mbconv/12x8x8/out=16,kernel=5,stride=2,expand=1,groups=2,{_FBNET}",
    f"mbconv/16x4x4/out=16,kernel=5,expand=3,{_FBNET}",
    f"mbconv/16x4x4/out=16,kernel=5,expand=6,{_FBNET}",
    "identity/16x4x4/",
    "conv/16x4x4/out=20,kernel=1,stride=2,activation=relu",
    "global_avg_pool/20x2x2/",
    "linear/20/out=10",
]


def trained(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with weights and statistics as after some training: none is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                positive = name.endswith("running_var")
                drawn = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(drawn + 0.5 if positive else drawn - 0.4)
    return module.eval()


def inputs(shape: tuple[int, ...], batch: int) -> torch.Tensor:
    return 3 * torch.randn(batch, *shape, generator=torch.Generator().manual_seed(1))
