"""Health of a phone: heat, battery, clocks and cores, read from what its tools print."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devices.errors import InputError, UnparsableOutputError

THERMAL_COMMAND = ("dumpsys", "thermalservice")
BATTERY_COMMAND = ("dumpsys", "battery")
LOW_POWER_COMMAND = ("settings", "get", "global", "low_power")
POWER_COMMAND = ("dumpsys", "power")
PROPERTIES_COMMAND = ("getprop",)
# The text is a constant: nothing of what is asked is pasted into it.
CORES_COMMAND = (
    "sh",
    "-c",
    "for core in /sys/devices/system/cpu/cpu[0-9]*; do for name in cpuinfo_max_freq"
    " scaling_max_freq scaling_cur_freq scaling_governor; do"
    ' echo "${core##*cpu} $name $(cat "$core/cpufreq/$name" 2>/dev/null)"; done; done',
)
LOAD_COMMAND = ("cat", "/proc/loadavg")

LEAST_BATTERY = 30
"""Charge in percent below which phones save power."""
WARMEST_BATTERY_C = 38.0
"""Temperature of the battery above which phones slow down soon."""
THROTTLING = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""What Android calls each thermal status, from 0."""

_TEMPERATURE = re.compile(
    r"Temperature\{mValue=(-?\d{1,9}(?:\.\d{1,12})?(?:E-?\d{1,2})?|NaN), mType=(-?\d{1,9}),"
    r" mName=([^,}]*), mStatus=(-?\d{1,9})\}"
)
_CPU, _SKIN = 0, 3
_NAMED = {"TYPE_CPU": _CPU, "TYPE_SKIN": _SKIN}
_SANE_C = (-30.0, 150.0)


@dataclass(frozen=True)
class Heat:
    """How hot a phone is.

    Attributes:
        status: Android's thermal status, 0 (not throttled) to 6; ``None`` where it is not told.
        temperatures_c: by name of the sensor: the processor's and the skin's.
        skin_c: the warmest of the skin's, else of the processor's; NaN without either. Phones
            lower their clocks by it.
    """

    status: int | None
    temperatures_c: Mapping[str, float]
    skin_c: float


def parse_heat(text: str) -> Heat:
    """Read ``dumpsys thermalservice``; what is not in it is not known."""
    status = re.search(r"^[ \t]*Thermal Status:[ \t]*(\d{1,9})\b", text, re.MULTILINE)
    # What the sensors say now, not what was last told to those who listen.
    current = text.partition("Current temperatures from HAL")[2] or text
    by_kind: dict[int, list[float]] = {_CPU: [], _SKIN: []}
    temperatures = {}
    for value, number, name, _ in _TEMPERATURE.findall(current):
        # Some makers number their sensors otherwise; their names are told apart all the same.
        kind = _NAMED.get(name, -1) if name.startswith("TYPE_") else int(number)
        celsius = float(value)
        if kind in by_kind and _SANE_C[0] < celsius < _SANE_C[1]:
            by_kind[kind].append(celsius)
            temperatures[name] = celsius
    warmest = max(by_kind[_SKIN] or by_kind[_CPU], default=math.nan)
    return Heat(int(status[1]) if status else None, temperatures, warmest)


@dataclass(frozen=True)
class Battery:
    """The state of a battery.

    Attributes:
        percent: charge.
        temperature_c: of the battery.
        charging: where the current comes from (``AC``, ``USB``, ``Wireless``), empty for nowhere.
    """

    percent: int
    temperature_c: float
    charging: str


def parse_battery(text: str) -> Battery | None:
    """Read ``dumpsys battery``; ``None`` where there is no battery, as in an emulator."""
    found = dict(
        re.findall(r"^[ \t]*([A-Za-z][\w ]*):[ \t]*(\S{1,40})[ \t\r]*$", text, re.MULTILINE)
    )
    try:
        level, scale = int(found["level"]), int(found.get("scale", "100"))
        tenths = int(found["temperature"])
    except (KeyError, ValueError):
        return None
    if scale <= 0 or found.get("present") == "false":
        return None
    sources = ("AC", "USB", "Wireless", "Dock")
    charging = " ".join(name for name in sources if found.get(f"{name} powered") == "true")
    return Battery(round(100 * level / scale), tenths / 10, charging)


@dataclass(frozen=True)
class Core:
    """One core of a phone; frequencies in kHz, 0 where they are not told.

    Attributes:
        number: from 0.
        max_khz: the most it can do.
        allowed_khz: the most it may do now.
        current_khz: what it does now.
        governor: what decides on that; empty where it is not told.
    """

    number: int
    max_khz: int
    allowed_khz: int
    current_khz: int
    governor: str


