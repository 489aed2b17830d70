"""Named features of an op: what regressors see of it.

Everything is derived from the vocabulary, so a kind registered elsewhere has features too. Values
are raw counts and sizes of one float32 sample; a regressor takes logarithms where it wants them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from latency_models.base import FloatArray
from profiler.ops import Kind, Layer, OpSpec, kind_of

FEATURE_SCHEMA_VERSION = 3
"""Raised whenever a feature is added, removed, reordered or counted differently."""

# Attributes that change which code runs, not only how often: nothing can be said between values.
_LEVEL_ATTRIBUTES = frozenset({"kernel", "stride", "groups"})
# ``out`` is the output's first axis, which is a feature already; what ``expand_conv`` adds is in
# the costs and in ``has_expansion``.
_TOLD_ELSEWHERE = frozenset({"out", "expand_conv"})
TILE_WIDTHS = (8, 16)


@dataclass(frozen=True)
class Feature:
    """One named number of an op.

    Attributes:
        name: unique within its kind.
        unit: ``FLOP``, ``B``, ``pixel`` or ``1``.
        value: reads it off an op of the kind.
        is_level: the value selects another code path (kernel, stride, activation), so that a
            latency at one value says nothing about a value never measured: on one runtime a
            depthwise kernel of 7 costs 26 times one of 5.
        is_predictor: regressors are fitted on it. The others restate these for a reader: fitted on
            all of them, a Gaussian process on 198 measured blocks did worse on held-out shapes.
        is_part: an amount of work or of memory that adds to the latency, if anything.
        is_size: more of it is never less work, all else alike.
        is_tile: how sizes fit registers and caches: how much of the last vector of channels is
            idle, how rows are aligned. It has no range: what lies between two measured sizes is
            no extrapolation.
    """

    name: str
    unit: str
    value: Callable[[OpSpec], float]
    is_level: bool = False
    is_predictor: bool = False
    is_part: bool = False
    is_size: bool = False
    is_tile: bool = False


def _axis(index: int, of_output: bool) -> Callable[[OpSpec], float]:
    return lambda spec: float((spec.output_shape if of_output else spec.input_shape)[index])


def _positions(spec: OpSpec) -> float:
    return float(math.prod(spec.input_shape[1:]))


def _volume(of_output: bool) -> Callable[[OpSpec], float]:
    return lambda spec: float(math.prod(spec.output_shape if of_output else spec.input_shape))


def _tiles(name: str, channels: Callable[[OpSpec], float]) -> Iterable[Feature]:
    """By how much, relatively, channels fall short of filling vectors of a common width.

    Kernels work on 8 or 16 channels at a time: 20 channels cost about what 24 or 32 do.
    """
    for width in TILE_WIDTHS:
        yield Feature(
            f"{name}_idle_{width}",
            "1",
            lambda spec, width=width: -channels(spec) % width / channels(spec),  # type: ignore[misc]
            is_predictor=True,
            is_tile=True,
        )


def _alignment(spec: OpSpec) -> float:
    """The largest power of two that divides the input's width.

    Rows that lie a multiple of a memory page apart compete for the same places in a cache.
    """
    width = spec.input_shape[2]
    return float(width & -width)


def _shape_features(rank: int, output_rank: int) -> Iterable[Feature]:
    yield Feature("input_values", "1", _volume(False), is_part=True)
    yield Feature("output_values", "1", _volume(True), is_part=True)
    yield from _tiles("input", _axis(0, False))
    yield from _tiles("output", _axis(0, True))
    if rank == 3:
        yield Feature("input_channels", "1", _axis(0, False), is_predictor=True, is_size=True)
        yield Feature("input_height", "pixel", _axis(1, False))
        yield Feature("input_width", "pixel", _axis(2, False))
        yield Feature("input_positions", "pixel", _positions, is_predictor=True, is_size=True)
    else:
        yield Feature("input_features", "1", _axis(0, False), is_predictor=True, is_size=True)
    if rank == 3:
        yield Feature("width_alignment", "pixel", _alignment, is_predictor=True, is_tile=True)
    if output_rank == 3:
        yield Feature("output_channels", "1", _axis(0, True), is_predictor=True, is_size=True)
        yield Feature("output_height", "pixel", _axis(1, True))
        yield Feature("output_width", "pixel", _axis(2, True))
    else:
        yield Feature("output_features", "1", _axis(0, True), is_predictor=True, is_size=True)


def _integer(name: str) -> Callable[[OpSpec], float]:
    return lambda spec: float(spec.integer(name))


def _is(name: str, choice: str) -> Callable[[OpSpec], float]:
    return lambda spec: float(spec[name] == choice)


def _attribute_features(kind: Kind) -> Iterable[Feature]:
    for attribute in sorted(kind.attributes, key=lambda attribute: attribute.name):
        name = attribute.name
        if name in _TOLD_ELSEWHERE:
            continue
        for choice in attribute.choices:
            yield Feature(f"{name}_{choice}", "1", _is(name, choice), True, True)
        if not attribute.choices:
            yield Feature(name, "1", _integer(name), name in _LEVEL_ATTRIBUTES, True)


def _convolutions(spec: OpSpec) -> list[Layer]:
    return [layer for layer in spec.layers if layer.name == "conv"]


def _has_expansion(spec: OpSpec) -> bool:
    return len(_convolutions(spec)) == 3


def _expand_flops(spec: OpSpec) -> float:
    return float(_convolutions(spec)[0].flops) if _has_expansion(spec) else 0.0


def _hidden_channels(spec: OpSpec) -> float:
    return float(spec.input_shape[0] * spec.integer("expand"))


def _mbconv_features() -> Iterable[Feature]:
    yield Feature("hidden_channels", "1", _hidden_channels)
    yield from _tiles("hidden", _hidden_channels)
    yield Feature("expand_flops", "FLOP", _expand_flops, is_part=True)
    yield Feature(
        "depthwise_flops",
        "FLOP",
        lambda spec: float(_convolutions(spec)[-2].flops),
        is_part=True,
    )
    yield Feature(
        "project_flops", "FLOP", lambda spec: float(_convolutions(spec)[-1].flops), is_part=True
    )
    yield Feature("has_expansion", "1", lambda spec: float(_has_expansion(spec)), is_level=True)
    yield Feature("has_squeeze", "1", lambda spec: float(spec.integer("squeeze") > 0), True, True)
    yield Feature(
        "has_residual", "1", lambda spec: float(spec.layers[-1].name == "add"), is_level=True
    )


_COSTS = (
    Feature(
        "flops",
        "FLOP",
        lambda spec: float(spec.flops),
        is_predictor=True,
        is_part=True,
        is_size=True,
    ),
    Feature(
        "bytes_moved",
        "B",
        lambda spec: float(spec.bytes_moved),
        is_predictor=True,
        is_part=True,
        is_size=True,
    ),
    Feature("parameters", "1", lambda spec: float(spec.parameters), is_part=True),
    Feature("layers", "1", lambda spec: float(len(spec.layers))),
)
# Kinds that turn CxHxW into a vector; every other kind keeps its rank.
_FLATTENING = frozenset({"global_avg_pool"})


@cache
def kind_features(kind: str) -> tuple[Feature, ...]:
    """The features of a kind of op, in their fixed order.

    Raises:
        UnknownNameError: no such kind.
    """
    definition = kind_of(kind)
    output_rank = 1 if kind in _FLATTENING else definition.rank
    return (
        *_COSTS,
        *_shape_features(definition.rank, output_rank),
        *_attribute_features(definition),
        *(_mbconv_features() if kind == "mbconv" else ()),
    )


def feature_names(kind: str) -> tuple[str, ...]:
    """Names of all features of a kind, in order."""
    return tuple(feature.name for feature in kind_features(kind))


def predictor_names(kind: str) -> tuple[str, ...]:
    """Names of the features a kind's regressor is fitted on, in order."""
    return tuple(feature.name for feature in kind_features(kind) if feature.is_predictor)


