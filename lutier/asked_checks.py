"""What ``lutier doctor`` looks at where one thing is asked for: a device, an extra, a runtime."""

from __future__ import annotations

from collections.abc import Iterator

from devices.cuda import CudaDevice
from devices.errors import DeviceError, LutierError, MissingError, UnknownNameError
from devices.host import HostDevice
from devices.nvml import GpuHealth
from devices.phone_name import KIND as PHONE
from devices.registry import open_device
from lutier.checks import (
    Finding,
    check_extra,
    check_gpu,
    check_machine,
    check_programs,
    check_settings,
    reason,
    run_checks,
    runtimes_of,
)
from lutier.extras import extra_names
from lutier.settings import Settings


def askable() -> tuple[str, ...]:
    """Names that :func:`check_part` knows: extras, and runtimes of this machine."""
    return tuple(sorted({*extra_names(), *HostDevice().runtimes}))


def check_part(settings: Settings, name: str) -> list[Finding]:
    """Whether an extra or a runtime is there.

    Raises:
        UnknownNameError: it is neither, with the nearest names.
    """
    if name not in askable():
        raise UnknownNameError.of("extra or runtime", name[:80], askable())
    if name == PHONE:
        # Any adb will do: the extra is one way to get it.
        return [each for each in check_programs(settings) if each.name == "adb"]
    found = [check_extra(name)] if name in extra_names() else []
    with HostDevice() as host:
        return found + [each for each in runtimes_of(host) if each.name == f"runtime {name}"]


def check_device(settings: Settings, device: str) -> list[Finding]:
    """Ask every question about one device.

    Args:
        settings: where the programs are that measure on phones, and the database.
        device: ``cpu``, ``cuda:0``, ``android:SERIAL``, ``ssh:HOST``, ... ``cuda`` is ``cuda:0``.

    Raises:
        UnknownNameError: no such kind of device, with the nearest names.
        InputError: an address that it cannot have.
        MissingExtraError: a phone without an adb.
    """
    kind, _, address = device.partition(":")
    if kind == PHONE:
        from lutier.phone_checks import check_phone

        return check_phone(settings, address)
    if device == "cpu":
        return run_checks(settings)
    if kind == "cuda":
        return [
            *check_settings(settings),
            *check_machine(settings),
            *check_gpu(settings),
            *_cuda(address or "0"),
        ]
    return list(_other(device))


def _cuda(address: str) -> Iterator[Finding]:
    name = f"device cuda:{address}"
    try:
        gpu = CudaDevice(address)
    except (MissingError, DeviceError) as error:
        yield _absent(name, error)
        return
    with gpu:
        health = gpu.health()
        reasons = ", ".join(health.clock_reasons or ())
        if health.is_throttled:
            yield Finding(name, "warn", f"throttled: {reasons}", "let it cool, then look again")
        else:
            yield Finding(name, "ok", f"answers{_state(health)}")
        yield from runtimes_of(gpu)


def _state(health: GpuHealth) -> str:
    """What a GPU tells of itself, behind a colon."""
    told = {
        "C": health.temperature_c,
        "W": health.power_w,
        "MHz": health.graphics_clock_mhz,
    }
    words = [f"{value:.0f} {unit}" for unit, value in told.items() if value is not None]
    return f": {', '.join(words)}" if words else ""


def _other(name: str) -> Iterator[Finding]:
    try:
        device = open_device(name)
    except (MissingError, DeviceError) as error:
        yield _absent(f"device {name}", error)
        return
    with device:
        yield Finding(f"device {name}", "ok", f"answers; runtimes: {', '.join(device.runtimes)}")


def _absent(name: str, error: LutierError) -> Finding:
    return Finding(name, "none", reason(error), error.hint)
