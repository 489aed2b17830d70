"""What a phone is called where a name is kept: never by its serial number."""

from __future__ import annotations

import hashlib
import ipaddress
import re

KIND = "android"
ALL = "all"
"""The address that stands for every phone that is attached."""

_ALIAS = re.compile(r"phone-[0-9a-f]{10}")
_MDNS = re.compile(r"adb-(.+?)-[A-Za-z0-9]{6}\._adb(-tls-connect)?\._tcp\.?")


def alias(serial: str) -> str:
    """The name of the phone with a serial number: ``phone-`` and ten digits of its SHA-256.

    Of a phone that is reached by an IP address, the port, which changes whenever it is connected,
    does not count, and neither does what discovery adds to the serial number. An alias is its own.
    """
    if _ALIAS.fullmatch(serial):
        return serial
    digest = hashlib.sha256(_lasting(serial).encode()).hexdigest()
    return f"phone-{digest[:10]}"


def _lasting(serial: str) -> str:
    if found := _MDNS.fullmatch(serial):
        return found[1]
    host, _, port = serial.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return serial
    # Several phones that are simulated on one machine differ by their port alone.
    return serial if address.is_loopback or not port.isdigit() else host


def kept_name(device: str) -> str:
    """A device as it is written in a target: a phone by its alias, all else as it is."""
    kind, separator, address = device.partition(":")
    if kind != KIND or not separator or not address or address == ALL:
        return device
    return f"{KIND}:{alias(address)}"
