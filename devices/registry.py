"""Devices by name: ``cpu``, ``cuda:0``, ``android:SERIAL``, ``ssh:HOST``, ..., or a plug-in's."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from devices.android import AndroidDevice
from devices.base import Device
from devices.cuda import CudaDevice
from devices.errors import UnknownNameError
from devices.host import HostDevice
from devices.replay import ReplayDevice
from devices.ssh import SshDevice
from devices.target import Target

ENTRY_POINT_GROUP = "lutier.devices"
_BUILT_IN: dict[str, Callable[[str], Device]] = {
    "android": AndroidDevice,
    "cpu": HostDevice,
    "cuda": CudaDevice,
    "replay": ReplayDevice,
    "ssh": SshDevice,
}


def device_names() -> tuple[str, ...]:
    """Names of all kinds of device, built in and plugged in, sorted."""
    plugged = {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return tuple(sorted(plugged | set(_BUILT_IN)))


def open_device(name: str) -> Device:
    """The device a name stands for; what follows the first colon is its address.

    Raises:
        UnknownNameError: no such kind of device, with the nearest names.
        InputError: an address the device cannot use.
        DeviceError: the device does not answer.
    """
    kind, _, address = name.partition(":")
    if kind in _BUILT_IN:
        return _BUILT_IN[kind](address)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == kind:
            factory: Callable[[str], Device] = entry.load()
            return factory(address)
    raise UnknownNameError.of("device", kind, device_names())


def open_target(target: Target) -> Device:
    """The device of a target, with its runtime checked.

    Raises:
        UnknownNameError: no such device, or the device has no such runtime.
        InputError, DeviceError: as in :func:`open_device`.
    """
    device = open_device(target.device)
    device.artifact_format(target.runtime)
    return device
