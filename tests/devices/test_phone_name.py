"""Names of phones: the same phone has the same one, and none gives its serial number away."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.phone_name import alias, kept_name

SERIAL = "R58M12ABCDE"


@given(st.text())
def test_any_serial_has_an_alias_of_one_form(serial: str) -> None:
    assert re.fullmatch(r"phone-[0-9a-f]{10}", alias(serial))


@given(st.text(alphabet="0123456789abcdefABCDEFRZX", min_size=6, max_size=20))
def test_an_alias_does_not_hold_the_serial(serial: str) -> None:
    assert serial not in alias(serial)


def test_an_alias_stays_what_it_was() -> None:
    # Tables of before speak of it: the first digits of the SHA-256 of the serial number.
    assert alias(SERIAL) == "phone-e5325ac64b"


def test_two_phones_have_two_aliases() -> None:
    serials = (SERIAL, "R58M12ABCDF", "emulator-5554", "emulator-5556", "192.0.2.7:5555")
    assert len({alias(serial) for serial in serials}) == len(serials)


@given(st.text())
def test_an_alias_is_its_own(serial: str) -> None:
    assert alias(alias(serial)) == alias(serial)


@pytest.mark.parametrize(
    "address", ["192.0.2.7:5555", "192.0.2.7:37099", "192.0.2.7:1", "192.0.2.7:65535"]
)
def test_over_wifi_the_port_does_not_count(address: str) -> None:
    assert alias(address) == alias("192.0.2.7")


def test_over_wifi_the_address_counts() -> None:
    assert alias("192.0.2.7:5555") != alias("192.0.2.8:5555")


@pytest.mark.parametrize("host", ["[2001:db8::7]", "[fe80::1%wlan0]"])
def test_the_port_behind_an_address_of_ipv6_does_not_count(host: str) -> None:
    assert alias(f"{host}:5555") == alias(f"{host}:37099")


def test_two_addresses_of_ipv6_are_two_phones() -> None:
    assert alias("[2001:db8::7]:5555") != alias("[2001:db8::8]:5555")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]", "localhost"])
def test_on_this_machine_the_port_is_all_that_tells_phones_apart(host: str) -> None:
    assert alias(f"{host}:5555") != alias(f"{host}:5557")


@pytest.mark.parametrize("port", ["", "adb", "-1", "5555 "])
def test_what_is_no_port_counts(port: str) -> None:
    assert alias(f"192.0.2.7:{port}") != alias("192.0.2.7")


@pytest.mark.parametrize(
    "serial",
    [
        f"adb-{SERIAL}-aB3xY9._adb-tls-connect._tcp",
        f"adb-{SERIAL}-Zz0000._adb-tls-connect._tcp.",
        f"adb-{SERIAL}-aB3xY9._adb._tcp",
    ],
)
def test_what_discovery_adds_to_a_serial_does_not_count(serial: str) -> None:
    assert alias(serial) == alias(SERIAL)


def test_a_serial_with_dashes_is_kept_whole_by_discovery() -> None:
    assert alias("adb-AB-12-cd-aB3xY9._adb-tls-connect._tcp") == alias("AB-12-cd")


@pytest.mark.parametrize(
    "serial",
    [
        f"adb-{SERIAL}",
        f"adb-{SERIAL}-aB3xY9",
        f"adb-{SERIAL}-aB3xY9._adb-tls-pairing._tcp",
        f"adb-{SERIAL}-short._adb-tls-connect._tcp",
    ],
)
def test_what_only_looks_like_discovery_counts(serial: str) -> None:
    assert alias(serial) != alias(SERIAL)


def test_a_phone_is_kept_by_its_alias() -> None:
    assert kept_name(f"android:{SERIAL}") == f"android:{alias(SERIAL)}"
    assert kept_name("android:192.0.2.7:5555") == f"android:{alias('192.0.2.7')}"


@given(st.text(min_size=1))
def test_what_is_kept_is_kept_as_it_is(address: str) -> None:
    kept = kept_name(f"android:{address}")
    assert kept_name(kept) == kept


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        "cuda:0",
        "replay:/tmp/a:b.json",
        f"ssh:{SERIAL}",
        f"android2:{SERIAL}",
        f"my-android:{SERIAL}",
        "android",
        "android:",
        "android:all",
    ],
)
def test_all_else_is_kept_as_it_is(device: str) -> None:
    assert kept_name(device) == device
