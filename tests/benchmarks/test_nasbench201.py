"""The benchmark of NAS-Bench-201: what it makes of scores, latencies and trainings."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from devices.errors import InputError
from search.spaces.nasbench201 import OPS, string_of
from search.tables.nasbench201 import AccuracyTable

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import _nasbench201_report as reports
import _nasbench201_scores as scores
import _nasbench201_search as searches

NETWORKS = [(3, 0, 0, 0, 0, 0), (3, 1, 0, 0, 0, 3), (3, 3, 3, 3, 3, 3), (2, 2, 2, 2, 2, 2)]
SETTING = scores.Setting(8, 1, 32, "digits", 0, ("naswot", "ntk_condition"))


def table(means: list[float]) -> AccuracyTable:
    """Accuracies of three seeds, one point apart."""
    percent = np.full((len(OPS),) * 6 + (3,), np.nan)
    for choices, mean in zip(NETWORKS, means, strict=True):
        percent[choices] = mean + np.array([-1.0, 0.0, 1.0])
    return AccuracyTable("cifar10", percent)


def row(code: str, **values: float | None) -> dict[str, object]:
    return {"code": code, "values": values}


def write(path: Path, *rows: dict[str, object]) -> Path:
    lines = [json.dumps(asdict(SETTING)), *map(json.dumps, rows)]
    path.write_text("\n".join([*lines, ""]))
    return path


def test_what_is_reported_is_not_what_was_seen() -> None:
    one = searches.Trainings(table([50, 60, 90, 70]), NETWORKS, repeats=20, seed=0)
    assert np.allclose((one.seen + 2 * one.reported) / 3, one.mean)
    assert len(np.unique(one.seen[:, 2])) == 3
    found = one.found(np.array([0, 2]))
    assert np.allclose(found, one.reported[:, 2])


def test_finalists_may_differ_in_each_repeat() -> None:
    one = searches.Trainings(table([50, 60, 90, 70]), NETWORKS, repeats=2, seed=0)
    found = one.found(np.array([[0, 1], [3, 0]]))
    assert np.allclose(found, [one.reported[0, 1], one.reported[1, 3]])


def test_ranks_are_within_the_budget_and_failures_are_never_finalists() -> None:
    budget = searches.Budget("phone", 50, 1.0, np.array([0, 1, 3]))
    ranks = searches.Rankings(
        budget, {"a": np.array([1.0, 2.0, 9.0, 3.0]), "b": np.array([5.0, 4.0, 9.0, np.nan])}
    )
    assert searches.Rankings.best(ranks, ("sum", ("a",)), 40).tolist() == [1, 0]
    assert ranks.best(("product", ("a", "b")), 1).tolist()[0] in (0, 1)


def test_one_device_in_several_batches_is_one_device() -> None:
    names = ["", "gpu_1", "gpu_32", "phone"]
    budgets = [searches.Budget(name, 50, 1.0, np.arange(4)) for name in names]
    assert searches.device_numbers(budgets).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("apart", [False, True])
def test_a_combination_is_chosen_without_the_place_it_is_reported_in(apart: bool) -> None:
    every = [("sum", ("a",)), ("sum", ("b",))]
    shares = np.full((2, 2, 2, 2), 0.5)
    # The second combination is better on the first device and data set, and nowhere else.
    shares[0, 1, :, 0] = 0.1
    shares[1, 1, :, 1] = shares[0, 1, :, 1] = shares[1, 1, :, 0] = 0.6
    ratings = searches.Ratings(every, shares, np.array([0, 1]))
    assert ratings.best(np.array([[True, False], [False, False]])) == every[1]
    assert ratings.chosen(apart)[0][0] == every[0]


def test_budgets_are_percentiles_of_each_device(tmp_path: Path) -> None:
    path = tmp_path / "latencies.parquet"
    frame = pd.DataFrame({"arch": map(string_of, NETWORKS), "phone": [1.0, 2.0, 4.0, 3.0]})
    frame.to_parquet(path)
    tenth, _, half = searches.read_budgets(path, NETWORKS)
    assert tenth.networks.tolist() == [0]
    assert half.budget_ms == 2.5
    assert half.networks.tolist() == [0, 1]
    with pytest.raises(InputError, match="no latencies of 1 networks"):
        searches.read_budgets(path, [*NETWORKS, (1, 1, 1, 1, 1, 1)])


def test_scores_are_turned_so_that_larger_is_better(tmp_path: Path) -> None:
    codes = ["".join(map(str, choices)) for choices in NETWORKS[:2]]
    path = write(
        tmp_path / "scores.jsonl",
        row(codes[0], naswot=1.0, ntk_condition=7.0),
        row(codes[1], naswot=None, ntk_condition=5.0),
    )
    found = scores.read_scores(path, NETWORKS[:2], ["naswot", "ntk_condition"])
    assert np.array_equal(found["naswot"], [1.0, np.nan], equal_nan=True)
    assert found["ntk_condition"].tolist() == [-7.0, -5.0]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "scores.jsonl", row("300000", naswot=1.0))
    with pytest.raises(InputError, match=r"lacks scores of 1 of 2 networks.*310003"):
        scores.read_scores(path, NETWORKS[:2], ["naswot"])
    with pytest.raises(InputError, match="lacks scores by meco"):
        scores.read_scores(path, NETWORKS[:1], ["naswot", "meco"])
    with pytest.raises(InputError, match="no such file"):
        scores.any_rows(tmp_path / "none.jsonl")


def test_a_file_of_something_else_is_no_scores(tmp_path: Path) -> None:
    for text in ("", "{}\n", "not JSON"):
        path = tmp_path / "other.jsonl"
        path.write_text(text)
        with pytest.raises(InputError, match="holds no scores"):
            scores.any_rows(path)


def test_cells_that_are_lost_and_means_over_the_bound_are_missed() -> None:
    rows = [
        {"device": "phone", "percentile": p, "data_set": "cifar10", "way": way, "k": k, "regret": r}
        for p, k in itertools.product((10, 25), searches.FINALISTS)
        for way, r in (
            (searches.RANDOM, 1.0),
            (searches.APART, 1.0),
            (searches.COMBINED, 2.0 if p == 10 else 0.1),
        )
    ]
    missed = reports.missed(pd.DataFrame(rows))
    assert len(missed) == 3
    assert missed[0].startswith("phone 10 %, cifar10, k=20: 2.00, random 1.00")
    assert missed[2].startswith("mean regret on cifar10: 1.05, at most 0.5")
