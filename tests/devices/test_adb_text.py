"""What adb prints, in other words: phones, errors and advice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.adb_text import (
    STATES,
    Attached,
    advice,
    explain,
    is_address,
    last_words,
    parse_devices,
    state_said,
)
from devices.errors import DeviceError, LinkLostError

TCP = "127.0.0.1:4242"
PREFIXES = ("", "error: ", "adb: ", "adb: error: ", "error: error: ", "adb.exe: ")
WORDS = (
    "device",
    "offline",
    "no permissions",
    "not found",
    "closed",
    ":",
    "'",
    "\t",
    "\n",
    "[",
    ";",
)
ANY_TEXT = st.text() | st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=8).map(
    " ".join
)

LOST = (
    ("no devices/emulators found", "is not attached"),
    ("no devices found", "is not attached"),
    ("device not found", "is not attached"),
    ("device 'R5CT10XYZ' not found", "is not attached"),
    ("failed to get feature set: device 'R5CT10XYZ' not found", "is not attached"),
    ("device offline", "is offline"),
    ("connect failed: device offline", "is offline"),
    ("device offline (no transport)", "is offline"),
    ("device still authorizing", "is still asking for its key"),
    ("device still connecting", "is still connecting"),
    ("closed", "went away"),
    ("connect failed: closed", "went away"),
    ("protocol fault (couldn't read status): Connection reset by peer", "went away"),
    ("protocol fault (couldn't read status message): Success", "went away"),
    ("failed to copy 'm' to '/data/local/tmp/m': couldn't read from device", "went away"),
    ("failed to read copy response: EOF", "went away"),
    ("failed to read copy response", "went away"),
    ("cannot connect to daemon at tcp:5037: Connection refused", "the adb server"),
    ("failed to check server version: protocol fault", "the adb server"),
    ("failed to connect to '192.0.2.7:5555': Connection refused", "does not listen there"),
    ("failed to connect to '192.0.2.7:5555': No route to host", "cannot be reached"),
    ("failed to connect to 192.0.2.7:5555", "cannot be reached"),
    ("unable to connect to 192.0.2.7:5555: Connection timed out", "cannot be reached"),
    ("failed to authenticate to 192.0.2.7:5555", "has not accepted this machine yet"),
)
LASTING = (
    ("more than one device/emulator", "names more than one phone"),
    ("more than one device and emulator", "names more than one phone"),
    ("more than one device with serial R5", "names more than one phone"),
    (
        "insufficient permissions for device: user in plugdev group; see [http://x]",
        "may not use it",
    ),
    ("USB permission failure: udev requires plugdev group membership", "may not use it"),
    (
        "failed to stat remote object '/data/local/tmp/log': No such file or directory",
        "does not have that file",
    ),
    (
        "failed to copy 'm' to '/data/m': remote couldn't create file: No space left on device",
        "has no room left",
    ),
    ("failed to copy 'm' to '/data/m': remote No space left on device", "has no room left"),
    (
        "failed to copy 'm' to '/system/m': remote couldn't create file: Read-only file system",
        "read-only",
    ),
    (
        "failed to copy 'm' to '/root/m': remote couldn't create file: Permission denied",
        "does not allow that",
    ),
    ("mv: can't rename '/x/a': Permission denied", "does not allow that"),
    ("cannot stat '/nonexistent': No such file or directory", "that is not there"),
    ("unknown command pair", "what this adb does not know"),
    ("failed to resolve host: 'fone': Name or service not known", "leads nowhere"),
    ("no host in ':'", "leads nowhere"),
    ("Failed: Wrong password or connection was dropped.", "did not accept the pairing code"),
)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("said", "meaning"), LOST)
def test_trouble_of_the_link_may_be_tried_again(said: str, meaning: str, prefix: str) -> None:
    error = explain("R5CT10XYZ", f"{prefix}{said}\n")
    assert isinstance(error, LinkLostError)
    assert error.what.startswith("R5CT10XYZ ")
    assert meaning in error.what
    assert error.why == said
    assert error.hint


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("said", "meaning"), LASTING)
def test_trouble_that_lasts_is_not_tried_again(said: str, meaning: str, prefix: str) -> None:
    error = explain("R5CT10XYZ", f"{prefix}{said}\n")
    assert type(error) is DeviceError
    assert meaning in error.what
    assert error.why == said.rstrip(".")
    assert error.hint


def test_a_phone_that_has_not_accepted_this_machine_tells_about_the_prompt() -> None:
    error = explain(
        TCP,
        "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n"
        "Try 'adb kill-server' if that seems wrong.\n"
        "Otherwise check for a confirmation dialog on your device.\n",
    )
    assert isinstance(error, LinkLostError)
    assert error.why == "device unauthorized"
    assert "accept the prompt" in error.hint


def test_an_adb_that_aborts_says_why_behind_the_frame_of_its_log() -> None:
    error = explain(
        "R5",
        "adb F 02-03 04:05:06  1234  1234 file_sync_client.cpp:328]"
        " protocol fault: failed to read stat response: Success\n",
    )
    assert isinstance(error, LinkLostError)
    assert "went away" in error.what


def test_news_of_the_daemon_is_no_reason() -> None:
    said = "* daemon not running; starting now at tcp:5037\n* daemon started successfully\n"
    assert explain("R5", said).why == ""
    assert explain("R5", f"error: closed\n{said}").why == "closed"
    assert last_words(f"{said}adb: something else.\n") == "something else"


def test_a_server_that_does_not_start_says_its_last_reason() -> None:
    error = explain(
        "R5",
        "* daemon not running; starting now at tcp:5037\nADB server didn't ACK\n"
        "* failed to start daemon\nadb: cannot connect to daemon at tcp:5037: Connection refused\n",
    )
    assert isinstance(error, LinkLostError)
    assert error.why == "cannot connect to daemon at tcp:5037: Connection refused"
    assert "adb start-server" in error.hint


def test_a_full_phone_is_told_how_to_make_room() -> None:
    error = explain("R5 X", "adb: error: failed to copy: remote No space left on device")
    assert error.hint.startswith("adb -s 'R5 X' shell rm -r /data/local/tmp/lutier,")


def test_words_inside_a_sentence_are_not_taken_for_a_cause() -> None:
    assert explain("R5", "the lid is closed by hand").what == "R5 did not do what was asked"


def test_adb_itself_is_named_where_no_phone_was_asked() -> None:
    assert explain("", "adb: cannot connect to daemon").what.startswith("adb cannot be asked")


@given(st.text(), ANY_TEXT)
def test_anything_that_is_said_becomes_one_line(serial: str, said: str) -> None:
    error = explain(serial, said)
    assert isinstance(error, DeviceError)
    assert str(error).isprintable()
    assert error.hint


# Phones attached


def test_phones_are_listed_with_what_is_said_of_them() -> None:
    text = (
        "List of devices attached\n"
        "28121FDH2000AB         device usb:1-4 product:panther model:Pixel_7 device:panther"
        " transport_id:3\n"
        "127.0.0.1:4242         offline product:s22 model:SM_S901B device:r0s transport_id:12\n"
        "\n"
    )
    first, second = parse_devices(text)
    assert first == Attached(
        "28121FDH2000AB",
        "device",
        {
            "usb": "1-4",
            "product": "panther",
            "model": "Pixel_7",
            "device": "panther",
            "transport_id": "3",
        },
    )
    assert first.model == "Pixel 7"
    assert (second.serial, second.state, second.model) == (TCP, "offline", "SM S901B")


def test_the_short_form_is_read_too() -> None:
    text = "List of devices attached\n127.0.0.1:4242\tunauthorized\nR5 X\tdevice\n\n"
    assert parse_devices(text) == (Attached(TCP, "unauthorized"), Attached("R5 X", "device"))


@pytest.mark.parametrize("between", ["\t", "  ", "                 "])
def test_a_phone_without_permissions_keeps_its_facts(between: str) -> None:
    (phone,) = parse_devices(
        f"List of devices attached\n082f59270073e1e3{between}no permissions (user in plugdev group;"
        " are your udev rules wrong?); see [http://developer.android.com/tools/device.html]"
        " usb:1-1 transport_id:3\n"
    )
    assert phone == Attached(
        "082f59270073e1e3", "no permissions", {"usb": "1-1", "transport_id": "3"}
    )


@pytest.mark.parametrize(
    "serial",
    [
        "(no serial number)",
        "????????????",
        "adb-28121FDH2000AB-x7Qa1b (2)._adb-tls-connect._tcp",
        "emulator-5554",
        "[fe80::1%wlan0]:5555",
        "a-serial-that-is-longer-than-its-column",
    ],
)
@pytest.mark.parametrize("state", STATES)
def test_every_state_of_every_kind_of_serial(serial: str, state: str) -> None:
    text = f"List of devices attached\n{serial:22} {state} transport_id:1\n"
    assert parse_devices(text) == (Attached(serial, state, {"transport_id": "1"}),)
    assert parse_devices(f"{serial}\t{state}\n") == (Attached(serial, state),)


def test_a_state_of_a_newer_adb_is_kept() -> None:
    (phone,) = parse_devices("List of devices attached\nR5   dozing usb:1-1 transport_id:9\n")
    assert phone == Attached("R5", "dozing", {"usb": "1-1", "transport_id": "9"})


def test_lines_around_the_list_are_no_phones() -> None:
    text = (
        "adb server version (41) doesn't match this client (40); killing...\n"
        "* daemon not running; starting now at tcp:5037\r\n"
        "* daemon started successfully\r\n"
        "List of devices attached\r\n"
        "R5\tdevice\r\n"
        "\r\n"
        "error: something device x\n"
        "and a line that nobody expects\n"
    )
    assert parse_devices(text) == (Attached("R5", "device"),)
    assert parse_devices("List of devices attached\n\n") == ()
    assert parse_devices("") == ()


@given(ANY_TEXT | ANY_TEXT.map("List of devices attached\n{}".format))
def test_any_list_is_read_without_a_crash(text: str) -> None:
    for phone in parse_devices(text):
        assert phone.serial
        assert phone.serial.isprintable()
        assert phone.state.isprintable()
        assert phone.model.isprintable()


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,30}", fullmatch=True),
            st.sampled_from(STATES),
            st.dictionaries(
                st.sampled_from(["product", "model", "device", "transport_id"]),
                st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True),
            ),
        ),
        max_size=4,
    )
)
def test_a_list_is_read_as_it_was_printed(phones: list[tuple[str, str, dict[str, str]]]) -> None:
    lines = [
        f"{serial:22} {state}" + "".join(f" {name}:{value}" for name, value in facts.items())
        for serial, state, facts in phones
    ]
    read = parse_devices("\n".join(["List of devices attached", *lines, "", ""]))
    assert read == tuple(Attached(*phone) for phone in phones)


# States


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("error: device 'R5' not found", "absent"),
        ("error: no devices/emulators found", "absent"),
        ("error: device offline", "offline"),
        ("adb: device unauthorized.\nOtherwise check for a dialog", "unauthorized"),
        ("error: device still authorizing", "authorizing"),
        ("error: device still connecting", "connecting"),
        ("error: insufficient permissions for device: x", "no permissions"),
        ("error: more than one device/emulator", ""),
        ("", ""),
    ],
)
def test_a_refusal_tells_the_state(said: str, state: str) -> None:
    assert state_said(said) == state


def test_nothing_stands_in_the_way_of_a_phone_that_is_ready() -> None:
    assert advice("device", "R5") == ("", "")


@pytest.mark.parametrize(
    ("state", "act"),
    [
        ("unauthorized", "accept the prompt"),
        ("offline", "adb reconnect offline"),
        ("no permissions", "udev rules"),
        ("recovery", "adb -s R5 reboot"),
        ("bootloader", "fastboot reboot"),
        ("absent", "plug it in"),
    ],
)
def test_every_other_state_tells_what_to_do(state: str, act: str) -> None:
    obstacle, done = advice(state, "R5")
    assert obstacle
    assert act in done


def test_a_phone_of_the_network_is_connected_to_again() -> None:
    assert advice("absent", TCP)[1] == f"adb connect {TCP}"


@given(st.text(), st.text() | st.sampled_from(STATES))
def test_any_state_has_advice_fit_to_be_shown(serial: str, state: str) -> None:
    obstacle, act = advice(state, serial)
    assert obstacle.isprintable()
    assert act.isprintable()
    assert bool(obstacle) == bool(act) == (state != "device")


@pytest.mark.parametrize("serial", [TCP, "[::1]:5555", "[fe80::1%wlan0]:5555", "phone.local:5555"])
def test_an_address_is_known_by_its_port(serial: str) -> None:
    assert is_address(serial)


@pytest.mark.parametrize("serial", ["R5", "emulator-5554", "usb:1-1", "a b:5555", "phone:", ""])
def test_a_serial_is_no_address(serial: str) -> None:
    assert not is_address(serial)
