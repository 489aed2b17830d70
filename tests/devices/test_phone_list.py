"""Which phone is meant: the one that is named, or the only one; never the first of several."""

from __future__ import annotations

import pytest

from devices.adb_text import Attached
from devices.errors import InputError
from devices.phone_list import find_phone
from devices.phone_name import alias

PIXEL = Attached("2A141FDH2001AB", "device", {"model": "Pixel_7"})
GALAXY = Attached("R58M12ABCDE", "device", {"model": "SM_A525F"})


def over_wifi(serial: str, state: str = "device") -> Attached:
    """The same phone as discovery names it."""
    return Attached(f"adb-{serial}-aB3xY9._adb-tls-connect._tcp", state)


def test_the_only_phone_is_meant_where_none_is_named() -> None:
    assert find_phone([PIXEL], "") is PIXEL


def test_the_only_phone_is_given_whatever_its_state() -> None:
    # What is in its way is told by whoever waits for it.
    locked = Attached("R58M12ABCDE", "unauthorized")
    assert find_phone([locked], "") is locked


@pytest.mark.parametrize("address", ["", "R58M12ABCDE", alias("R58M12ABCDE")])
def test_without_any_phone_it_is_said_how_to_attach_one(address: str) -> None:
    with pytest.raises(InputError, match="no phone is attached: adb lists none") as caught:
        find_phone([], address)
    assert "USB debugging" in caught.value.hint
    assert "lutier devices --connect HOST:PORT" in caught.value.hint


def test_of_two_none_is_taken_and_both_are_listed_with_the_flag() -> None:
    with pytest.raises(InputError, match="2 phones are attached and none was named") as caught:
        find_phone([PIXEL, GALAXY], "")
    assert caught.value.why == ("android:2A141FDH2001AB (Pixel 7); android:R58M12ABCDE (SM A525F)")
    assert caught.value.hint == "--device android:2A141FDH2001AB"


def test_a_phone_that_does_not_say_its_model_is_listed_with_its_state() -> None:
    with pytest.raises(InputError, match=r"android:R58M12ABCDE \(offline\)"):
        find_phone([PIXEL, Attached("R58M12ABCDE", "offline")], "")


def test_the_flag_names_a_phone_that_is_ready() -> None:
    with pytest.raises(InputError) as caught:
        find_phone([Attached("2A141FDH2001AB", "unauthorized"), GALAXY], "")
    assert caught.value.hint == "--device android:R58M12ABCDE"


def test_where_none_is_ready_the_flag_names_one_of_them() -> None:
    with pytest.raises(InputError) as caught:
        find_phone([Attached("a", "offline"), Attached("b", "offline")], "")
    assert caught.value.hint == "--device android:a"


@pytest.mark.parametrize("phone", [PIXEL, GALAXY], ids=["first", "second"])
def test_a_phone_is_found_by_serial_and_by_alias(phone: Attached) -> None:
    assert find_phone([PIXEL, GALAXY], phone.serial) is phone
    assert find_phone([PIXEL, GALAXY], alias(phone.serial)) is phone


def test_a_part_of_a_serial_names_no_phone() -> None:
    with pytest.raises(InputError, match="android:R58M12 is not attached"):
        find_phone([PIXEL, GALAXY], "R58M12")


@pytest.mark.parametrize("address", ["R58M12ABCDF", alias("R58M12ABCDF")])
def test_a_phone_that_is_not_there_is_told_with_those_that_are(address: str) -> None:
    with pytest.raises(InputError, match=f"android:{address} is not attached") as caught:
        find_phone([PIXEL, GALAXY], address)
    assert "android:2A141FDH2001AB (Pixel 7)" in caught.value.why
    assert caught.value.hint == "lutier devices"


def test_another_phone_is_not_taken_for_the_one_that_is_named() -> None:
    with pytest.raises(InputError, match="is not attached"):
        find_phone([PIXEL], GALAXY.serial)


# One phone, attached twice

# Discovery's name stands before some serial numbers in the alphabet, and behind others.
SERIALS = pytest.mark.parametrize("serial", ["R58M12ABCDE", "ce11160b4a2f", "0123456789ABCDEF"])


@SERIALS
@pytest.mark.parametrize("turn", [1, -1])
def test_by_cable_and_by_wifi_the_cable_is_taken(serial: str, turn: int) -> None:
    cable = Attached(serial, "device")
    both = [cable, over_wifi(serial)][::turn]
    assert find_phone(both, alias(serial)) is cable


@SERIALS
@pytest.mark.parametrize("turn", [1, -1])
def test_where_the_cable_is_not_ready_wifi_is_taken(serial: str, turn: int) -> None:
    wifi = over_wifi(serial)
    both = [Attached(serial, "offline"), wifi][::turn]
    assert find_phone(both, alias(serial)) is wifi


@SERIALS
def test_where_neither_is_ready_the_cable_is_waited_for(serial: str) -> None:
    cable = Attached(serial, "unauthorized")
    assert find_phone([over_wifi(serial, "offline"), cable], alias(serial)) is cable


def test_one_phone_that_is_attached_twice_need_not_be_named() -> None:
    assert find_phone([over_wifi(GALAXY.serial), GALAXY], "") is GALAXY


def test_with_one_of_them_attached_twice_two_phones_are_counted() -> None:
    with pytest.raises(InputError, match="2 phones are attached"):
        find_phone([over_wifi(GALAXY.serial), GALAXY, PIXEL], "")


def test_by_its_serial_a_phone_is_found_that_wifi_lists_under_a_longer_name() -> None:
    wifi = over_wifi(GALAXY.serial)
    assert find_phone([PIXEL, wifi], GALAXY.serial) is wifi


def test_of_two_ports_of_one_address_the_one_that_is_ready_is_taken() -> None:
    old, new = Attached("192.0.2.7:5555", "offline"), Attached("192.0.2.7:37099", "device")
    assert find_phone([old, new], alias("192.0.2.7:40000")) is new


def test_a_port_that_is_named_is_the_one_that_is_meant() -> None:
    old, new = Attached("192.0.2.7:5555", "offline"), Attached("192.0.2.7:37099", "device")
    assert find_phone([old, new], "192.0.2.7:5555") is old