def features(spec: OpSpec) -> dict[str, float]:
    """All features of one op, by name; units are in :func:`kind_features`."""
    return {feature.name: feature.value(spec) for feature in kind_features(spec.kind)}


def feature_frame(specs: Sequence[OpSpec]) -> pd.DataFrame:
    """One row of features an op, indexed by key; NaN where a kind lacks a column's feature.

    Args:
        specs: ops of any kinds.
    """
    frame = pd.DataFrame([{"kind": spec.kind, **features(spec)} for spec in specs])
    frame.index = pd.Index([spec.key for spec in specs], name="key")
    return frame


def predictor_matrix(kind: str, specs: Sequence[OpSpec]) -> FloatArray:
    """What a kind's regressor is fitted on, shape ``(len(specs), len(predictor_names(kind)))``.

    Args:
        kind: the kind all of the ops have.
        specs: ops of that kind.
    """
    return feature_matrix([each for each in kind_features(kind) if each.is_predictor], specs)


def part_matrix(kind: str, specs: Sequence[OpSpec]) -> FloatArray:
    """The amounts that add up to a latency, shape ``(len(specs), parts)``; at least 0.

    Args:
        kind: the kind all of the ops have.
        specs: ops of that kind.
    """
    return feature_matrix([each for each in kind_features(kind) if each.is_part], specs)


def monotone_directions(kind: str) -> tuple[int, ...]:
    """For each predictor of a kind 1 where more of it is never faster, else 0."""
    return tuple(int(each.is_size) for each in kind_features(kind) if each.is_predictor)


def feature_matrix(columns: Sequence[Feature], specs: Sequence[OpSpec]) -> FloatArray:
    """The values of some features, shape ``(len(specs), len(columns))``."""
    rows = [[feature.value(spec) for feature in columns] for spec in specs]
    return np.array(rows, dtype=np.float64).reshape(len(specs), len(columns))
