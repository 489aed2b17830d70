"""What the kinds of search say beyond the result itself, read with care.

``details`` of a :class:`lutier.results.SearchResult` is whatever the method left there. What is
drawn of it is checked here; what a method does not say is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, ValidationError

from devices.errors import InputError
from lutier.results import SearchResult


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Epoch(_Lenient):
    """One epoch of ProxylessNAS (:class:`search.proxyless.EpochRecord`)."""

    epoch: NonNegativeInt
    phase: str
    train_loss: FiniteFloat
    validation_loss: FiniteFloat | None = None
    expected_ms: FiniteFloat
    entropy: FiniteFloat


class Candidate(_Lenient):
    """A network that a search looked at.

    Attributes:
        architecture: its id.
        predicted_ms: by the latency model.
        measured_ms: median; ``None`` where it was not measured.
        upper_ms: the most that was allowed for it, which the budget was compared with.
    """

    architecture: str
    predicted_ms: FiniteFloat
    measured_ms: FiniteFloat | None = None
    upper_ms: FiniteFloat | None = None


class Tried(Candidate):
    """A network that was measured while the budget was being met (:mod:`search.closed_loop`)."""

    asked_ms: FiniteFloat


class Trained(Candidate):
    """A network that was measured, trained or both (:class:`search.result.Finalist`)."""

    score: FiniteFloat | None = None
    status: str
    validation_accuracy: FiniteFloat | None = None
    test_accuracy: FiniteFloat | None = None
    train_loss: tuple[FiniteFloat, ...] = ()
    failure: str = ""


class Evaluated(_Lenient):
    """A network that a strategy evaluated (:class:`search.strategies.base.Evaluation`).

    Attributes:
        order: which evaluation of the search it was, from 0.
        architecture: its id.
        value: validation accuracy after a short training; ``None`` where that failed.
        latency_ms: predicted.
        failure: why it failed.
    """

    order: NonNegativeInt
    architecture: str
    value: FiniteFloat | None
    latency_ms: FiniteFloat
    failure: str = ""


class Funnel(_Lenient):
    """How many networks each step of KNAS left (:class:`search.result.Funnel`)."""

    space_size: NonNegativeInt
    admissible: NonNegativeInt
    pool: NonNegativeInt
    scored: NonNegativeInt
    measured: NonNegativeInt
    trained: NonNegativeInt


class Training(_Lenient):
    """The training from scratch of the network found."""

    train_loss: tuple[FiniteFloat, ...] = ()


class Model(_Lenient):
    """The latency model that was searched with."""

    mape: FiniteFloat | None = None
    noise_floor: FiniteFloat | None = None
    table_has_changed_since: bool = False


class Further(_Lenient):
    """A further target with a budget of its own."""

    target: str
    environment_id: str = ""
    budget_ms: FiniteFloat
    predicted_ms: FiniteFloat
    measured_ms: FiniteFloat
    table_digest: str = ""


class Details(_Lenient):
    """All of it."""

    config: Mapping[str, Any] = {}
    training: Mapping[str, Any] = {}
    trained: Training = Training()
    history: tuple[Epoch, ...] = ()
    probabilities: tuple[tuple[FiniteFloat, ...], ...] = ()
    rounds: tuple[Tried, ...] = ()
    finalists: tuple[Trained, ...] = ()
    evaluations: tuple[Evaluated, ...] = ()
    funnel: Funnel | None = None
    also: tuple[Further, ...] = ()
    model: Model = Model()
    table_digest: str = ""
    data_notes: tuple[str, ...] = ()
    regressed_ops: tuple[str, ...] = ()
    confidence: FiniteFloat | None = None


def read_details(result: SearchResult, where: str) -> Details:
    """The details of a result.

    Args:
        result: of any method.
        where: it is from, for a message.

    Raises:
        InputError: something is not what it should be.
    """
    try:
        return Details.model_validate(result.details)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(["details", *(str(part) for part in first["loc"])])
        raise InputError(
            f"the result in {where} cannot be shown",
            f"{name}: {first['msg']}",
            "a result of this version of Lutier",
        ) from error
