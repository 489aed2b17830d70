"""Random search: every admissible network is as likely, none comes twice.

What every other strategy has to beat; on NAS-Bench-201 it is hard to (Li and Talwalkar: "Random
Search and Reproducibility for Neural Architecture Search", UAI 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from search.architecture import Architecture
from search.strategies.admissible import Admissible
from search.strategies.base import Ledger, Strategy, strangers


@dataclass(frozen=True)
class RandomSearch(Strategy):
    """Uniform draws from exactly the admissible set, without replacement.

    Where repeats are asked for, every network is evaluated once before any is twice.
    """

    @property
    def name(self) -> str:
        """``random``."""
        return "random"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """Every admissible network in random order."""
        yield from strangers(admissible, ledger, generator)
