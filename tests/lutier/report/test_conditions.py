"""Under what conditions everything was measured."""

from __future__ import annotations

from pathlib import Path

import drawn_results as made

from lutier.plots.evidence import Evidence
from lutier.plots.runs import find_runs
from lutier.report.conditions import conditions


def test_machine_model_and_searches_are_there(tmp_path: Path) -> None:
    found = conditions(made.two_runs(tmp_path), {made.TARGET: made.made_evidence()})
    titles = [group.title for group in found]
    assert titles == [
        f"Machine of {made.TARGET}",
        f"Latency model of {made.SPACE.name} on {made.TARGET}",
        "Search first",
        "Search second",
    ]
    assert ("chip", "a chip") in found[0].facts
    assert ("noise floor", "0.4 %") in found[1].facts
    assert ("seed", "3") in found[2].facts
    assert found[2].settings[0].facts[0] == ("pool size", "50")


def test_without_a_table_only_the_searches_are_there(tmp_path: Path) -> None:
    runs = find_runs([made.write_result(tmp_path / "a", drift=1.2)])
    (search,) = conditions(runs, {made.TARGET: Evidence(made.TARGET)})
    assert search.title == "Search a"
    assert ("speed", "the machine is 20% slower than when its table was measured") in search.facts
    assert search.settings == ()
