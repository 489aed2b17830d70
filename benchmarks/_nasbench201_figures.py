"""How well scores order networks: rank correlations with what the networks reach when trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from _nasbench201_scores import Floats, Row, Setting, values_of
from _nasbench201_search import CANDIDATES, Combination, combinations
from scipy.stats import kendalltau, rankdata, spearmanr

from search.proxies.az_nas import PARTS
from search.proxies.ranking import rank_product, rank_sum

KEYS = ("spearman", "kendall", "published_spearman", "spearman_failed_last")
MOST_PARTS = 3
ENOUGH = 1000
"""Networks of different functions that a combination is chosen and reported on."""

PUBLISHED: dict[str, tuple[float, float, float]] = {
    "parameters": (0.75, 0.73, 0.69),
    "flops": (0.73, 0.71, 0.67),
    "mgm": (0.20, 0.35, 0.42),
    "grad_norm": (0.63, 0.63, 0.58),
    "snip": (0.63, 0.63, 0.58),
    "grasp": (0.54, 0.51, 0.56),
    "fisher": (0.55, 0.55, 0.50),
    "synflow": (0.73, 0.76, 0.75),
    "naswot": (0.77, 0.80, 0.78),
    "ntk_condition": (0.44, 0.43, 0.63),
    "zico_signed": (0.80, 0.81, 0.79),
    "swap": (0.81, 0.82, 0.77),
    "meco": (0.89, 0.88, 0.85),
    "AZ-NAS": (0.91, 0.90, 0.89),
}
"""Spearman on the three data sets; of MGM, an independent run of the authors' code."""

COMBINATIONS = {
    "AZ-NAS": (rank_product, PARTS),
    "naswot + flops": (rank_sum, ("naswot", "flops")),
    "naswot + jacob_cov + flops": (rank_sum, ("naswot", "jacob_cov", "flops")),
    "the same + synflow": (rank_sum, ("naswot", "jacob_cov", "flops", "synflow")),
    "naswot + az_progressivity": (rank_sum, ("naswot", "az_progressivity")),
    "naswot + jacob_cov + az_progressivity": (
        rank_sum,
        ("naswot", "jacob_cov", "az_progressivity"),
    ),
}


def figure(name: str, values: Floats, accuracy: Sequence[Floats]) -> dict[str, Any]:
    """Rank correlations with the accuracy on each data set.

    Over networks with a score; and over all, those without one behind all others, as a search
    that never takes them has it.
    """
    there = np.isfinite(values)
    known = int(there.sum())
    pairs = [(values[there], column[there]) for column in accuracy]
    varies = known > 1 and len(set(values[there].tolist())) > 1
    last = np.where(there, values, -np.inf)
    return {
        "proxy": name,
        "networks": known,
        "failed": len(values) - known,
        "spearman": [float(spearmanr(*p).statistic) if varies else None for p in pairs],
        "kendall": [float(kendalltau(*p).statistic) if varies else None for p in pairs],
        "spearman_failed_last": [
            float(spearmanr(last, column).statistic) if varies else None for column in accuracy
        ],
        "published_spearman": PUBLISHED.get(name),
    }


def combined(
    setting: Setting, rows: Sequence[Row], accuracy: Sequence[Floats]
) -> Iterator[dict[str, Any]]:
    for name, (combine, parts) in COMBINATIONS.items():
        if set(parts) <= set(setting.proxies):
            yield figure(name, combine([values_of(rows, part) for part in parts]), accuracy)


def chosen(
    rows: Mapping[str, Row], first: Mapping[str, str], accuracy: Sequence[Floats]
) -> tuple[Combination, list[float]] | None:
    """The best sum or product of the ranks of a few proxies, chosen on every second function.

    Args:
        rows: by code of the function.
        first: by code of each architecture, that of its function.
        accuracy: of each architecture, on each data set.

    Returns:
        It, and its Spearman correlation on each data set over architectures of the other
        functions; nothing where there are too few.
    """
    codes = sorted(rows)
    names = [name for name in CANDIDATES if all(name in row["values"] for row in rows.values())]
    if len(codes) < 2 * ENOUGH or not names:
        return None
    side = {code: i % 2 for i, code in enumerate(codes)}
    sides = np.array([side[code] for code in first.values()])
    of_each = [rows[code] for code in first.values()]
    values = {name: values_of(of_each, name) for name in names}
    there = np.isfinite(np.array(list(values.values()))).all(0)
    ranks = {name: rankdata(column[there]) for name, column in values.items()}
    sides, columns = sides[there], [column[there] for column in accuracy]

    def spearmans(combination: Combination, of: int) -> list[float]:
        how, parts = combination
        total = sum(ranks[part] if how == "sum" else np.log(ranks[part]) for part in parts)
        mine = sides == of
        return [float(spearmanr(total[mine], column[mine]).statistic) for column in columns]

    best = max(combinations(names, MOST_PARTS), key=lambda one: float(np.mean(spearmans(one, 0))))
    return best, spearmans(best, 1)


def agreement(
    setting: Setting, rows: Mapping[str, Row], others: Mapping[str, Row]
) -> dict[str, tuple[int, float]]:
    """Networks in both files, and the Spearman correlation of each proxy's figures of them."""
    codes = sorted(rows.keys() & others.keys())
    found = {}
    for name in setting.proxies:
        if all(name in others[code]["values"] for code in codes):
            pair = [values_of([table[code] for code in codes], name) for table in (rows, others)]
            both = np.isfinite(pair).all(0)
            if both.sum() > 2:
                statistic = spearmanr(pair[0][both], pair[1][both]).statistic
                found[name] = int(both.sum()), float(statistic)
    return found


def mean_seconds(rows: Sequence[Row], proxies: Sequence[str]) -> dict[str, float]:
    """Mean time of each proxy on one network, and of each pass that several share."""
    means = {name: float(np.mean([row["seconds"][name] for row in rows])) for name in proxies}
    passes = dict.fromkeys(name for row in rows for name in row["shared_seconds"])
    for name in passes:
        means[f"({name})"] = float(np.mean([row["shared_seconds"].get(name, 0) for row in rows]))
    means["(all)"] = float(np.mean([row["wall_seconds"] for row in rows]))
    means["(all, of the processor)"] = float(np.mean([row["cpu_seconds"] for row in rows]))
    return means


def show(figures: Sequence[dict[str, Any]], seconds: dict[str, float]) -> None:
    """Print the correlations and the times."""
    print(
        "\nCIFAR-10 / CIFAR-100 / ImageNet16-120, validation, larger is better"
        f"\n{'':36s} {'Spearman':18s} {'Kendall':18s} {'published':18s} {'failed last':18s} failed"
        "   ms a network"
    )
    for one in figures:
        texts = [triple(one[key]) for key in KEYS]
        spent = seconds.get(one["proxy"])
        time_text = "" if spent is None else f"{1e3 * spent:8.1f}"
        print(f"{one['proxy']:36s} {' '.join(texts)} {one['failed']:6d}   {time_text}")
    for name, spent in seconds.items():
        if name.startswith("("):
            print(f"{name:36s} {'':82s} {1e3 * spent:8.1f}")


def triple(values: Sequence[float | None] | None) -> str:
    if values is None:
        return f"{'':18s}"
    return "  ".join("  -  " if value is None else f"{value:5.2f}" for value in values) + " "
