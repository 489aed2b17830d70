"""What a phone is and how it is, asked in one visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devices import phone_health as health
from devices.adb import Adb
from devices.adb_text import Attached, advice
from devices.errors import DeviceError
from devices.phone_name import KIND, alias

_SECONDS = 30.0


@dataclass(frozen=True)
class PhoneStatus:
    """A phone that is attached; what it does not tell is empty or ``None``.

    Attributes:
        serial: as adb lists it. It is shown, and kept nowhere.
        state: ``device`` where it is ready.
        trouble: what stands in the way of measuring it, and what to do; empty where nothing does.
        properties: of ``getprop``.
        heat: how hot it is.
        battery: its charge and temperature.
        cores: with their clocks.
        low_power: whether battery saver is on.
        awake: whether its screen is on.
        load: processes that ran on the average in the last minute.
    """

    serial: str
    state: str
    trouble: tuple[str, str] = ("", "")
    properties: Mapping[str, str] | None = None
    heat: health.Heat | None = None
    battery: health.Battery | None = None
    cores: tuple[health.Core, ...] = ()
    low_power: bool = False
    awake: bool | None = None
    load: float | None = None

    @property
    def device(self) -> str:
        """What it is called where a name is kept."""
        return f"{KIND}:{alias(self.serial)}"

    @property
    def facts(self) -> dict[str, str]:
        """Model, chip, Android and ABI, as far as they are known."""
        properties = self.properties or {}
        of = properties.get
        found = {
            "model": health.model_of(properties),
            "chip": health.chip_of(properties),
            "android": of("ro.build.version.release", ""),
            "abi": of("ro.product.cpu.abi", ""),
        }
        return {name: value for name, value in found.items() if value}


def look_at(adb: Adb, phone: Attached) -> PhoneStatus:
    """Ask a phone what it is and how it is.

    A phone that is not ready, or does not answer, is described by what stands in the way.
    """
    if phone.state != "device":
        known = {"ro.product.model": phone.model} if phone.model else None
        return PhoneStatus(phone.serial, phone.state, advice(phone.state, phone.serial), known)
    try:
        properties, cores, heat, battery, saver, power, load = adb.run(
            phone.serial,
            health.PROPERTIES_COMMAND,
            health.CORES_COMMAND,
            health.THERMAL_COMMAND,
            health.BATTERY_COMMAND,
            health.LOW_POWER_COMMAND,
            health.POWER_COMMAND,
            health.LOAD_COMMAND,
            timeout_s=_SECONDS,
        )
    except DeviceError as error:
        return PhoneStatus(phone.serial, phone.state, (f"{error.what}: {error.why}", error.hint))
    found = health.parse_battery(battery.output)
    low_power = saver.output.strip() == "1"
    objections = health.objections(found, low_power=low_power)
    return PhoneStatus(
        phone.serial,
        phone.state,
        ("; ".join(objections), "charge it, let it cool, switch battery saver off")
        if objections
        else ("", ""),
        health.parse_properties(properties.output),
        health.parse_heat(heat.output),
        found,
        health.parse_cores(cores.output),
        low_power,
        health.is_awake(power.output),
        health.parse_load(load.output),
    )
