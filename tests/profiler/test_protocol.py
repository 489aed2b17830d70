"""Protocols: what cannot be timed is refused, and two that differ have different ids."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import Any

import pytest

from devices.errors import InputError
from profiler.protocol import STATISTIC, Protocol

DIFFERENT: dict[str, Any] = {
    "warmup_runs": 3,
    "timed_runs": 6,
    "min_rounds": 13,
    "max_rounds": 61,
    "target_error": 0.02,
    "min_seconds": 1.5,
    "max_seconds": 60.0,
    "reference_every": 8,
    "renewal": 4.0,
}


def test_every_setting_is_varied_here() -> None:
    assert set(DIFFERENT) == {field.name for field in dataclasses.fields(Protocol)}


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_id_changes_with_every_setting(name: str) -> None:
    assert Protocol(**{name: DIFFERENT[name]}).id != Protocol().id


def test_the_same_settings_have_the_same_id() -> None:
    assert Protocol(**DIFFERENT).id == Protocol(**DIFFERENT).id
    assert Protocol(target_error=1e-2).id == Protocol(target_error=0.01).id
    assert len(Protocol().id) == 12


def test_the_settings_are_stored_with_the_statistic_and_read_back() -> None:
    stored = json.loads(json.dumps(Protocol(**DIFFERENT).to_dict()))
    assert "median" in stored.pop("statistic")
    assert Protocol(**stored) == Protocol(**DIFFERENT)


def test_the_id_of_tables_that_know_no_reference_every_stays() -> None:
    known = {
        "warmup_runs": 2,
        "timed_runs": 5,
        "min_rounds": 12,
        "max_rounds": 300,
        "target_error": 0.01,
        "min_seconds": 0.0,
        "max_seconds": 120.0,
        "statistic": STATISTIC,
    }
    text = json.dumps(known, sort_keys=True, separators=(",", ":"))
    assert Protocol().id == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert Protocol().to_dict() == known


def test_a_reference_that_is_timed_less_often_is_stored() -> None:
    assert Protocol(reference_every=2).to_dict()["reference_every"] == 2
    assert Protocol(reference_every=2).id != Protocol(reference_every=3).id


def test_renewal_is_stored_where_models_are_renewed() -> None:
    assert "renewal" not in Protocol().to_dict()
    assert Protocol(renewal=2.0).to_dict()["renewal"] == 2.0


def test_settings_of_a_table_that_knows_no_reference_every_are_read() -> None:
    stored = Protocol(timed_runs=9).to_dict()
    del stored["statistic"]
    assert "reference_every" not in stored
    assert Protocol(**stored) == Protocol(timed_runs=9, reference_every=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"warmup_runs": -1},
        {"renewal": -0.5},
        {"renewal": math.nan},
        {"renewal": math.inf},
        {"timed_runs": 0},
        {"min_rounds": 1},
        {"min_rounds": 301},
        {"max_rounds": 11},
        {"target_error": 0.0},
        {"target_error": 1.0},
        {"target_error": -0.1},
        {"target_error": math.nan},
        {"min_seconds": -1.0},
        {"min_seconds": math.inf},
        {"min_seconds": math.nan},
        {"min_seconds": 121.0},
        {"max_seconds": -1.0},
        {"max_seconds": math.inf},
        {"max_seconds": math.nan},
        {"reference_every": 0},
        {"reference_every": -8},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Protocol(**settings)


def test_the_least_that_can_be_asked_is_allowed() -> None:
    Protocol(warmup_runs=0, timed_runs=1, min_rounds=2, max_rounds=2)


def test_a_lengthened_protocol_has_the_room_it_needs() -> None:
    short = Protocol(min_seconds=1.0, max_seconds=3.0)
    assert short.lengthened(2) == Protocol(min_seconds=2.0, max_seconds=3.0)
    assert short.lengthened(4) == Protocol(min_seconds=4.0, max_seconds=4.0)
