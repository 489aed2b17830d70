"""Inputs and outputs of 8 bits: what their bytes stand for, and bytes to time a model with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.base import FloatArray

Array = npt.NDArray[Any]

INPUT_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"float32": ("float32",), "int8": ("int8", "uint8")}
)
"""Types, in numpy's words, that the input of a model may have, by the target's precision."""


@dataclass(frozen=True)
class Quantised:
    """A tensor of bytes: a real value is ``scale * (byte - zero_point)``.

    Attributes:
        scale: above 0.
        zero_point: the byte that stands for 0.
        type_name: ``int8`` or ``uint8``.
    """

    scale: float
    zero_point: int
    type_name: str

    def to_bytes(self, values: FloatArray) -> Array:
        """The nearest bytes; values out of range become the smallest or the largest."""
        info = np.iinfo(self.type_name)
        steps = np.rint(values / np.float32(self.scale)) + self.zero_point
        array: Array = np.clip(steps, info.min, info.max).astype(self.type_name)
        return array

    def to_floats(self, values: Array) -> FloatArray:
        """What bytes stand for."""
        steps = values.astype(np.int32) - self.zero_point
        return (steps * np.float32(self.scale)).astype(np.float32)


def example_bytes(shape: tuple[int, ...], type_name: str) -> Array:
    """A fixed input of all bytes alike often, as :func:`devices.runtimes.base.example_input`."""
    info = np.iinfo(type_name)
    generator = np.random.default_rng(0)
    return generator.integers(info.min, info.max, shape, np.dtype(type_name), endpoint=True)
