"""Networks of the kinds that people have, none of which is in a search space of Lutier.

Each is plain ``torch.nn``, in several widths and resolutions, with weights at random: their values
change no latency. Every family has something of its own: squeeze-and-excitation, a shuffle of
channels by reshaping, concatenations, cells of few channels.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 100


@dataclass(frozen=True)
class Network:
    """One network of a family.

    Attributes:
        family: kind of network.
        name: family, width and resolution.
        build: makes the module.
        resolution: height and width of its input of three channels.
    """

    family: str
    name: str
    build: Callable[[], nn.Module]
    resolution: int

    suffix = ".onnx"

    def file_bytes(self) -> bytes:
        """The network as an ONNX file, as the exporter of torch writes it."""
        torch.manual_seed(0)
        module = self.build().eval()
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (torch.zeros(1, 3, self.resolution, self.resolution),),
                buffer,
                dynamo=False,
                opset_version=17,
            )
        return buffer.getvalue()


def _conv(
    inputs: int,
    out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Convolution, batch norm and, where there is one, an activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, *([activation] if activation is not None else []))


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def _round(channels: float, divisor: int = 8) -> int:
    return max(divisor, int(channels + divisor / 2) // divisor * divisor)


class _SqueezeExcite(nn.Module):
    """Weighs channels by what two 1x1 convolutions make of their means."""

    def __init__(self, channels: int, squeezed: int, act: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            act,
            nn.Conv2d(squeezed, channels, 1),
            gate,
        )

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = x * self.layers(x)
        return product


class _Residual(nn.Module):
    """A sum of two ways, and an activation where there is one."""

    def __init__(self, main: nn.Module, side: nn.Module, act: nn.Module | None = None) -> None:
        super().__init__()
        self.main, self.side, self.act = main, side, act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.main(x) + self.side(x))
        return out


def _inverted(
    inputs: int,
    hidden: int,
    out: int,
    kernel: int,
    stride: int,
    act: Callable[[], nn.Module],
    excite: nn.Module | None = None,
) -> nn.Module:
    """Inverted residual block: widen, depthwise, narrow; added to its input where it fits."""
    layers: list[nn.Module] = []
    if hidden != inputs:
        layers.append(_conv(inputs, hidden, activation=act()))
    layers.append(_conv(hidden, hidden, kernel, stride, hidden, act()))
    if excite is not None:
        layers.append(excite)
    layers.append(_conv(hidden, out))
    main = nn.Sequential(*layers)
    return _Residual(main, nn.Identity()) if stride == 1 and inputs == out else main


def mobilenet_v2(width: float) -> nn.Module:
    """Inverted residual blocks with ReLU6."""
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    stages += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    channels = _round(32 * width)
    layers: list[nn.Module] = [_conv(3, channels, 3, 2, activation=nn.ReLU6())]
    for expand, base, count, stride in stages:
        out = _round(base * width)
        for i in range(count):
            step = stride if i == 0 else 1
            layers.append(_inverted(channels, channels * expand, out, 3, step, nn.ReLU6))
            channels = out
    last = _round(1280 * max(width, 1.0))
    return nn.Sequential(*layers, _conv(channels, last, activation=nn.ReLU6()), _head(last))


def mobilenet_v3(width: float) -> nn.Module:
    """Inverted residual blocks with squeeze-and-excitation, ReLU and hard swish."""
    rows = [
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
    ]
    channels = _round(16 * width)
    layers: list[nn.Module] = [_conv(3, channels, 3, 2, activation=nn.Hardswish())]
    for kernel, wide, base, excited, swish, stride in rows:
        hidden, out = _round(wide * width), _round(base * width)
        act = nn.Hardswish if swish else nn.ReLU
        excite = (
            _SqueezeExcite(hidden, _round(hidden / 4), nn.ReLU(), nn.Hardsigmoid())
            if excited
            else None
        )
        layers.append(_inverted(channels, hidden, out, kernel, stride, act, excite))
        channels = out
    last = _round(960 * width)
    return nn.Sequential(
        *layers,
        _conv(channels, last, activation=nn.Hardswish()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(last, 1280),
        nn.Hardswish(),
        nn.Linear(1280, CLASSES),
    )


def efficientnet(width: float) -> nn.Module:
    """Inverted residual blocks with squeeze-and-excitation and SiLU."""
    stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)]
    stages += [(6, 112, 3, 1, 5), (6, 192, 2, 2, 5), (6, 320, 1, 1, 3)]
    channels = _round(32 * width)
    layers: list[nn.Module] = [_conv(3, channels, 3, 2, activation=nn.SiLU())]
    for expand, base, count, stride, kernel in stages:
        out = _round(base * width)
        for i in range(count):
            hidden = channels * expand
            excite = _SqueezeExcite(hidden, max(4, channels // 4), nn.SiLU(), nn.Sigmoid())
            step = stride if i == 0 else 1
            layers.append(_inverted(channels, hidden, out, kernel, step, nn.SiLU, excite))
            channels = out
    last = _round(1280 * width)
    return nn.Sequential(*layers, _conv(channels, last, activation=nn.SiLU()), _head(last))


def resnet(width: float, counts: tuple[int, ...], bottleneck: bool) -> nn.Module:
    """Residual blocks of two 3x3 convolutions, or of a 3x3 between two 1x1."""
    channels = _round(64 * width)
    layers: list[nn.Module] = [_conv(3, channels, 7, 2, activation=nn.ReLU())]
    layers.append(nn.MaxPool2d(3, 2, 1))
    for stage, count in enumerate(counts):
        inner = _round(64 * width * 2**stage)
        out = inner * 4 if bottleneck else inner
        for i in range(count):
            stride = 2 if stage and i == 0 else 1
            if bottleneck:
                main = nn.Sequential(
                    _conv(channels, inner, activation=nn.ReLU()),
                    _conv(inner, inner, 3, stride, activation=nn.ReLU()),
                    _conv(inner, out),
                )
            else:
                main = nn.Sequential(
                    _conv(channels, out, 3, stride, activation=nn.ReLU()), _conv(out, out, 3)
                )
            fits = stride == 1 and channels == out
            side = nn.Identity() if fits else _conv(channels, out, 1, stride)
            layers.append(_Residual(main, side, nn.ReLU()))
            channels = out
    return nn.Sequential(*layers, _head(channels))


class _Fire(nn.Module):
    """Narrow, then a 1x1 and a 3x3 convolution side by side."""

    def __init__(self, inputs: int, squeezed: int, out: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inputs, squeezed, 1), nn.ReLU())
        self.one = nn.Sequential(nn.Conv2d(squeezed, out, 1), nn.ReLU())
        self.three = nn.Sequential(nn.Conv2d(squeezed, out, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.one(x), self.three(x)], 1)


def squeezenet(width: float) -> nn.Module:
    """Fire modules, and a convolution for the classes."""
    first = _round(64 * width)
    layers: list[nn.Module] = [nn.Conv2d(3, first, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    channels = first
    for i, (squeezed, out) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
    ):
        narrow, wide = _round(squeezed * width), _round(out * width)
        layers.append(_Fire(channels, narrow, wide))
        channels = 2 * wide
        if i in (1, 3):
            layers.append(nn.MaxPool2d(3, 2))
    layers += [nn.Conv2d(channels, CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers)


class _Shuffle(nn.Module):
    """A unit of ShuffleNetV2: a half of the channels is worked on, then they are shuffled."""

    def __init__(self, inputs: int, out: int, stride: int) -> None:
        super().__init__()
        half = out // 2
        self.stride = stride
        self.main = nn.Sequential(
            _conv(inputs if stride == 2 else half, half, activation=nn.ReLU()),
            _conv(half, half, 3, stride, half),
            _conv(half, half, activation=nn.ReLU()),
        )
        self.side = (
            nn.Sequential(
                _conv(inputs, inputs, 3, 2, inputs), _conv(inputs, half, activation=nn.ReLU())
            )
            if stride == 2
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            ways = (self.side(x), self.main(x))
        else:
            kept, worked = x.chunk(2, 1)
            ways = (kept, self.main(worked))
        joined = torch.cat(ways, 1)
        n, c, h, w = joined.shape
        return joined.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def shufflenet(width: float) -> nn.Module:
    """Units of ShuffleNetV2."""
    channels = 24
    layers: list[nn.Module] = [_conv(3, channels, 3, 2, activation=nn.ReLU())]
    layers.append(nn.MaxPool2d(3, 2, 1))
    for base, count in ((116, 4), (232, 8), (464, 4)):
        out = _round(base * width, 16)
        for i in range(count):
            layers.append(_Shuffle(channels, out, 2 if i == 0 else 1))
            channels = out
    last = 1024
    return nn.Sequential(*layers, _conv(channels, last, activation=nn.ReLU()), _head(last))


class _Dense(nn.Module):
    """A layer whose output is joined to its input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            _conv(inputs, 4 * growth, activation=nn.ReLU()),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


