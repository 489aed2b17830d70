"""The details of methods are read with care."""

from __future__ import annotations

import drawn_results as made
import pytest

from devices.errors import InputError
from lutier.plots.details import read_details
from lutier.results import SearchResult


def result(details: dict[str, object]) -> SearchResult:
    return SearchResult.model_validate(made.result_document(details=details))


def test_what_a_method_does_not_say_is_empty() -> None:
    details = read_details(result({}), "here")
    assert details.history == details.rounds == details.finalists == details.also == ()
    assert details.funnel is None
    assert details.model.noise_floor is None


def test_what_is_new_in_a_later_version_is_left_alone() -> None:
    details = made.proxyless_details(surprise=[1])
    details["history"][0]["multiplier"] = 0.5
    assert len(read_details(result(details), "here").history) == 3


@pytest.mark.parametrize("value", ["x", float("nan"), None])
def test_a_figure_that_is_none_is_refused(value: object) -> None:
    details = made.proxyless_details()
    details["history"][1]["expected_ms"] = value
    with pytest.raises(InputError, match=r"details\.history\.1\.expected_ms"):
        read_details(result(details), "here")