def parse_cores(text: str) -> tuple[Core, ...]:
    """Read what :data:`CORES_COMMAND` prints, in the order of the cores."""
    facts: dict[int, dict[str, str]] = {}
    for number, name, value in re.findall(r"^(\d{1,4}) (\w+) (.*)$", text, re.MULTILINE):
        facts.setdefault(int(number), {})[name] = value.strip()
    return tuple(
        Core(
            number,
            _khz(of.get("cpuinfo_max_freq")),
            _khz(of.get("scaling_max_freq")),
            _khz(of.get("scaling_cur_freq")),
            of.get("scaling_governor", ""),
        )
        for number, of in sorted(facts.items())
    )


def _khz(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else 0


def clusters(cores: Sequence[Core]) -> tuple[tuple[Core, ...], ...]:
    """The cores by the most that they can do, the slowest first.

    A core whose clocks are not told, as where it is switched off, counts only where none are.
    """
    known = {core.max_khz for core in cores if core.max_khz}
    speeds = sorted(known or {core.max_khz for core in cores})
    return tuple(tuple(core for core in cores if core.max_khz == speed) for speed in speeds)


def choose_cores(cores: Sequence[Core], wanted: str, threads: int) -> tuple[Core, ...]:
    """The cores that a target names.

    Args:
        cores: of the phone.
        wanted: ``little`` is the slowest cluster, ``prime`` the fastest. ``big`` is the fastest of
            two, the second slowest of more, and all cores where they are alike. ``all`` is all,
            and a mask such as ``0xf0`` what it says.
        threads: to be run on them.

    Raises:
        UnparsableOutputError: the phone named no cores.
        InputError: a mask of cores that are not there or not alike, or fewer cores than threads.
    """
    if not cores:
        raise UnparsableOutputError("the phone does not say what cores it has")
    groups = clusters(cores)
    cores = sorted((core for group in groups for core in group), key=lambda core: core.number)
    if wanted.startswith("0x"):
        mask = int(wanted, 16)
        chosen = tuple(core for core in cores if mask >> core.number & 1)
        if sum(1 << core.number for core in chosen) != mask:
            raise InputError(
                f"cores={wanted}", f"the phone has {len(cores)} cores", describe_clusters(cores)
            )
        if len(clusters(chosen)) > 1:
            raise InputError(
                f"cores={wanted}",
                "they have different clocks, and the figure would be of whichever it ran on",
                describe_clusters(cores),
            )
    else:
        places = {"little": 0, "prime": -1, "big": 1 if len(groups) > 1 else 0}
        chosen = tuple(cores) if wanted == "all" else groups[places[wanted]]
    if threads > len(chosen):
        raise InputError(
            f"threads={threads}",
            f"cores={wanted} are {len(chosen)} cores",
            f"fewer threads, or other cores: {describe_clusters(cores)}",
        )
    return chosen


def mask_of(cores: Sequence[Core]) -> str:
    """The cores as ``taskset`` takes them: hexadecimal digits."""
    return f"{sum(1 << core.number for core in cores):x}"


def describe_clusters(cores: Sequence[Core]) -> str:
    """The clusters in words: ``4 at 1803 MHz (0xf), 2 at 2850 MHz (0xc0)``."""
    return ", ".join(
        f"{len(group)} at {group[0].max_khz // 1000} MHz (0x{mask_of(group)})"
        for group in clusters(cores)
    )


def parse_properties(text: str) -> dict[str, str]:
    """Read ``getprop``: value by name."""
    return dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]", text, re.MULTILINE))


def model_of(properties: Mapping[str, str]) -> str:
    """Maker and model of a phone, from its properties; empty where they are not told."""
    names = ("ro.product.manufacturer", "ro.product.model")
    return " ".join(properties.get(name, "") for name in names).strip()


def chip_of(properties: Mapping[str, str]) -> str:
    """Its chip, or else the board it sits on; empty where neither is told."""
    names = ("ro.soc.manufacturer", "ro.soc.model")
    soc = " ".join(properties.get(name, "") for name in names).strip()
    return soc or properties.get("ro.board.platform", "") or properties.get("ro.hardware", "")


def is_awake(text: str) -> bool | None:
    """Whether the screen is on, from ``dumpsys power``; ``None`` where it does not say."""
    found = re.search(r"^[ \t]*mWakefulness=(\w+)", text, re.MULTILINE)
    return None if found is None else found[1] == "Awake"


def parse_load(text: str) -> float | None:
    """Processes that ran on the average in the last minute, from ``/proc/loadavg``."""
    found = re.match(r"\s*(\d+(?:\.\d+)?) ", text)
    return float(found[1]) if found else None


def objections(battery: Battery | None, *, low_power: bool) -> list[str]:
    """What keeps a phone from being measured at all."""
    found = []
    if battery is not None and battery.percent < LEAST_BATTERY:
        found.append(
            f"the battery is at {battery.percent} %: below {LEAST_BATTERY} % it saves power"
        )
    if battery is not None and battery.temperature_c > WARMEST_BATTERY_C:
        found.append(
            f"the battery has {battery.temperature_c:.0f} C: above {WARMEST_BATTERY_C:.0f} C the"
            " phone slows down"
        )
    if low_power:
        found.append("battery saver is on")
    return found
