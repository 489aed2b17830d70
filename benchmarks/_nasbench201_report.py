"""Means of what searches found on NAS-Bench-201, and whether they keep what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from _nasbench201_search import APART, COMBINED, EVERYTHING, FINALISTS, PERCENTILES, PHONES, RANDOM

MAX_REGRET = {"cifar10": 0.5, "cifar100": 0.8, "imagenet16-120": 0.9}
"""Points, of the combination with the fewest finalists, on the average over all budgets."""


def report(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Print means over budgets, and return what missed its bound."""
    frame = pd.DataFrame(cells)
    data_sets = list(frame["data_set"].unique())
    limited = frame["device"] != ""
    groups = [
        ("no budget", frame[~limited]),
        *(
            (
                f"{p} % of {'phones'}",
                frame[frame["device"].isin(PHONES) & (frame["percentile"] == p)],
            )
            for p in PERCENTILES
        ),
        ("phones, all budgets", frame[frame["device"].isin(PHONES)]),
        ("all devices and budgets", frame[limited]),
    ]
    print(f"\nregret in points (accuracy in percent) on {', '.join(data_sets)}")
    for title, part in groups:
        if part.empty:
            continue
        budgets = part.groupby(["device", "percentile"]).ngroups
        print(f"\n{title}: {budgets} budgets")
        for way, count in part[["way", "k"]].drop_duplicates().itertuples(index=False):
            rows = part[(part["way"] == way) & (part["k"] == count)]
            # Strategies are run under some budgets only.
            is_everywhere = rows.groupby(["device", "percentile"]).ngroups == budgets
            if way != EVERYTHING and is_everywhere:
                show_means(f"{way}, k={count}", rows)
        show_means(EVERYTHING, part[part["way"] == EVERYTHING])
    return missed(frame)


def show_means(title: str, part: pd.DataFrame) -> None:
    """Print mean regret and accuracy on each data set."""
    means = part.groupby("data_set", sort=False)[["regret", "accuracy"]].mean()
    texts = [f"{row.regret:5.2f} ({row.accuracy:5.2f})" for row in means.itertuples()]
    print(f"  {title:26s} {'   '.join(texts)}")


def missed(frame: pd.DataFrame) -> list[str]:
    """Cells in which the combination does not beat random search, and means over the bound."""
    keys = ["device", "percentile", "data_set", "k"]
    pairs = frame[frame["k"].isin(FINALISTS) & frame["way"].isin((RANDOM, COMBINED, APART))]
    table = pairs.pivot(index=keys, columns="way", values="regret")
    lost = table[table[COMBINED] >= table[RANDOM]]
    texts = [
        f"{device or 'no budget'} {percentile} %, {data_set}, k={k}:"
        f" {row[COMBINED]:.2f}, random {row[RANDOM]:.2f}"
        for (device, percentile, data_set, k), row in lost.iterrows()
    ]
    print(f"\n{COMBINED} beats random search in {len(table) - len(lost)} of {len(table)} cells")
    apart = table[APART] >= table[RANDOM]
    print(f"{APART} in {len(table) - apart.sum()}")
    budgets = frame[(frame["way"] == COMBINED) & (frame["k"] == FINALISTS[0])]
    budgets = budgets[budgets["device"] != ""]
    for data_set, most in MAX_REGRET.items():
        mean = budgets[budgets["data_set"] == data_set]["regret"].mean()
        verdict = "met" if mean <= most else "MISSED"
        if not budgets.empty:
            print(
                f"  mean regret over the budgets, {data_set}: {mean:.2f}, at most {most}: {verdict}"
            )
            if mean > most:
                texts.append(f"mean regret on {data_set}: {mean:.2f}, at most {most}")
    for text in texts:
        print(f"  MISSED: {text}")
    return texts
