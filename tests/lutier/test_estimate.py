"""How long a profile will take, said before it is begun."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from devices.environment import Environment
from devices.registry import open_target
from devices.replay import ReplayDevice, write_recording
from devices.target import Target
from lutier.cli.main import main
from lutier.estimate import estimate
from lutier.networks import carrier_jobs, op_jobs
from profiler.plan import Plan
from profiler.protocol import Protocol
from search.spaces.registry import open_space

SPACE = "mobile-tiny?width=0.25"
CPU = Target.parse("cpu/onnxruntime?threads=1")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    main([*words, "--json"])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["profile", "--space", SPACE, "--networks", "3"]
    said = run(capsys, *words, "--dry-run")
    assert (said["stored"], said["failed"]) == (0, 0)
    assert said["todo"] == said["planned"] > said["ops"] > 0
    assert 0 < said["least_seconds"] <= said["most_seconds"]
    assert run(capsys, "table", "show")["targets"] == {}


def test_what_is_stored_is_not_counted_again(capsys: pytest.CaptureFixture[str]) -> None:
    stored = ["profile", "--op", "linear/64/out=10"]
    run(capsys, *stored)
    said = run(capsys, *stored, "--op", "linear/32/out=10", "--dry-run")
    assert (said["planned"], said["ops"], said["stored"], said["todo"]) == (2, 2, 1, 1)


def test_it_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    main(["profile", "--op", "linear/64/out=10", "--dry-run"])
    said = capsys.readouterr().out
    assert "1 to be measured on cpu/onnxruntime?threads=1: 1 ops" in said
    assert "0 of them are stored already: 1 are left" in said
    assert "expected time:" in said


def test_more_to_measure_takes_longer() -> None:
    space = open_space(SPACE)
    jobs = [*op_jobs(space), *carrier_jobs(space, 0)]
    with open_target(CPU) as device:
        few, many = (
            estimate(Plan(tuple(some), (), ()), 0, device, CPU, Protocol())
            for some in (jobs[:5], jobs)
        )
    assert few.least_seconds < many.least_seconds


def test_a_device_that_cannot_run_the_reference_gives_no_time(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    target = Target.make(f"replay:{file}", "onnxruntime", {})
    write_recording(file, target, Environment.of({}), {"linear/64/out=10": [1.0]})
    plan = Plan(tuple(op_jobs(open_space(SPACE))[:1]), (), ())
    with ReplayDevice(str(file)) as device:
        said = estimate(plan, 1, device, target, Protocol())
    assert math.isnan(said.least_seconds)
    assert said.todo == 1
