from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devices.errors import InputError, MissingExtraError, UnknownNameError
from lutier.energy import Energy, EnergyRun, Meter, load_energy, metered


def codecarbon() -> Any:
    return pytest.importorskip(
        "codecarbon", reason="needs codecarbon: pip install 'lutier[energy]'"
    )


def counted(meter: Meter) -> EnergyRun:
    meter.start()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        sum(range(1000))
    return meter.stop()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be asked of the network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.usefixtures("offline")
def test_a_given_power_gives_energy_and_emissions_offline() -> None:
    codecarbon()
    run = counted(Meter("deu", 20.0))
    assert (run.country, run.cpu_source, run.cpu_watts) == ("DEU", "given", 20.0)
    assert run.kwh is not None
    assert run.co2e_kg is not None
    assert run.kwh > 0
    # Grams of CO2e of a kWh: between those of water power and those of lignite.
    assert 10 < 1000 * run.co2e_kg / run.kwh < 1200


def test_the_mix_of_electricity_is_the_country_s() -> None:
    codecarbon()
    dirty, clean = counted(Meter("POL", 20.0)), counted(Meter("NOR", 20.0))
    ratios = [(run.co2e_kg or 0) / (run.kwh or 1) for run in (dirty, clean)]
    assert ratios[0] > 5 * ratios[1]


def test_without_a_country_there_are_no_emissions() -> None:
    codecarbon()
    run = counted(Meter(None, 20.0))
    assert run.kwh is not None
    assert run.co2e_kg is None
    assert "--country" in Energy(runs=(run,)).lines()[1]


def test_a_cpu_that_is_not_known_has_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    codecarbon()
    from codecarbon.core.cpu import TDP

    monkeypatch.setattr(TDP, "_get_cpu_power_from_registry", lambda *_: None)
    meter = Meter("DEU")
    meter.start()
    run = meter.stop()
    if run.cpu_source == "metered":
        pytest.skip("needs a machine whose CPU does not meter its energy")
    assert run.cpu_source == "unknown"
    assert (run.kwh, run.co2e_kg) == (None, None)
    (line,) = Energy(runs=(run,)).lines()
    assert "does not know the power" in line
    assert "--cpu-watts" in line


def test_a_cpu_that_is_known_is_taken_as_rated(monkeypatch: pytest.MonkeyPatch) -> None:
    codecarbon()
    from codecarbon.core.cpu import TDP

    monkeypatch.setattr(TDP, "_get_cpu_power_from_registry", lambda *_: 65.0)
    meter = Meter("DEU")
    meter._tracker = SimpleNamespace(
        _hardware=[type("CPU", (), {"_mode": "cpu_load", "_tdp": 130.0})()]
    )
    assert meter._source("Intel Something") == ("rated", 130.0)
    # CodeCarbon fell back on a guess for all that.
    meter._tracker._hardware[0].__class__._tdp = 8.0
    assert meter._source("Intel Something") == ("unknown", None)
    meter._tracker._hardware[0].__class__._mode = "intel_rapl"
    assert meter._source("Intel Something") == ("metered", None)


def test_runs_add_up_and_one_that_is_not_known_leaves_the_sum_unknown() -> None:
    def run(kwh: float | None, co2e_kg: float | None) -> EnergyRun:
        return EnergyRun(
            seconds=1,
            kwh=kwh,
            co2e_kg=co2e_kg,
            country="DEU",
            cpu="x",
            cpu_source="given",
            cpu_watts=10,
            gpus=0,
        )

    energy = Energy(runs=(run(0.5, 0.2), run(1.0, None)))
    assert energy.kwh == 1.5
    assert energy.co2e_kg is None
    assert Energy(runs=(run(0.5, 0.2), run(None, None))).kwh is None
    assert energy.lines()[0].startswith("energy 1.5 kWh, 2 runs; CPU by its load and 10 W as given")
    assert Energy().lines() == []


def test_an_interrupted_run_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codecarbon()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt), metered(tmp_path, Meter("DEU", 20.0)):
        raise KeyboardInterrupt
    with metered(tmp_path, Meter("DEU", 20.0)):
        pass
    assert len(load_energy(tmp_path).runs) == 2
    # CodeCarbon leaves no file of its own.
    assert [file.name for file in tmp_path.iterdir()] == ["energy.json"]


def test_a_command_that_was_refused_leaves_nothing(tmp_path: Path) -> None:
    codecarbon()
    with pytest.raises(InputError), metered(tmp_path / "out", Meter("DEU", 20.0)):
        raise InputError("no")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "energy.json").write_text("{")
    with pytest.raises(InputError, match=r"energy\.json"):
        load_energy(tmp_path)


def test_without_codecarbon_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(MissingExtraError, match=r"lutier\[energy\]"):
        Meter("DEU")


def test_a_country_that_is_none_is_said_with_the_nearest() -> None:
    codecarbon()
    with pytest.raises(UnknownNameError, match="DEU"):
        Meter("DEUU")


@pytest.mark.parametrize("watts", [0.0, -1.0, float("nan")])
def test_a_power_is_above_zero(watts: float) -> None:
    with pytest.raises(InputError, match="above zero"):
        Meter("DEU", watts)
