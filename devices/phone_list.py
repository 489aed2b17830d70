"""The phones that are attached, and which of them is meant."""

from __future__ import annotations

from collections.abc import Sequence

from devices.adb_text import Attached
from devices.errors import InputError
from devices.phone_name import KIND, alias


def find_phone(attached: Sequence[Attached], address: str) -> Attached:
    """The phone with a serial number or alias; the only one where none is named.

    Raises:
        InputError: there is none, or none was named and there are several.
    """
    shown = "; ".join(f"{KIND}:{each.serial} ({each.model or each.state})" for each in attached)
    if not attached:
        raise InputError(
            "no phone is attached",
            "adb lists none",
            "switch on USB debugging (Developer options) and plug it in; over Wi-Fi, lutier"
            " devices --connect HOST:PORT",
        )
    if not address:
        ready = [each for each in attached if each.state == "device"]
        phones = {alias(each.serial) for each in attached}
        if len(phones) > 1:
            raise InputError(
                f"{len(phones)} phones are attached and none was named",
                shown,
                f"--device {KIND}:{(ready or attached)[0].serial}",
            )
        (address,) = phones
    named = [each for each in attached if each.serial == address]
    found = named or [each for each in attached if alias(each.serial) == alias(address)]
    if not found:
        raise InputError(
            f"{KIND}:{address} is not attached", f"attached are: {shown}", "lutier devices"
        )
    # One phone may be there twice, by cable and by Wi-Fi: the one that is ready, the cable first.
    return min(found, key=lambda each: (each.state != "device", _is_wireless(each), each.serial))


def _is_wireless(phone: Attached) -> bool:
    """Whether it is reached by address, or was found by discovery."""
    return ":" in phone.serial or "._tcp" in phone.serial
