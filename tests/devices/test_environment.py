"""Environments: the same facts have the same id, any other facts another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.environment import Environment, chip_name, governor, host_facts

FACTS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4)


def test_the_id_is_the_same_in_every_process_and_version() -> None:
    # Stored with every measurement: another id would make all of them count as another machine's.
    assert Environment.of({"chip": "A", "cores": "2"}).id == "2e782982414a"


def test_the_order_of_facts_does_not_matter() -> None:
    one, other = Environment.of({"a": "1", "b": "2"}), Environment.of({"b": "2", "a": "1"})
    assert (one, one.id) == (other, other.id)


@given(FACTS, FACTS)
def test_ids_agree_where_the_facts_do_and_only_there(
    one: dict[str, str], other: dict[str, str]
) -> None:
    assert (Environment.of(one).id == Environment.of(other).id) == (one == other)


@given(FACTS)
def test_the_facts_come_back_as_they_were(facts: dict[str, str]) -> None:
    assert Environment.of(facts).to_dict() == facts
    assert Environment.of(facts).differences(Environment.of(facts)) == []


def test_differences_are_said_in_words() -> None:
    before = Environment.of({"governor": "powersave", "chip": "A", "driver": "1"})
    after = Environment.of({"governor": "performance", "chip": "A", "cores": "2"})
    assert before.differences(after) == [
        "cores: not known -> 2",
        "driver: 1 -> not known",
        "governor: powersave -> performance",
    ]


@pytest.mark.parametrize("fact", ["chip", "architecture", "cores", "system", "governor"])
def test_this_machine_has_a_value_for_every_fact(fact: str) -> None:
    assert host_facts()[fact].strip()


def test_chip_and_governor_are_one_line_each() -> None:
    assert len(chip_name().splitlines()) == 1
    assert len(governor().splitlines()) == 1
