from __future__ import annotations

import math

import pytest
from tiny_scores import context

from devices.errors import InputError
from search.proxies.base import proxy
from search.proxies.context import ScoreContext


@proxy("A paper", higher_is_better=False)
def images(context: ScoreContext) -> float:
    """Number of images.

    More is said here.
    """
    return float(len(context.inputs))


@proxy("A paper")
def nothing(context: ScoreContext) -> float:
    """No number."""
    return math.nan


def test_a_decorated_function_is_a_proxy_of_its_name() -> None:
    assert (images.name, images.source, images.summary) == (
        "images",
        "A paper",
        "Number of images.",
    )
    assert images(context()) == 6.0
    assert images.better(6.0) == -6.0
    assert nothing.better(6.0) == 6.0


def test_a_figure_that_is_not_finite_is_a_failure() -> None:
    with pytest.raises(InputError, match="nothing of Sequential: it is nan"):
        nothing(context())
