"""Opening the device of a target, with what the settings say about it."""

from __future__ import annotations

from devices.base import Device
from devices.phone_name import KIND
from devices.registry import open_target
from devices.target import Target
from lutier.settings import Settings


def open_measured(settings: Settings, target: Target) -> Device:
    """The device of a target, its runtime checked; a phone with the programs it is measured by.

    Raises:
        UnknownNameError: no such device, or it has no such runtime.
        InputError, MissingExtraError, DeviceError: as the device says.
    """
    kind, _, address = target.device.partition(":")
    if kind != KIND:
        return open_target(target)
    from devices.android import AndroidDevice

    device = AndroidDevice(
        address, programs=settings.programs, patience_s=settings.android_patience
    )
    device.artifact_format(target.runtime)
    return device


def named_device(device: str) -> str:
    """A device with its address: of ``android`` alone, that of the only phone attached.

    Raises:
        InputError: several phones are attached, or none.
    """
    if device != KIND:
        return device
    from devices.adb import Adb
    from devices.phone_list import find_phone

    return f"{KIND}:{find_phone(Adb.find().devices(), '').serial}"
