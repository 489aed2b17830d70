"""What a search took in energy, and what that is in CO2 equivalents (extra ``energy``).

CodeCarbon says how much, by what the hardware meters where it can be read, and else by the load and
the rated power of the CPU, which it looks up by its name. A CPU that it does not know has no
figure: its guess is not taken. Nothing is looked up on the network.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from devices.errors import InputError, MissingExtraError, UnknownNameError
from devices.files import write_at_once
from lutier.results import SearchResult, write_result

ENERGY_FILE = "energy.json"
Source = Literal["metered", "given", "rated", "unknown"]
_EVERY_S = 5.0


class EnergyRun(BaseModel):
    """One run of a command, from its start to its end or interruption.

    Attributes:
        seconds: that it took.
        kwh: energy of CPU, memory and GPUs; ``None`` where the power of the CPU is not known.
        co2e_kg: emissions of that energy; ``None`` where no country was given.
        country: ISO 3166-1 code of three letters, whose mix of electricity is taken.
        cpu: name of the CPU.
        cpu_source: where the power of the CPU is from: ``metered`` by the hardware, ``given``,
            ``rated`` as its maker says, with the load, or ``unknown``.
        cpu_watts: rated or given power.
        gpus: how many were metered.
    """

    model_config = ConfigDict(extra="forbid")

    seconds: float
    kwh: float | None
    co2e_kg: float | None
    country: str | None
    cpu: str
    cpu_source: Source
    cpu_watts: float | None
    gpus: int


class Energy(BaseModel):
    """All runs of a search, those that were interrupted too."""

    model_config = ConfigDict(extra="forbid")

    runs: tuple[EnergyRun, ...] = ()

    @property
    def kwh(self) -> float | None:
        """Of all runs; ``None`` where one is not known."""
        return _sum([run.kwh for run in self.runs])

    @property
    def co2e_kg(self) -> float | None:
        """Of all runs; ``None`` where one is not known."""
        return _sum([run.co2e_kg for run in self.runs])

    def lines(self) -> list[str]:
        """What it was, for a person."""
        if not self.runs:
            return []
        last = self.runs[-1]
        if self.kwh is None:
            return [
                f"energy unknown: CodeCarbon does not know the power of {last.cpu!r};"
                " --cpu-watts W says it"
            ]
        watts = f"{last.cpu_watts:g} W" if last.cpu_watts is not None else ""
        how = {
            "metered": "metered by the hardware",
            "given": f"by its load and {watts} as given",
            "rated": f"by its load and the rated {watts} of {last.cpu}",
        }.get(last.cpu_source, "")
        runs = f", {len(self.runs)} runs" if len(self.runs) > 1 else ""
        told = [f"energy {self.kwh:.3g} kWh{runs}; CPU {how}, memory by CodeCarbon's model"]
        if self.co2e_kg is None:
            return [*told, "CO2e unknown: --country CODE says whose electricity it was, e.g. DEU"]
        return [*told, f"emissions {self.co2e_kg:.3g} kg CO2e, electricity of {last.country}"]


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


class Meter:
    """Counts energy, for as long as it runs.

    Args:
        country: ISO 3166-1 code of three letters; ``None`` gives no emissions.
        cpu_watts: power of the CPU at full load, where it is known better.

    Raises:
        MissingExtraError: CodeCarbon is not installed.
        UnknownNameError: a country whose electricity it does not know.
        InputError: a power that is not above zero.
    """

    def __init__(self, country: str | None = None, cpu_watts: float | None = None) -> None:
        if cpu_watts is not None and not cpu_watts > 0:
            raise InputError(f"a CPU of {cpu_watts:g} W", "must be above zero")
        try:
            self._package: Any = import_module("codecarbon")
            self._cpus: Any = import_module("codecarbon.core.cpu")
        except ImportError as error:
            raise MissingExtraError(
                "codecarbon is not installed", "--energy needs it", "pip install 'lutier[energy]'"
            ) from error
        # It reports on its own doings, warnings of what is said here among them.
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
        self.country = None if country is None else _checked_country(country)
        self.cpu_watts = cpu_watts
        self._tracker: Any = None

    def start(self) -> None:
        """Begin to count."""
        settings: dict[str, Any] = {
            "country_iso_code": self.country or "USA",
            "output_methods": [],
            "electricitymaps_api_token": None,
            "emissions_endpoint": None,
            "allow_multiple_runs": True,
            "tracking_mode": "process",
            "measure_power_secs": _EVERY_S,
            "log_level": "critical",
            "force_cpu_power": self.cpu_watts,
        }
        self._tracker = self._package.OfflineEmissionsTracker(**settings)
        self._tracker.start()

    def stop(self) -> EnergyRun:
        """End, and say how much it was."""
        self._tracker.stop()
        data = self._tracker.final_emissions_data
        source, watts = self._source(data.cpu_model)
        is_known = source != "unknown"
        return EnergyRun(
            seconds=round(data.duration, 1),
            kwh=data.energy_consumed if is_known else None,
            co2e_kg=data.emissions if is_known and self.country is not None else None,
            country=self.country,
            cpu=data.cpu_model or "",
            cpu_source=source,
            cpu_watts=watts,
            gpus=int(data.gpu_count or 0),
        )

    def _source(self, cpu: str) -> tuple[Source, float | None]:
        """Where the power of the CPU is from, by the parts that were counted."""
        if self.cpu_watts is not None:
            return "given", self.cpu_watts
        # CodeCarbon makes public neither what it meters nor whether it guessed.
        parts = {type(part).__name__: part for part in self._tracker._hardware}
        if "AppleSiliconChip" in parts or "Raspberry" in parts:
            return "metered", None
        part = parts.get("CPU")
        if part is not None and part._mode not in ("cpu_load", "constant"):
            return "metered", None
        rated = self._cpus.TDP()._get_cpu_power_from_registry(cpu) if cpu else None
        if part is None or rated is None or part._tdp < rated:
            return "unknown", None
        return "rated", float(part._tdp)


def _checked_country(country: str) -> str:
    mixes = json.loads(
        (files("codecarbon") / "data/private_infra/global_energy_mix.json").read_text()
    )
    if country.upper() not in mixes:
        raise UnknownNameError.of("country", country, mixes)
    return country.upper()


@contextmanager
def metered(folder: Path, meter: Meter | None) -> Iterator[None]:
    """Count what is done inside, interrupted or not, and add it to the folder's file."""
    if meter is None:
        yield
        return
    before = load_energy(folder)
    meter.start()
    try:
        yield
    finally:
        energy = Energy(runs=(*before.runs, meter.stop()))
        # A command that was refused leaves no folder.
        if folder.exists():
            write_at_once(folder / ENERGY_FILE, energy.model_dump_json(indent=2) + "\n")


def metered_search(
    folder: Path, meter: Meter | None, search: Callable[[], SearchResult]
) -> SearchResult:
    """A search, with the energy of all its runs beside the result, in the file too."""
    with metered(folder, meter):
        result = search()
    if meter is None:
        return result
    details = {**result.details, "energy": load_energy(folder).model_dump()}
    result = result.model_copy(update={"details": details})
    write_result(folder, result)
    return result


def load_energy(folder: Path) -> Energy:
    """What earlier runs in a folder took.

    Raises:
        InputError: a file that says something else.
    """
    path = folder / ENERGY_FILE
    if not path.is_file():
        return Energy()
    try:
        return Energy.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{path} does not say what energy was used", "", f"delete {path}"
        ) from error
