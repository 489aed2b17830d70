"""What ``lutier doctor --device android:SERIAL`` looks at, one function a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from devices import phone_health as health
from devices.adb import Adb
from devices.errors import LutierError
from devices.phone_list import find_phone
from devices.phone_status import PhoneStatus, look_at
from devices.phone_tools import TOOLS, check_binary
from lutier.checks import Finding
from lutier.settings import Settings

_BUSY = 0.3
_WARM_C = 36.0


def check_phone(settings: Settings, address: str) -> list[Finding]:
    """Ask every question about one phone.

    Args:
        settings: where the programs are that measure on it.
        address: its serial number or alias; empty for the only one.

    Raises:
        InputError: no such phone.
        MissingExtraError: no adb.
    """
    adb = Adb.find()
    findings = [Finding("adb", "ok", f"{adb.program}, version {adb.version()}")]
    phone = look_at(adb, find_phone(adb.devices(), address))
    findings += _link(phone)
    if phone.properties is None or phone.state != "device":
        return findings
    checks: list[Callable[[PhoneStatus], Iterator[Finding]]] = [
        _battery,
        _heat,
        _governor,
        _clocks,
        _load,
        _screen,
    ]
    findings += [finding for check in checks for finding in check(phone)]
    return findings + list(_programs(settings, phone))


def _link(phone: PhoneStatus) -> Iterator[Finding]:
    facts = ", ".join(phone.facts.values())
    if phone.state != "device" or phone.properties is None:
        what, advice = phone.trouble
        yield Finding("phone", "fail", f"{phone.serial}: {what or phone.state}", advice)
    else:
        yield Finding("phone", "ok", f"{phone.serial} is {phone.device}: {facts}")


def _battery(phone: PhoneStatus) -> Iterator[Finding]:
    battery = phone.battery
    if battery is None:
        yield Finding("battery", "ok", "none is told of: an emulator, or a board without one")
        return
    text = f"{battery.percent} %, {battery.temperature_c:.0f} C"
    found = health.objections(battery, low_power=False)
    if found:
        yield Finding("battery", "fail", "; ".join(found), "charge it, and let it cool")
    else:
        yield Finding("battery", "ok", text)
    if phone.low_power:
        yield Finding(
            "battery saver",
            "fail",
            "on: clocks are held down",
            "switch it off in Settings, Battery",
        )
    if battery.charging and battery.percent < 80:
        yield Finding(
            "charging",
            "warn",
            f"through {battery.charging} at {battery.percent} %: charging warms a phone",
            "measure when it is full, or over Wi-Fi without the cable",
        )
    else:
        yield Finding("charging", "ok", battery.charging or "not charging")


def _heat(phone: PhoneStatus) -> Iterator[Finding]:
    heat = phone.heat
    if heat is None or (heat.status is None and not heat.temperatures_c):
        yield Finding(
            "heat",
            "warn",
            "the phone does not tell (Android before 10)",
            "watch the drift that lutier profile reports",
        )
        return
    text = "" if heat.skin_c != heat.skin_c else f"{heat.skin_c:.0f} C, "
    status = heat.status or 0
    text += f"thermal status {status} ({health.THROTTLING[min(status, 6)]})"
    if status > 0:
        yield Finding(
            "heat", "fail", f"{text}: it is throttled", "let it cool; take it out of its case"
        )
    elif heat.skin_c > _WARM_C:
        yield Finding("heat", "warn", f"{text}: warm already", "let it cool before measuring")
    else:
        yield Finding("heat", "ok", text)


def _governor(phone: PhoneStatus) -> Iterator[Finding]:
    names = sorted({core.governor for core in phone.cores if core.governor})
    if not names:
        yield Finding("governor", "warn", "the phone does not tell: clocks may change unseen")
    elif names == ["powersave"]:
        yield Finding(
            "governor", "fail", "powersave: clocks are held down", "switch its power mode to normal"
        )
    else:
        yield Finding("governor", "ok", ", ".join(names))


def _clocks(phone: PhoneStatus) -> Iterator[Finding]:
    if not phone.cores or not any(core.max_khz for core in phone.cores):
        yield Finding(
            "clocks",
            "warn",
            "the phone does not tell its clocks: --cores cannot be big, little or prime",
            "--cores all, or a mask",
        )
        return
    text = health.describe_clusters(phone.cores)
    held = [
        f"core {core.number} at {core.allowed_khz // 1000} of {core.max_khz // 1000} MHz"
        for core in phone.cores
        if 0 < core.allowed_khz < core.max_khz
    ]
    if held:
        yield Finding(
            "clocks",
            "warn",
            f"held down: {', '.join(held)}",
            "let it cool, switch its power mode to high, then look again",
        )
    else:
        yield Finding("clocks", "ok", text)


def _load(phone: PhoneStatus) -> Iterator[Finding]:
    if phone.load is None or not phone.cores:
        yield Finding("load", "ok", "the phone does not tell")
        return
    share = phone.load / len(phone.cores)
    text = f"{phone.load:.1f} processes on {len(phone.cores)} cores in the last minute"
    if share > _BUSY:
        yield Finding(
            "load", "warn", text, "close its apps, flight mode on, and wait for updates to end"
        )
    else:
        yield Finding("load", "ok", text)


def _screen(phone: PhoneStatus) -> Iterator[Finding]:
    if phone.awake is False:
        yield Finding(
            "screen",
            "warn",
            "off: many phones park their fast cores then",
            "Developer options, Stay awake",
        )
    else:
        yield Finding("screen", "ok", "on" if phone.awake else "the phone does not tell")


def _programs(settings: Settings, phone: PhoneStatus) -> Iterator[Finding]:
    abi = (phone.properties or {}).get("ro.product.cpu.abi", "unknown")
    for runtime, tool in TOOLS.items():
        name = f"runtime {runtime}"
        path: Path | None = settings.programs.get(runtime)
        if path is None:
            yield Finding(
                name,
                "warn",
                f"no {tool.name} is named",
                f"{tool.variable}=FILE, from {tool.source}",
            )
            continue
        try:
            check_binary(path, abi, tool)
        except LutierError as error:
            yield Finding(name, "fail", f"{error.what}: {error.why}", error.hint)
        else:
            yield Finding(name, "ok", f"{tool.name} at {path}")
