"""Scores of many untrained networks: one proxy, or several combined by their ranks.

A network that a proxy fails on has no score, says why, and is ranked by nobody. Scores of one
network depend on no other and on no number of workers or threads; ranks depend on who is ranked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from devices.errors import InputError, UnknownNameError
from search.architecture import Architecture
from search.proxies.az_nas import PARTS
from search.proxies.context import ScoreContext
from search.proxies.ranking import rank_product, rank_sum
from search.proxies.registry import open_proxy, proxy_names, score
from search.spaces.base import SearchSpace
from search.train import build_network, placed

RANDOM = "random"
DEFAULT_SCORE = "naswot+jacob_cov+flops"
NAMED = {"az_nas": "*".join(PARTS)}
"""Combinations that have a name."""

Aggregate = Literal["one", "sum", "product"]


@dataclass(frozen=True)
class ScoreRule:
    """What networks are ranked by.

    Attributes:
        names: of proxies; of none for a random order.
        aggregate: ``one`` proxy as it is; the ``sum`` of the ranks of several, or their
            ``product``, which holds one bad rank against a network more than several good ones
            help it.
    """

    names: tuple[str, ...]
    aggregate: Aggregate = "one"

    @classmethod
    def parse(cls, text: str) -> ScoreRule:
        """Read ``mgm``, ``random``, ``az_nas``, ``naswot+flops`` or ``naswot*flops``.

        Raises:
            UnknownNameError: a proxy that is not known; names the nearest.
            InputError: it is written otherwise.
        """
        if text == RANDOM:
            return cls(())
        written = NAMED.get(text, text)
        if "+" in written and "*" in written:
            raise InputError(
                f"the score {text!r}",
                "ranks are added with + or multiplied with *, not both",
                written.replace("*", "+"),
            )
        separator = "*" if "*" in written else "+"
        names = tuple(name.strip() for name in written.split(separator))
        known = [RANDOM, *NAMED, *proxy_names()]
        for name in names:
            if not name:
                raise InputError(f"the score {text!r}", f"a name is missing beside a {separator}")
            if name not in known:
                raise UnknownNameError.of("score", name, known)
            if name in (RANDOM, *NAMED):
                raise InputError(f"the score {text!r}", f"{name} is not combined", name)
        if len(set(names)) < len(names):
            raise InputError(f"the score {text!r}", "a proxy is named twice")
        if len(names) == 1:
            return cls(names)
        return cls(names, "product" if separator == "*" else "sum")

    def combined(self, scores: Sequence[Scored]) -> list[float | None]:
        """One figure for each network, larger is better; nothing where a proxy failed.

        Args:
            scores: of all networks that are ranked together.
        """
        table = np.array(
            [
                [
                    math.nan if (v := one.values[proxy.name]) is None else proxy.better(v)
                    for one in scores
                ]
                for proxy in map(open_proxy, self.names)
            ]
        )
        if self.aggregate == "one":
            figures = table[0]
        else:
            figures = (rank_sum if self.aggregate == "sum" else rank_product)(list(table))
        return [float(figure) if np.isfinite(figure) else None for figure in figures]


@dataclass(frozen=True)
class Scored:
    """What proxies say of one network.

    Attributes:
        values: by proxy, the mean over the initialisations; ``None`` where it failed.
        failures: by proxy, why.
    """

    values: Mapping[str, float | None]
    failures: Mapping[str, str]

    @property
    def failure(self) -> str:
        """Why there is no score; empty where there is one."""
        return "; ".join(f"{name}: {why}" for name, why in self.failures.items())

    def row(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {"values": dict(self.values), "failures": dict(self.failures)}


@dataclass(frozen=True)
class ScoreWork:
    """Scores one network, anywhere.

    Attributes:
        space: that architectures are of.
        names: of the proxies.
        inputs: the batch, shape ``(n, C, H, W)``.
        targets: class indices, shape ``(n,)``.
        seed: of the first initialisation.
        repeats: initialisations, each of the next seed.
        device: torch device.
    """

    space: SearchSpace
    names: tuple[str, ...]
    inputs: Tensor
    targets: Tensor
    seed: int = 0
    repeats: int = 1
    device: str = "cpu"

    def __call__(self, architecture: Architecture) -> Scored:
        """The scores of a network."""
        threads = torch.get_num_threads()
        # Sums are rounded otherwise with more threads.
        torch.set_num_threads(1)
        try:
            return self._scored(architecture)
        finally:
            torch.set_num_threads(threads)

    def _scored(self, architecture: Architecture) -> Scored:
        totals = dict.fromkeys(self.names, 0.0)
        failures: dict[str, str] = {}
        inputs, targets = placed(self.inputs, self.device), self.targets.to(self.device)
        for seed in range(self.seed, self.seed + self.repeats):
            network = build_network(self.space, architecture, seed)
            network.to(self.device)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
            context = ScoreContext(network, inputs, targets, seed, "the network")
            for name, one in score(context, self.names).items():
                if one.value is None:
                    failures.setdefault(name, one.failure)
                else:
                    totals[name] += one.value
        values = {
            name: None if name in failures else total / self.repeats
            for name, total in totals.items()
        }
        return Scored(values, failures)