def densenet(growth: int, counts: tuple[int, ...]) -> nn.Module:
    """Dense blocks, halved in channels and pixels between them."""
    channels = 2 * growth
    layers: list[nn.Module] = [_conv(3, channels, 7, 2, activation=nn.ReLU())]
    layers.append(nn.MaxPool2d(3, 2, 1))
    for i, count in enumerate(counts):
        for _ in range(count):
            layers.append(_Dense(channels, growth))
            channels += growth
        if i < len(counts) - 1:
            half = channels // 2
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, half, 1)]
            layers.append(nn.AvgPool2d(2))
            channels = half
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), _head(channels))


class _Cell(nn.Module):
    """A cell of NAS-Bench-201: four nodes, an operation on each of the six edges."""

    def __init__(self, channels: int, operations: str) -> None:
        super().__init__()
        self.edges = nn.ModuleList(_edge(channels, each) for each in operations)

    def forward(self, x: Tensor) -> Tensor:
        nodes, edges = [x], iter(self.edges)
        for _ in range(3):
            ways = [next(edges)(node) for node in nodes]
            total: Tensor = ways[0]
            for way in ways[1:]:
                total = total + way
            nodes.append(total)
        return nodes[-1]


def _edge(channels: int, name: str) -> nn.Module:
    if name in "13":
        size = int(name)
        return nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, size, 1, size // 2), nn.BatchNorm2d(channels)
        )
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False) if name == "p" else nn.Identity()


