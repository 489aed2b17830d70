"""What a search says before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from recorded_machine import NETWORKS, SPACE, record

from devices.errors import InputError, UntrustworthyError
from devices.replay import ReplayDevice
from devices.target import Target
from lutier import searching
from lutier.cli.profiling import run_profile
from lutier.modelling import fit_models
from lutier.searching import Bench, Request
from lutier.settings import Settings
from profiler.jobs import Job
from profiler.protocol import Protocol
from search.train_config import TrainConfig


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded machine, and the table and the model of it."""
    folder = tmp_path_factory.mktemp("measured")
    record(folder / "machine.json", 1.0, "one")
    settings, target = settings_of(folder), target_of(folder)
    run_profile(settings, target, SPACE.name, quiet=True)
    fit_models(settings, target, calibration=20)
    return folder


def target_of(folder: Path) -> Target:
    return Target.parse(f"replay:{folder / 'machine.json'}/onnxruntime")


def settings_of(folder: Path) -> Settings:
    return Settings(
        home=folder, db=f"sqlite:///{folder / 'l.db'}", networks=NETWORKS, min_seconds=0
    )


@pytest.fixture
def request_(measured: Path, tmp_path: Path) -> Iterator[Request]:
    yield Request(
        target_of(measured), SPACE.name, "digits", 1.0, 0, tmp_path / "out", 1, quiet=True
    )
    # For the next test, where this one changed the machine.
    record(measured / "machine.json", 1.0, "one")


@pytest.fixture
def settings(measured: Path, tmp_path: Path) -> Settings:
    """A store of the test's own, with the table and the model of the recorded machine."""
    return settings_of(shutil.copytree(measured, tmp_path / "store"))


def warnings(settings: Settings, request: Request) -> list[str]:
    with ReplayDevice(request.target.device.partition(":")[2]) as device:
        return list(Bench(settings, request, device).warnings())


def test_nothing_is_said_where_all_is_as_it_was(settings: Settings, request_: Request) -> None:
    assert warnings(settings, request_) == []


def test_a_machine_that_has_changed_is_said(
    settings: Settings, request_: Request, measured: Path
) -> None:
    record(measured / "machine.json", 1.0, "two")
    (line,) = warnings(settings, request_)
    assert "chip: one -> two" in line


def test_a_table_that_has_grown_since_the_fit_is_said(
    settings: Settings, request_: Request, measured: Path
) -> None:
    more = settings.model_copy(update={"max_rounds": 400})
    record(measured / "machine.json", 1.1, "one")
    run_profile(more, request_.target, SPACE.name, quiet=True)
    (line,) = warnings(settings, request_)
    assert "lutier fit" in line


def test_a_budget_that_is_to_hold_with_a_probability_is_asked_for_with_a_margin(
    settings: Settings, request_: Request
) -> None:
    with ReplayDevice(request_.target.device.partition(":")[2]) as device:
        plain = Bench(settings, request_, device)
        sure, surer = (
            Bench(settings, replace(request_, confidence=confidence), device)
            for confidence in (0.8, 0.95)
        )
    assert plain.asked_ms == request_.budget_ms
    assert surer.asked_ms <= sure.asked_ms
    factor = sure.model.errors.upper_factor(0.8)
    assert sure.asked_ms == pytest.approx(request_.budget_ms / factor)


def test_more_confidence_than_was_measured_is_refused(
    settings: Settings, request_: Request
) -> None:
    with (
        ReplayDevice(request_.target.device.partition(":")[2]) as device,
        pytest.raises(UntrustworthyError, match="samples only, 999 are needed"),
    ):
        Bench(settings, replace(request_, confidence=0.999), device)


def test_what_is_to_be_known_about_the_data_is_said(
    settings: Settings, request_: Request, tmp_path: Path
) -> None:
    for i in range(20):
        folder = tmp_path / "images" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, 2 * i, 3 * i)).save(folder / f"{i}.png")
    (folder / "torn.png").touch()
    named = replace(request_, data=f"imagefolder:{tmp_path / 'images'}?skip_corrupt=1")
    assert warnings(settings, named) == ["1 corrupt images were skipped: b/torn.png"]


def test_a_device_that_cannot_train_is_said_before_anything_else(
    settings: Settings, request_: Request
) -> None:
    with pytest.raises(InputError, match="no training on 'cuda:99'"):
        warnings(settings, replace(request_, training=TrainConfig(device="cuda:99")))


@pytest.mark.parametrize(
    ("factors", "wanted", "count"),
    [((1.02,), 1.02, 1), ((1.4, 1.01), 1.01, 2), ((1.3, 1.4, 1.2), 1.2, 3)],
)
def test_a_network_much_slower_than_predicted_is_measured_again_for_longer(
    factors: tuple[float, ...],
    wanted: float,
    count: int,
    settings: Settings,
    request_: Request,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = settings.model_copy(update={"min_seconds": 0.01})
    network = SPACE.architecture([0] * len(SPACE.blocks))
    seconds: list[float] = []
    measure = searching.measure_now

    with ReplayDevice(request_.target.device.partition(":")[2]) as device:
        bench = Bench(longest, request_, device)
        known = bench.table.networks
        predicted_ms = bench.predict_ms(network)

        def busy(jobs: list[Job], _: object, target: Target, protocol: Protocol, seed: int) -> Any:
            like = Job(next(iter(known)), "network", jobs[0].build, jobs[0].input_shape)
            (found,) = measure([like], device, target, protocol, seed=seed).values()
            now_ms = predicted_ms * factors[len(seconds)]
            seconds.append(protocol.min_seconds)
            summary = replace(found.summary, median_ms=now_ms, ci_high_ms=1.01 * now_ms)
            return {jobs[0].key: replace(found, summary=summary)}

        monkeypatch.setattr(searching, "measure_now", busy)
        median_ms, upper_ms = bench.measure(network)
    assert median_ms == pytest.approx(wanted * predicted_ms)
    assert upper_ms >= 1.02 * median_ms
    assert seconds == [0.01, 0.02, 0.04][:count]
