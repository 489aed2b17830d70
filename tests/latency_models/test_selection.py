from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from latency_models import selection
from latency_models.features import feature_names, kind_features, monotone_directions
from latency_models.selection import CANDIDATES, DEFAULT, SPLITS, OpData, choose, folds
from profiler.ops import OpSpec

if TYPE_CHECKING:
    from conftest import SimulatedDevice


def data_of(device: SimulatedDevice, specs: list[OpSpec]) -> OpData:
    latencies = np.array([device.op_ms(spec) for spec in specs])
    return OpData.of(specs[0].kind, specs, latencies)


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_fits_and_predicts(
    name: str, device: SimulatedDevice, blocks: list[OpSpec]
) -> None:
    data = data_of(device, blocks)
    predicted = data.predict_ms(data.fit(name, 0))
    assert predicted.shape == (len(blocks),)
    assert np.median(np.abs(predicted / data.latencies_ms - 1)) < 0.25


@pytest.mark.parametrize("name", ["forest", "boosting"])
def test_trees_are_monotone_in_sizes(
    name: str, device: SimulatedDevice, blocks: list[OpSpec]
) -> None:
    estimator = data_of(device, blocks).fit(name, 0)
    channels = [
        OpSpec.make("mbconv", (c, 16, 16), out=c, kernel=5, expand=3) for c in range(16, 64, 16)
    ]
    predicted = data_of(device, channels).predict_ms(estimator)
    assert (np.diff(predicted) >= 0).all()


def test_directions_are_of_the_predictors() -> None:
    predictors = [each for each in kind_features("mbconv") if each.is_predictor]
    names = [each.name for each in predictors]
    directions = dict(zip(names, monotone_directions("mbconv"), strict=True))
    assert directions["input_channels"] == directions["flops"] == 1
    assert directions["kernel"] == directions["input_idle_8"] == 0
    assert set(directions) <= set(feature_names("mbconv"))


def test_the_nearest_on_shapes_held_out_is_chosen(
    device: SimulatedDevice, blocks: list[OpSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(device, blocks)
    off = {"process": 0.3, "additive": 0.2, "linear": 0.1, "boosting": 0.4, "forest": 0.5}
    asked: list[int] = []

    def errors(data: OpData, fold: selection.Fold, name: str, seed: int) -> object:
        asked.append(len(fold[0]) + len(fold[1]))
        return np.full(len(fold[1]), off[name])

    monkeypatch.setattr(selection, "_errors", errors)
    assert choose(data, 0) == "linear"
    assert set(asked) == {len(blocks)}
    monkeypatch.setattr(selection, "_MOST_ROWS", 50)
    choose(data, 0)
    assert asked[-1] == 50


def test_of_one_shape_there_is_nothing_to_choose_by(
    device: SimulatedDevice, few_blocks: list[OpSpec]
) -> None:
    assert choose(data_of(device, few_blocks[:6]), 0) == DEFAULT


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_alike_is_held_out_together(split: str, blocks: list[OpSpec]) -> None:
    held_out: list[int] = []
    for train, test in folds(blocks, split):
        kept = {SPLITS[split](blocks[i]) for i in train}
        assert not kept & {SPLITS[split](blocks[i]) for i in test}
        held_out += test
    assert sorted(held_out) == list(range(len(blocks)))


def test_ops_of_one_resolution_have_no_folds_by_resolution(few_blocks: list[OpSpec]) -> None:
    assert list(folds(few_blocks, "resolutions")) == []
    assert len(list(folds(few_blocks, "shapes"))) == 2