def nasbench201(operations: str, channels: int, count: int) -> nn.Module:
    """Three stages of cells; ``operations`` is one of ``13ps`` for each edge (s: skip)."""
    layers: list[nn.Module] = [_conv(3, channels, 3)]
    for stage in range(3):
        if stage:
            wide = 2 * channels
            main = nn.Sequential(
                _conv(channels, wide, 3, 2, activation=nn.ReLU()), _conv(wide, wide, 3)
            )
            side = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(channels, wide, 1))
            layers.append(_Residual(main, side))
            channels = wide
        layers += [_Cell(channels, operations) for _ in range(count)]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), _head(channels))


def all_networks() -> list[Network]:
    """The 30 networks, family by family."""
    made: list[tuple[str, str, Callable[[], nn.Module], int]] = []
    for width, size in ((0.5, 160), (0.75, 96), (1.0, 128), (1.4, 112)):
        made.append(("mobilenet-v2", f"x{width}", lambda w=width: mobilenet_v2(w), size))
    for width, size in ((0.5, 128), (0.75, 160), (1.0, 96), (1.25, 128)):
        made.append(("mobilenet-v3", f"x{width}", lambda w=width: mobilenet_v3(w), size))
    for width, size in ((0.5, 128), (0.75, 96), (1.0, 112), (1.2, 80)):
        made.append(("efficientnet", f"x{width}", lambda w=width: efficientnet(w), size))
    for width, counts, wide, size in (
        (0.5, (2, 2, 2, 2), False, 128),
        (1.0, (2, 2, 2, 2), False, 64),
        (0.25, (3, 4, 6, 3), True, 160),
        (0.5, (2, 2, 2, 2), True, 96),
    ):
        depth = sum(counts) * (3 if wide else 2) + 2
        made.append(
            (
                "resnet",
                f"{depth}-x{width}",
                lambda w=width, c=counts, b=wide: resnet(w, c, b),
                size,
            )
        )
    for width, size in ((0.5, 160), (0.75, 128), (1.0, 96), (1.25, 128)):
        made.append(("squeezenet", f"x{width}", lambda w=width: squeezenet(w), size))
    for width, size in ((0.5, 160), (1.0, 128), (1.5, 96), (1.0, 192)):
        made.append(("shufflenet", f"x{width}", lambda w=width: shufflenet(w), size))
    for growth, counts, size in ((12, (4, 8, 6), 128), (16, (6, 12, 8), 96), (24, (4, 6, 4), 112)):
        made.append(("densenet", f"g{growth}", lambda g=growth, c=counts: densenet(g, c), size))
    for operations, channels, count, size in (
        ("3s13ps", 16, 3, 32),
        ("1p3s31", 24, 2, 48),
        ("33s1p3", 16, 2, 64),
    ):
        made.append(
            (
                "nasbench201",
                f"{operations}-c{channels}",
                lambda o=operations, c=channels, n=count: nasbench201(o, c, n),
                size,
            )
        )
    return [
        Network(family, f"{family}-{name}@{size}", build, size)
        for family, name, build, size in made
    ]
