"""Tree-structured Parzen estimators, as Optuna has them (extra ``search``).

Bergstra, Bardenet, Bengio, Kégl: "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011; the
model that BOHB samples from (Falkner, Klein, Hutter, ICML 2018), here without its Hyperband: every
evaluation is one whole training. Choices are drawn where networks that did well are dense and the
others are not. Samples over the budget, or of networks that were evaluated, are drawn again; where
too many are refused in a row, a uniform draw from the admissible set takes the sample's place.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.errors import MissingExtraError
from search.architecture import Architecture
from search.strategies.admissible import Admissible
from search.strategies.base import Ledger, Strategy, strangers
from search.train_config import require_positive


@dataclass(frozen=True)
class TpeSearch(Strategy):
    """Optuna's TPE sampler over the choices of a network.

    Attributes:
        initial: random networks that are evaluated first.
        patience: samples refused in a row before a uniform draw takes their place.

    Raises:
        InputError: a number not above zero.
    """

    initial: int = 10
    patience: int = 50

    def __post_init__(self) -> None:
        require_positive(initial=self.initial, patience=self.patience)

    @property
    def name(self) -> str:
        """``tpe``."""
        return "tpe"

    def propose(
        self, admissible: Admissible, ledger: Ledger, generator: np.random.Generator
    ) -> Iterator[Architecture]:
        """Random networks, then samples of the estimators that are within the budget and new.

        Raises:
            MissingExtraError: Optuna is not installed.
        """
        drawing, choosing = generator.spawn(2)
        fresh = strangers(admissible, ledger, drawing)
        sampler = _Sampler(admissible, int(choosing.integers(2**31)))
        worst = math.inf
        for order in range(1_000_000_000):
            trial, architecture = None, None
            if order >= self.initial:
                trial, architecture = sampler.sample(ledger, self.patience)
            if architecture is None:
                architecture = next(fresh, None)
            if architecture is None:
                return
            yield architecture
            value = ledger.last.value
            # A failure is worth no more than the worst that did not fail.
            worst = worst if value is None else min(worst, value)
            sampler.tell(trial, architecture, worst if value is None else value)


class _Sampler:
    """A study of Optuna that is asked and told."""

    def __init__(self, admissible: Admissible, seed: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError(
                "optuna is not installed",
                "the strategy tpe needs it",
                "pip install 'lutier[search]'",
            ) from error
        self.optuna: Any = optuna
        self.admissible = admissible
        self.distributions = {
            str(i): optuna.distributions.CategoricalDistribution(tuple(range(width)))
            for i, width in enumerate(admissible.widths)
        }
        # A study that is made announces itself on the terminal.
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = optuna.samplers.TPESampler(
                    seed=seed, n_startup_trials=1, multivariate=True
                )
            self.study: Any = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(verbosity)

    def sample(self, ledger: Ledger, patience: int) -> tuple[Any, Architecture | None]:
        """A sample that may be evaluated and its trial, or nothing in time."""
        admissible = self.admissible
        for _ in range(patience):
            trial = self.study.ask(self.distributions)
            choices = [trial.params[name] for name in self.distributions]
            architecture = admissible.architecture(choices)
            if architecture is None:
                ledger.refuse("not in the space")
            else:
                architecture = admissible.canonical(architecture)
                if admissible.latency_ms(architecture) > admissible.budget_ms:
                    ledger.refuse("over budget")
                elif not ledger.is_open(architecture):
                    ledger.refuse("already evaluated")
                else:
                    return trial, architecture
            # Optuna learns nothing from a trial that failed.
            self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        return None, None

    def tell(self, trial: Any, architecture: Architecture, value: float) -> None:
        """What an evaluation gave; of a network that was not sampled, a trial is added."""
        fails = not math.isfinite(value)
        if trial is not None:
            state = self.optuna.trial.TrialState.FAIL if fails else None
            self.study.tell(trial, None if fails else value, state=state)
        elif not fails:
            params = dict(zip(self.distributions, architecture.choices, strict=True))
            self.study.add_trial(
                self.optuna.trial.create_trial(
                    params=params, distributions=self.distributions, value=value
                )
            )
