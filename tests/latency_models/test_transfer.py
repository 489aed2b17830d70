"""A new device from a few measurements: how near, how sure, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from devices.errors import InputError, MissingEntryError, MissingModelError
from latency_models.transfer import DeviceTransfer

OPS = 4
EDGES = 5
Frames = tuple[pd.DataFrame, pd.DataFrame]


def networks(rows: int = 300, devices: int = 7, noise: float = 0.02, seed: int = 0) -> Frames:
    """Latencies of additive devices, each of its own mixture of two sorts; features of the rows."""
    random = np.random.default_rng(seed)
    choices = random.integers(0, OPS, (rows, EDGES))
    names = pd.Index([f"net{i}" for i in range(rows)])
    features = np.concatenate([choices == op for op in range(OPS)], axis=1).astype(float)
    sorts = np.array([[0.1, 0.2], [0.5, 0.3], [1.0, 2.5], [2.5, 1.0]])
    columns = {}
    for device in range(devices):
        cost = sorts @ random.dirichlet((2.0, 2.0)) * random.lognormal(0, 0.05, OPS)
        latency = random.uniform(1, 20) * (0.5 + cost[choices].sum(axis=1))
        columns[f"device{device}"] = latency * (1 + noise * random.standard_normal(rows))
    frame = pd.DataFrame(columns, index=names)
    return frame, pd.DataFrame(features, index=names)


@pytest.fixture(scope="module")
def frames() -> Frames:
    return networks()


@pytest.fixture(scope="module")
def fitted(frames: Frames) -> DeviceTransfer:
    latencies, _ = frames
    return DeviceTransfer().fit(latencies.iloc[:, 1:])


def rank(predicted: pd.Series, truth: pd.Series) -> float:
    return float(spearmanr(predicted, truth).statistic)


def test_ten_measurements_tell_all_networks(frames: Frames, fitted: DeviceTransfer) -> None:
    truth = frames[0]["device0"]
    chosen = fitted.suggest(10)
    predicted = fitted.adapt(truth[chosen]).predict_ms()
    assert rank(predicted, truth) > 0.97
    assert float(np.abs(predicted / truth - 1).median()) < 0.04
    assert 0 < fitted.expected_error_ < 0.1


def test_what_is_suggested_does_better_than_chance(frames: Frames, fitted: DeviceTransfer) -> None:
    truth = frames[0]["device0"]
    suggested = rank(fitted.adapt(truth[fitted.suggest(4)]).predict_ms(), truth)
    drawn = [
        rank(fitted.adapt(truth.sample(4, random_state=seed)).predict_ms(), truth)
        for seed in range(8)
    ]
    assert suggested > float(np.mean(drawn))


def test_suggestions_are_distinct_and_from_those_that_can_be_measured(
    frames: Frames, fitted: DeviceTransfer
) -> None:
    among = list(frames[0].index[:40])
    chosen = fitted.suggest(40, among)
    assert sorted(map(str, chosen)) == sorted(among)
    assert fitted.suggest(3) == fitted.suggest(10)[:3]


def test_intervals_hold_about_the_share_that_is_asked_for() -> None:
    held, wide = [], []
    for seed in range(6):
        latencies, _ = networks(rows=200, noise=0.05, seed=seed)
        transfer = DeviceTransfer().fit(latencies.iloc[:, 1:])
        truth = latencies["device0"]
        transfer.adapt(truth[transfer.suggest(10)])
        for coverage, shares in ((0.9, held), (0.5, wide)):
            bounds = transfer.interval_ms(coverage=coverage)
            inside = (bounds["lower"] <= truth) & (truth <= bounds["upper"])
            shares.append(float(inside.mean()))
    assert 0.85 < np.mean(held) <= 1
    assert 0.4 < np.mean(wide) < 0.8


def test_features_help_with_a_device_that_is_unlike_all_known_ones() -> None:
    latencies, features = networks()
    random = np.random.default_rng(9)
    truth = pd.Series(
        3 + features.to_numpy() @ random.lognormal(0, 1.0, features.shape[1]),
        index=latencies.index,
    )
    ranks = [
        rank(transfer.adapt(truth[transfer.suggest(40)]).predict_ms(), truth)
        for transfer in (DeviceTransfer().fit(latencies, f) for f in (None, features))
    ]
    assert ranks[1] > max(0.98, ranks[0])


def test_a_column_in_whole_milliseconds_and_broken_minima_do_little_harm(
    frames: Frames, fitted: DeviceTransfer
) -> None:
    truth = frames[0]["device0"]
    known = frames[0].iloc[:, 1:].copy()
    clean = rank(fitted.adapt(truth[fitted.suggest(10)]).predict_ms(), truth)
    known["device1"] = (known["device1"] / known["device1"].median() * 15).round()
    known.loc[known.index[::40], "device2"] = 0.003
    transfer = DeviceTransfer().fit(known)
    predicted = transfer.adapt(truth[transfer.suggest(10)]).predict_ms()
    assert rank(predicted, truth) > clean - 0.02


def test_measurements_in_whole_milliseconds_still_rank(
    frames: Frames, fitted: DeviceTransfer
) -> None:
    truth = frames[0]["device0"]
    rounded = (truth / truth.median() * 15).round()
    assert rank(fitted.adapt(rounded[fitted.suggest(10)]).predict_ms(), truth) > 0.95


def test_missing_entries_do_little_harm(frames: Frames) -> None:
    latencies = frames[0]
    truth = latencies["device0"]
    random = np.random.default_rng(1)
    known = latencies.iloc[:, 1:]
    holes = known.mask(random.random(known.shape) < 0.3)
    holes.iloc[0] = np.nan
    transfer = DeviceTransfer().fit(holes)
    predicted = transfer.adapt(truth[transfer.suggest(10)]).predict_ms()
    assert rank(predicted, truth) > 0.95
    assert predicted.notna().all()


def test_zeros_of_a_coarse_clock_are_missing_entries(frames: Frames) -> None:
    known = frames[0].iloc[:, 1:].copy()
    known.iloc[:3, 0] = 0.0
    assert DeviceTransfer().fit(known).zeros_ == 3


def test_a_broken_measurement_is_set_aside(frames: Frames, fitted: DeviceTransfer) -> None:
    truth = frames[0]["device0"]
    measured = truth[fitted.suggest(10)].copy()
    measured.iloc[4] = 0.003
    predicted = fitted.adapt(measured).predict_ms()
    assert fitted.set_aside_ == (measured.index[4],)
    assert rank(predicted, truth) > 0.95


def test_one_of_many_measurements_is_set_aside(frames: Frames, fitted: DeviceTransfer) -> None:
    measured = frames[0]["device0"].iloc[:80].copy()
    measured.iloc[7] *= 40
    assert fitted.adapt(measured).set_aside_ == (measured.index[7],)


def test_measured_ones_that_nobody_knows_are_named(frames: Frames, fitted: DeviceTransfer) -> None:
    measured = pd.concat([frames[0]["device0"].iloc[:9], pd.Series({"elsewhere": 5.0})])
    assert fitted.adapt(measured).unknown_ == ("elsewhere",)


def test_predictions_come_in_the_order_asked_for(frames: Frames, fitted: DeviceTransfer) -> None:
    fitted.adapt(frames[0]["device0"].iloc[:10])
    wanted = ["net7", "net3", "net200"]
    assert list(fitted.predict_ms(wanted).index) == wanted
    assert list(fitted.interval_ms(wanted).index) == wanted
    pd.testing.assert_series_equal(fitted.predict_ms(wanted), fitted.predict_ms()[wanted])


def test_the_unit_makes_no_difference(frames: Frames, fitted: DeviceTransfer) -> None:
    measured = frames[0]["device0"].iloc[:10]
    once = fitted.adapt(measured).predict_ms()
    thousand = fitted.adapt(measured * 1000).predict_ms()
    np.testing.assert_allclose(thousand, once * 1000, rtol=1e-9)


def test_fitting_twice_gives_the_same(frames: Frames) -> None:
    latencies = frames[0]
    results = [
        DeviceTransfer(seed=3)
        .fit(latencies.iloc[:, 1:4])
        .adapt(latencies["device0"].iloc[:10])
        .interval_ms()
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*results)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_scale_can_be_given(frames: Frames, scale: str) -> None:
    transfer = DeviceTransfer(scale=scale).fit(frames[0].iloc[:, 1:4])  # type: ignore[arg-type]
    truth = frames[0]["device0"]
    assert transfer.scale_ == scale
    assert rank(transfer.adapt(truth[transfer.suggest(10)]).predict_ms(), truth) > 0.9


def test_latencies_over_orders_of_magnitude_are_taken_as_logarithms(frames: Frames) -> None:
    assert DeviceTransfer().fit(frames[0].iloc[:, 1:] ** 6).scale_ == "log"


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_few_known_devices_are_enough_to_begin(frames: Frames, devices: int) -> None:
    truth = frames[0]["device0"]
    transfer = DeviceTransfer().fit(frames[0].iloc[:, 1 : 1 + devices])
    predicted = transfer.adapt(truth[transfer.suggest(10)]).predict_ms()
    bounds = transfer.interval_ms()
    assert rank(predicted, truth) > 0.7
    inside = (bounds["lower"] <= truth) & (truth <= bounds["upper"])
    assert inside.mean() > 0.7


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("devices", [1, 4])
def test_a_table_of_few_rows_still_answers(frames: Frames, rows: int, devices: int) -> None:
    latencies = frames[0].iloc[:rows]
    transfer = DeviceTransfer().fit(latencies.iloc[:, 1 : 1 + devices])
    transfer.adapt(latencies["device0"][transfer.suggest(1)])
    assert (transfer.predict_ms() > 0).all()
    assert np.isfinite(transfer.interval_ms()).all().all()


def test_where_all_latencies_are_equal_so_are_the_predictions(frames: Frames) -> None:
    same = frames[0] * 0 + 4.0
    transfer = DeviceTransfer().fit(same.iloc[:, 1:])
    transfer.adapt(same["device0"].iloc[:5] / 2)
    np.testing.assert_allclose(transfer.predict_ms(), 2.0, rtol=1e-3)


def test_features_that_do_not_vary_say_nothing(frames: Frames) -> None:
    latencies, features = frames
    transfer = DeviceTransfer().fit(latencies.iloc[:, 1:], features * 0)
    truth = latencies["device0"]
    assert rank(transfer.adapt(truth[transfer.suggest(10)]).predict_ms(), truth) > 0.9


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 12),
    devices=st.integers(1, 4),
    low=st.floats(1e-3, 1.0),
    missing=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
)
def test_whatever_is_measured_predictions_lie_in_their_intervals(
    rows: int, devices: int, low: float, missing: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.uniform(low, 10.0, (rows, devices + 1))
    frame = pd.DataFrame(values, index=[f"net{i}" for i in range(rows)])
    known = frame.iloc[:, 1:].mask(random.random((rows, devices)) < missing)
    known.iloc[0] = frame.iloc[0, 1:]
    transfer = DeviceTransfer().fit(known)
    transfer.adapt(frame[0].iloc[: max(1, rows // 2)])
    predicted, bounds = transfer.predict_ms(), transfer.interval_ms()
    assert (predicted > 0).all()
    assert (bounds["lower"] <= predicted).all()
    assert (predicted <= bounds["upper"]).all()


# What is refused


def change(frame: pd.DataFrame, value: object) -> pd.DataFrame:
    return frame.astype(object).where(frame != frame.iloc[2, 1], value)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda known: known.iloc[:0], "nothing in the reference"),
        (lambda known: known.iloc[:, :0], "nothing in the reference"),
        (lambda known: pd.concat([known, known.iloc[:1]]), "net0 occurs twice in the reference"),
        (lambda known: pd.concat([known, known.iloc[:, :1]], axis=1), "device1 occurs twice"),
        (lambda known: known.assign(device2=-1.0), "device2 of net0 is -1.0 ms"),
        (lambda known: known.assign(device2=np.inf), "device2 of net0 is inf ms"),
        (lambda known: known.assign(device2=np.nan), "device2 has no latency"),
        (lambda known: change(known, "fast"), "is no number"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(
    broken: Callable[[pd.DataFrame], pd.DataFrame], says: str, frames: Frames
) -> None:
    with pytest.raises(InputError, match=says):
        DeviceTransfer().fit(broken(frames[0].iloc[:, 1:4]))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda features: features.iloc[1:], "net0 has no features"),
        (lambda features: features.assign(a=np.nan), "the feature a of net0 is not finite"),
        (lambda features: features.assign(a="big"), "is no number"),
        (lambda features: pd.concat([features, features]), "net0 occurs twice in the features"),
    ],
)
def test_features_that_cannot_be_used_are_refused(
    broken: Callable[[pd.DataFrame], pd.DataFrame], says: str, frames: Frames
) -> None:
    latencies, features = frames
    with pytest.raises(InputError, match=says):
        DeviceTransfer().fit(latencies.iloc[:, 1:4], broken(features))


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        ({}, "nothing in the measurements"),
        ({"net1": np.nan, "net2": 1.0}, "net1 was measured as nan ms"),
        ({"net1": 0.0}, "net1 was measured as 0.0 ms"),
        ({"net1": -2.0}, "net1 was measured as -2.0 ms"),
        ({"net1": np.inf}, "net1 was measured as inf ms"),
        ({"net1": "fast"}, "is no number"),
        ({"elsewhere": 2.0}, "none of the 1 measured architectures is in the reference"),
    ],
)
def test_measurements_that_cannot_be_used_are_refused(
    measured: dict[str, object], says: str, fitted: DeviceTransfer
) -> None:
    with pytest.raises(InputError, match=says):
        fitted.adapt(pd.Series(measured))


def test_an_architecture_measured_twice_is_refused(fitted: DeviceTransfer) -> None:
    with pytest.raises(InputError, match="net1 occurs twice in the measurements"):
        fitted.adapt(pd.Series([1.0, 2.0], index=["net1", "net1"]))


@pytest.mark.parametrize("n", [0, -1, 301])
def test_a_number_of_suggestions_that_there_is_not_is_refused(
    n: int, fitted: DeviceTransfer
) -> None:
    with pytest.raises(InputError, match=f"cannot suggest {n}"):
        fitted.suggest(n)


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0, -0.1])
def test_a_coverage_that_is_no_share_is_refused(
    coverage: float, frames: Frames, fitted: DeviceTransfer
) -> None:
    fitted.adapt(frames[0]["device0"].iloc[:5])
    with pytest.raises(InputError, match="not between 0 and 1"):
        fitted.interval_ms(coverage=coverage)


def test_a_scale_that_there_is_not_is_refused(frames: Frames) -> None:
    with pytest.raises(InputError, match="unknown scale 'square'"):
        DeviceTransfer(scale="square").fit(frames[0])  # type: ignore[arg-type]


def test_an_unknown_architecture_is_named(frames: Frames, fitted: DeviceTransfer) -> None:
    fitted.adapt(frames[0]["device0"].iloc[:5])
    with pytest.raises(MissingEntryError, match="net999 is not in the reference"):
        fitted.predict_ms(["net1", "net999"])


def test_nothing_is_predicted_before_anything_is_measured(frames: Frames) -> None:
    with pytest.raises(MissingModelError, match="no known devices"):
        DeviceTransfer().suggest()
    with pytest.raises(MissingModelError, match="nothing was measured"):
        DeviceTransfer().fit(frames[0].iloc[:, 1:3]).predict_ms()
