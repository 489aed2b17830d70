"""TFLite networks: of the space ``mobile`` at several widths, and some written by hand.

Weights are at random: their values change no latency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema

from lutier.networks import draw_networks
from profiler.builders.tflite import tflite_bytes
from profiler.builders.tflite_graph import Graph
from search.spaces.registry import open_space

_RELU6 = schema.ActivationFunctionType.RELU6
_CLASSES = 100


@dataclass(frozen=True)
class TfliteNetwork:
    """One network.

    Attributes:
        family: kind of network.
        name: family, width and resolution.
        write: makes the file.
    """

    family: str
    name: str
    write: Callable[[], bytes]

    suffix = ".tflite"

    def file_bytes(self) -> bytes:
        """The network as a TFLite file."""
        return self.write()


def all_tflite_networks() -> list[TfliteNetwork]:
    """Eight of ``mobile``, and two each of three families written by hand."""
    found = [
        TfliteNetwork(f"mobile-{width}", f"mobile-{width}-{size}-{i}", _mobile(width, size, i))
        for width, size in ((0.5, 128), (0.75, 128), (1.0, 96), (1.0, 160))
        for i in range(2)
    ]
    families = (("plain", _plain), ("dense", _dense), ("hardswish", _hardswish))
    for family, write in families:
        for width, size in ((16, 64), (24, 96)):
            found.append(TfliteNetwork(family, f"{family}-{width}-{size}", _of(write, width, size)))
    return found


def _of(write: Callable[[int, int], bytes], width: int, size: int) -> Callable[[], bytes]:
    return lambda: write(width, size)


def _mobile(width: float, size: int, number: int) -> Callable[[], bytes]:
    def write() -> bytes:
        space = open_space(f"mobile?resolution={size}&width={width}")
        architecture = draw_networks(space, 2, 0)[number]
        torch.manual_seed(0)
        return tflite_bytes(space.build(architecture).eval(), space.input_shape, 1)

    return write


class _Writer:
    """A network under construction."""

    def __init__(self, size: int) -> None:
        self.graph = Graph((1, size, size, 3))
        self.x = self.graph.input
        self._generator = np.random.default_rng(0)

    def _weights(self, *shape: int) -> int:
        values = self._generator.standard_normal(shape, np.float32) * np.float32(0.1)
        return self.graph.constant(values)

    def conv(self, out: int, kernel: int = 1, stride: int = 1, activation: int = _RELU6) -> int:
        n, height, width, channels = self.graph.shape(self.x)
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = stride
        options.fusedActivationFunction = activation
        shape = (n, -(-height // stride), -(-width // stride), out)
        inputs = [self.x, self._weights(out, kernel, kernel, channels), self._weights(out)]
        self.x = self.graph.add("CONV_2D", inputs, shape, options)
        return self.x

    def depthwise(self, kernel: int, stride: int = 1) -> int:
        n, height, width, channels = self.graph.shape(self.x)
        options = schema.DepthwiseConv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = stride
        options.depthMultiplier = 1
        shape = (n, -(-height // stride), -(-width // stride), channels)
        inputs = [self.x, self._weights(1, kernel, kernel, channels), self._weights(channels)]
        self.x = self.graph.add("DEPTHWISE_CONV_2D", inputs, shape, options)
        return self.x

    def pool(self, operator: str = "MAX_POOL_2D") -> int:
        n, height, width, channels = self.graph.shape(self.x)
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
        shape = (n, height // 2, width // 2, channels)
        self.x = self.graph.add(operator, [self.x], shape, options)
        return self.x

    def join(self, tensors: Sequence[int]) -> int:
        options = schema.ConcatenationOptionsT()
        options.axis = 3
        shapes = [self.graph.shape(each) for each in tensors]
        shape = (*shapes[0][:3], sum(each[3] for each in shapes))
        self.x = self.graph.add("CONCATENATION", tensors, shape, options)
        return self.x

    def hard_swish(self) -> int:
        shape = self.graph.shape(self.x)
        self.x = self.graph.add("HARD_SWISH", [self.x], shape, schema.HardSwishOptionsT())
        return self.x

    def squeeze_excite(self) -> int:
        x, (n, _, _, channels) = self.x, self.graph.shape(self.x)
        self._mean(keep=True)
        self.conv(channels // 4, activation=schema.ActivationFunctionType.RELU)
        self.conv(channels, activation=schema.ActivationFunctionType.NONE)
        gate = self.graph.add("LOGISTIC", [self.x], (n, 1, 1, channels))
        shape = self.graph.shape(x)
        self.x = self.graph.add("MUL", [x, gate], shape, schema.MulOptionsT())
        return self.x

    def _mean(self, *, keep: bool) -> int:
        n, _, _, channels = self.graph.shape(self.x)
        options = schema.ReducerOptionsT()
        options.keepDims = keep
        axes = self.graph.constant(np.array([1, 2], np.int32))
        shape = (n, 1, 1, channels) if keep else (n, channels)
        self.x = self.graph.add("MEAN", [self.x, axes], shape, options)
        return self.x

    def finish(self) -> bytes:
        self._mean(keep=False)
        n, channels = self.graph.shape(self.x)
        inputs = [self.x, self._weights(_CLASSES, channels), self._weights(_CLASSES)]
        shape = (n, _CLASSES)
        x = self.graph.add("FULLY_CONNECTED", inputs, shape, schema.FullyConnectedOptionsT())
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        return self.graph.finish(self.graph.add("SOFTMAX", [x], shape, options))


def _plain(width: int, size: int) -> bytes:
    """Convolutions of 3x3 and max pooling."""
    net = _Writer(size)
    for i in range(4):
        net.conv(width * 2**i, 3)
        net.conv(width * 2**i, 3)
        net.pool()
    return net.finish()


def _dense(width: int, size: int) -> bytes:
    """Blocks whose convolutions see the outputs of all before them."""
    net = _Writer(size)
    net.conv(2 * width, 3, 2)
    for _ in range(3):
        outputs = [net.x]
        for _ in range(4):
            net.conv(2 * width)
            outputs.append(net.conv(width, 3))
            net.join(outputs)
        net.conv(2 * width)
        net.pool("AVERAGE_POOL_2D")
    return net.finish()


def _hardswish(width: int, size: int) -> bytes:
    """Inverted bottlenecks with squeeze-and-excitation and hard swish."""
    net = _Writer(size)
    none = schema.ActivationFunctionType.NONE
    net.conv(width, 3, 2, none)
    net.hard_swish()
    for stride, kernel, out in ((2, 3, width), (1, 5, width), (2, 5, 2 * width), (1, 3, 2 * width)):
        before = net.x
        net.conv(4 * net.graph.shape(net.x)[3], activation=none)
        net.hard_swish()
        net.depthwise(kernel, stride)
        net.hard_swish()
        net.squeeze_excite()
        net.conv(out, activation=none)
        if net.graph.shape(before) == net.graph.shape(net.x):
            shape = net.graph.shape(net.x)
            net.x = net.graph.add("ADD", [before, net.x], shape, schema.AddOptionsT())
    return net.finish()
