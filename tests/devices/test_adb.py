"""Calls of adb: nothing fails unseen, nothing waits for ever, no word is read by a shell.

The adb here is a script: what is to run on the phone, it hands to the shell of this machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.adb import Adb, Reply
from devices.adb_text import Attached
from devices.errors import (
    DeviceError,
    InputError,
    LinkLostError,
    MissingExtraError,
    UnparsableOutputError,
)

SERIAL = "R5CT10XYZ"
TCP = "127.0.0.1:4242"
# What the script does with each call; a test replaces the functions it needs.
PHONE = """#!/bin/sh
cd "$(dirname "$0")" || exit
start_server() { :; }
devices() { printf 'List of devices attached\\nR5CT10XYZ\\tdevice\\n\\n'; }
connect() { echo "connected to $1"; }
pair() { echo "Successfully paired to $1 [guid=adb-1]"; }
get_state() { echo device; }
reconnect() { echo "reconnecting $serial [offline]"; }
phone() { /bin/sh -c "$1"; }
push() { cp "$1" "$2" && echo "$1: 1 file pushed, 0 skipped. 0.1 MB/s (1 bytes in 0.001s)"; }
#
for word; do printf '%s\\0' "$word"; done >> calls; printf '\\n\\0' >> calls
serial=
test "$1" = -s && serial=$2 && shift 2
case $1 in
version) printf 'Android Debug Bridge version 1.0.41\\nVersion 36.0.0-13206524\\n' ;;
start-server) start_server ;;
get-state) get_state ;;
shell) test "$2" = -n && phone "$3" ;;
*) "$@" ;;
esac
"""

Phone = Callable[..., Adb]


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    """Makes an adb with a phone, some of whose functions are replaced."""

    def made(functions: str = "") -> Adb:
        return Adb(script(tmp_path / "adb", PHONE.replace("\n#\n", f"\n{functions}\n")))

    return made


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """Gives what adb was called with so far, without the starts of its server."""

    def made() -> list[list[str]]:
        recorded = (tmp_path / "calls").read_text().split("\n\0")[:-1]
        listed = [each.split("\0")[:-1] for each in recorded]
        return [each for each in listed if each != ["start-server"]]

    return made


def run(adb: Adb, *commands: list[str], timeout_s: float = 20.0, **how: object) -> list[Reply]:
    return adb.run(SERIAL, *commands, timeout_s=timeout_s, **how)  # type: ignore[arg-type]


# Commands


def test_commands_answer_in_their_order_each_with_its_status(phone: Phone) -> None:
    replies = run(phone(), ["echo", "one"], ["sh", "-c", "exit 3"], ["printf", "no newline"])
    assert replies == [Reply("one\n", 0), Reply("", 3), Reply("no newline", 0)]


def test_all_commands_go_in_one_visit_that_names_the_phone(
    phone: Phone, calls: Callable[[], list[list[str]]]
) -> None:
    run(phone(), ["true"], ["false"])
    (call,) = calls()
    assert call[:4] == ["-s", SERIAL, "shell", "-n"]
    assert len(call) == 5


def test_both_outputs_of_a_command_come_together(phone: Phone) -> None:
    (reply,) = run(phone(), ["sh", "-c", "echo out; echo err >&2; echo out"])
    assert reply.output == "out\nerr\nout\n"


def test_a_command_reads_nothing(phone: Phone) -> None:
    assert run(phone(), ["cat"]) == [Reply("", 0)]


@pytest.mark.parametrize(("number", "status"), [("KILL", 137), ("SEGV", 139)])
def test_a_command_that_was_killed_is_a_status(phone: Phone, number: str, status: int) -> None:
    first, second = run(phone(), ["sh", "-c", f"kill -{number} $$"], ["echo", "on"])
    assert first.status == status
    assert second == Reply("on\n", 0)


def test_a_program_that_is_not_there_is_a_status(phone: Phone) -> None:
    (reply,) = run(phone(), ["no-such-program"])
    assert reply.status == 127
    assert "no-such-program" in reply.output


def test_a_command_cannot_end_the_shell_of_the_next(phone: Phone) -> None:
    assert run(phone(), ["exit", "4"], ["exec", "true"], ["echo", "on"]) == [
        Reply("", 4),
        Reply("", 0),
        Reply("on\n", 0),
    ]


def test_commands_run_in_the_folder_that_is_named(phone: Phone, tmp_path: Path) -> None:
    folder = tmp_path / "a folder's; $(touch trap)"
    folder.mkdir()
    assert run(phone(), ["pwd"], ["pwd"], cwd=str(folder)) == [Reply(f"{folder}\n", 0)] * 2
    assert not (tmp_path / "trap").exists()


def test_nothing_runs_where_the_folder_is_missing(phone: Phone, tmp_path: Path) -> None:
    (reply,) = run(phone(), ["touch", str(tmp_path / "trap")], cwd=str(tmp_path / "none"))
    assert reply.status != 0
    assert "none" in reply.output
    assert not (tmp_path / "trap").exists()


def test_line_ends_of_a_terminal_are_those_of_a_file(phone: Phone) -> None:
    adb = phone("phone() { /bin/sh -c \"$1\" | sed 's/$/\\r/'; }")
    assert run(adb, ["printf", "a\\nb\\n"], ["false"]) == [Reply("a\nb\n", 0), Reply("", 1)]


def test_bytes_that_are_no_text_are_replaced(phone: Phone) -> None:
    (reply,) = run(phone(), ["printf", "a\\377b"])
    assert reply.output == "a\N{REPLACEMENT CHARACTER}b"


def test_no_command_is_no_call(phone: Phone, tmp_path: Path) -> None:
    assert run(phone()) == []
    assert not (tmp_path / "calls").exists()


def test_a_bound_is_kept_by_the_phone(phone: Phone) -> None:
    start = time.monotonic()
    replies = run(phone(), ["sleep", "30"], ["echo", "on"], timeout_s=0.5, bound=True)
    assert replies == [Reply("", 124), Reply("on\n", 0)]
    assert time.monotonic() - start < 9


# Words that a shell would read

TRAPS = (
    "a b",
    "'",
    '"',
    "; touch trap",
    "$(touch trap)",
    "`touch trap`",
    "& touch trap",
    "| touch trap",
    "\ntouch trap\n",
    "> trap",
    "*",
    "~",
    "\\",
    "",
    "-n",
    "#",
    "$status",
    "é\N{SNOWMAN}",
    ")",
)


def test_no_word_of_a_command_is_read_by_a_shell(phone: Phone, tmp_path: Path) -> None:
    (reply,) = run(phone(), ["printf", "%s\\036", *TRAPS])
    assert reply.output.split("\036")[:-1] == list(TRAPS)
    assert not (tmp_path / "trap").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(st.text(st.characters(exclude_characters="\0\r\036", exclude_categories=["Cs"]))),
)
def test_any_words_arrive_as_they_are(phone: Phone, words: list[str]) -> None:
    (reply,) = run(phone(), ["printf", "%s\\036", *words])
    assert reply.output == "\036".join([*(words or [""]), ""])


@pytest.mark.parametrize("trap", ["R5 X", "R5'", "R5; touch trap", "$(touch trap)", "a|b", "*"])
def test_no_serial_is_read_by_a_shell(
    phone: Phone, calls: Callable[[], list[list[str]]], tmp_path: Path, trap: str
) -> None:
    assert phone().run(trap, ["echo", "on"], timeout_s=20) == [Reply("on\n", 0)]
    assert calls()[0][:2] == ["-s", trap]
    assert not (tmp_path / "trap").exists()


def test_no_path_is_read_by_a_shell(phone: Phone, tmp_path: Path) -> None:
    there = tmp_path / "phone"
    there.mkdir()
    for number, name in enumerate(each for each in TRAPS if each.strip("\n ")):
        local = tmp_path / f"-{number}{name.replace('/', '')}"
        local.write_bytes(b"model")
        remote = there / f"{name}.tflite"
        phone().push(SERIAL, local, str(remote), timeout_s=20)
        assert remote.read_bytes() == b"model"
    assert not (tmp_path / "trap").exists()
    assert len(list(there.iterdir())) == number + 1


@pytest.mark.parametrize("serial", ["", "-s", "--help", "R5\n", "R5\0", "R5\x1b[1m", "R\u200e5"])
def test_a_serial_that_cannot_be_one_is_refused(phone: Phone, tmp_path: Path, serial: str) -> None:
    adb = phone()
    model = script(tmp_path / "model", "")
    for call in (
        lambda: adb.run(serial, ["true"], timeout_s=1),
        lambda: adb.push(serial, model, "/x/model", timeout_s=1),
        lambda: adb.state(serial),
        lambda: adb.wait(serial, 1),
        lambda: adb.connect(serial),
        lambda: adb.pair(serial, "123456"),
    ):
        with pytest.raises(InputError, match="no phone can be called"):
            call()
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("command", [[], [""], "ls", ["a", "b\0c"], ["a", "\ud800"]])
def test_a_command_that_cannot_be_one_is_refused(phone: Phone, command: list[str]) -> None:
    with pytest.raises(InputError):
        run(phone(), command)


@pytest.mark.parametrize("path", ["", "relative", "/folder/", "/a\0b", "-f"])
def test_a_path_that_cannot_be_one_is_refused(phone: Phone, tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="no path on a phone"):
        run(phone(), ["true"], cwd=path)
    with pytest.raises(InputError, match="no path on a phone"):
        phone().push(SERIAL, script(tmp_path / "model", ""), path, timeout_s=1)


# Trouble on the way


@pytest.mark.parametrize("status", [0, 1, 137, 255])
def test_a_link_that_broke_is_seen_whatever_adb_ends_with(phone: Phone, status: int) -> None:
    # The first command answers in full, the second in half.
    adb = phone(f'phone() {{ /bin/sh -c "$1" | head -n 4; exit {status}; }}')
    with pytest.raises(LinkLostError) as caught:
        run(adb, ["echo", "one"], ["echo", "two"])
    assert caught.value.what == f"{SERIAL} went away while it was to run echo"
    assert f"status {status}" in caught.value.why
    assert caught.value.hint


def test_an_output_that_is_cut_in_its_mark_is_no_answer(phone: Phone) -> None:
    adb = phone('phone() { /bin/sh -c "$1" | head -c -1; }')
    with pytest.raises(LinkLostError):
        run(adb, ["true"])


def test_a_command_that_prints_what_it_was_sent_forges_no_mark(phone: Phone) -> None:
    # As ps does on the phone: the whole line, marks included.
    adb = phone('phone() { printf "\\n%s\\n" "$1"; }')
    with pytest.raises(LinkLostError):
        run(adb, ["true"])


@pytest.mark.parametrize(
    ("said", "kind", "says"),
    [
        ("error: device offline", LinkLostError, "is offline"),
        ("adb: device 'R5CT10XYZ' not found", LinkLostError, "is not attached"),
        ("error: closed", LinkLostError, "went away"),
        ("error: protocol fault (couldn't read status)", LinkLostError, "went away"),
        ("error: device unauthorized.\nmore", LinkLostError, "has not accepted this machine"),
        ("error: insufficient permissions for device", DeviceError, "may not use it"),
        ("error: more than one device/emulator", DeviceError, "more than one phone"),
        ("something new", LinkLostError, "something new"),
    ],
)
def test_what_adb_says_becomes_the_error(
    phone: Phone, said: str, kind: type[DeviceError], says: str
) -> None:
    adb = phone(f"phone() {{ echo {shlex.quote(said)} >&2; exit 1; }}")
    with pytest.raises(DeviceError) as caught:
        run(adb, ["true"])
    assert type(caught.value) is kind
    assert says in str(caught.value)


def test_a_warning_of_adb_spoils_no_answer(phone: Phone) -> None:
    adb = phone('phone() { echo "adb: warning: closed" >&2; /bin/sh -c "$1"; exit 1; }')
    assert run(adb, ["echo", "on"]) == [Reply("on\n", 0)]


def test_a_phone_that_does_not_answer_is_left_in_time(phone: Phone, tmp_path: Path) -> None:
    adb = phone(f"phone() {{ sleep 60 & echo $! > {tmp_path}/pid; echo half; wait; }}")
    start = time.monotonic()
    with pytest.raises(LinkLostError, match="did not answer within 1 s: half"):
        run(adb, ["true"], timeout_s=1)
    assert time.monotonic() - start < 10
    assert ended(int((tmp_path / "pid").read_text()))


def test_an_output_without_an_end_is_cut_off(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.adb._MOST_BYTES", 2**20)
    with pytest.raises(DeviceError, match="printed more than 1 MiB"):
        run(phone(), ["yes"], timeout_s=60)


def test_the_server_is_up_before_time_counts(phone: Phone) -> None:
    adb = phone("start_server() { sleep 1.5; }")
    assert run(adb, ["echo", "on"], timeout_s=1) == [Reply("on\n", 0)]


def test_a_server_that_outlives_the_call_is_not_waited_for_and_not_ended(
    phone: Phone, tmp_path: Path
) -> None:
    # As adb's server does: a session of its own, and none of the pipes.
    adb = phone(
        f"start_server() {{ test -e {tmp_path}/pid || {{ setsid sleep 60 >/dev/null 2>&1 &"
        f" echo $! > {tmp_path}/pid; sleep 0.2; }}; }}; phone() {{ sleep 60; }}"
    )
    with pytest.raises(LinkLostError):
        run(adb, ["true"], timeout_s=1)
    pid = int((tmp_path / "pid").read_text())
    try:
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_ctrl_c_ends_adb_and_is_not_swallowed(phone: Phone, tmp_path: Path) -> None:
    phone(f"phone() {{ echo $$ > {tmp_path}/pid; sleep 60; }}")
    code = (
        "from devices.adb import Adb\n"
        f"Adb({str(tmp_path / 'adb')!r}).run('R5', ['true'], timeout_s=50)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    pid = tmp_path / "pid"
    wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in said
    assert ended(int(pid.read_text()))


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(pid: int) -> bool:
    """Whether a process ends within seconds; one that nobody has collected yet has."""
    status = Path(f"/proc/{pid}/status")
    for _ in range(100):
        try:
            if "\nState:\tZ" in status.read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


# States


@pytest.mark.parametrize(
    ("does", "state"),
    [
        ("echo device", "device"),
        ("echo recovery", "recovery"),
        ("echo offline", "offline"),
        ("echo 'error: device offline' >&2; exit 1", "offline"),
        ("echo \"error: device 'x' not found\" >&2; exit 1", "absent"),
        ("echo 'error: device unauthorized.' >&2; exit 1", "unauthorized"),
        ("echo 'error: insufficient permissions for device' >&2; exit 1", "no permissions"),
    ],
)
def test_the_state_of_a_phone_is_one_word(phone: Phone, does: str, state: str) -> None:
    assert phone(f"get_state() {{ {does}; }}").state(SERIAL) == state


def test_a_serial_of_two_phones_has_no_state(phone: Phone) -> None:
    adb = phone("get_state() { echo 'error: more than one device/emulator' >&2; exit 1; }")
    with pytest.raises(DeviceError, match="more than one phone"):
        adb.state(SERIAL)
    with pytest.raises(DeviceError, match="more than one phone"):
        adb.wait(SERIAL, 5)


def test_phones_are_listed(phone: Phone) -> None:
    assert phone().devices() == (Attached(SERIAL, "device"),)


def test_a_list_that_cannot_be_had_is_an_error(phone: Phone) -> None:
    adb = phone("devices() { echo 'adb: cannot connect to daemon: x' >&2; exit 1; }")
    with pytest.raises(LinkLostError, match="adb cannot be asked"):
        adb.devices()


# Waiting


def test_a_phone_that_is_ready_is_not_waited_for(phone: Phone) -> None:
    start = time.monotonic()
    phone().wait(SERIAL, 20)
    assert time.monotonic() - start < 5


def test_a_phone_that_comes_back_is_waited_for(
    phone: Phone, calls: Callable[[], list[list[str]]]
) -> None:
    adb = phone(
        "get_state() { test $(tr -cd '\\n' < calls | wc -c) -gt 6 && echo device"
        " || { echo 'error: device unauthorized.' >&2; exit 1; }; }"
    )
    adb.wait(SERIAL, 20)
    assert calls()[-1] == ["-s", SERIAL, "get-state"]
    assert len(calls()) > 1


def test_a_server_that_is_ended_meanwhile_is_no_end_of_waiting(phone: Phone) -> None:
    adb = phone(
        "get_state() { test -e again && echo device || { touch again;"
        " echo 'error: protocol fault (no status): Connection reset by peer' >&2; exit 1; }; }"
    )
    adb.wait(SERIAL, 20)


def test_a_phone_of_the_network_is_connected_to_while_it_is_absent(
    phone: Phone, calls: Callable[[], list[list[str]]]
) -> None:
    adb = phone(
        "get_state() { test -e there && echo device"
        " || { echo \"error: device 'x' not found\" >&2; exit 1; }; }\n"
        'connect() { touch there; echo "failed to connect to $1"; }'
    )
    adb.wait(TCP, 20)
    assert calls().count(["connect", TCP]) == 1


def test_a_phone_that_stays_offline_is_called_back(
    phone: Phone, calls: Callable[[], list[list[str]]]
) -> None:
    adb = phone(
        "get_state() { test -e there && echo device || echo offline; }\n"
        "reconnect() { touch there; }"
    )
    adb.wait(SERIAL, 20)
    assert calls().count(["-s", SERIAL, "reconnect"]) == 1


def test_waiting_ends_with_what_stands_in_the_way(phone: Phone) -> None:
    adb = phone("get_state() { echo 'error: device unauthorized.' >&2; exit 1; }")
    start = time.monotonic()
    with pytest.raises(LinkLostError) as caught:
        adb.wait(SERIAL, 1)
    assert time.monotonic() - start < 8
    assert caught.value.what == f"{SERIAL} is not ready after 1 s"
    assert caught.value.why == "it has not accepted this machine"
    assert "accept the prompt" in caught.value.hint


# Over the network


@pytest.mark.parametrize("said", [f"connected to {TCP}", f"already connected to {TCP}"])
def test_a_phone_is_connected_to(
    phone: Phone, calls: Callable[[], list[list[str]]], said: str
) -> None:
    phone(f"connect() {{ echo '{said}'; }}").connect(TCP)
    assert calls() == [["connect", TCP], ["-s", TCP, "get-state"]]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (f"failed to connect to '{TCP}': Connection refused", "does not listen there"),
        (f"failed to connect to {TCP}", "cannot be reached"),
        (f"failed to authenticate to {TCP}", "accept the prompt"),
        ("failed to resolve host: 'x': Name or service not known", "leads nowhere"),
        ("something new", "something new"),
    ],
)
def test_a_connection_that_failed_is_seen_though_adb_ends_with_0(
    phone: Phone, said: str, says: str
) -> None:
    with pytest.raises(DeviceError, match=says):
        phone(f"connect() {{ echo {shlex.quote(said)}; exit 0; }}").connect(TCP)


def test_a_connection_that_does_not_become_ready_is_an_error(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.adb.CONNECT_SECONDS", 0.5)
    with pytest.raises(DeviceError, match="accept the prompt"):
        phone("get_state() { echo unauthorized; }").connect(TCP)


def test_a_phone_is_paired_by_its_code(phone: Phone, calls: Callable[[], list[list[str]]]) -> None:
    phone().pair(TCP, "012345")
    assert calls() == [["pair", TCP, "012345"]]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "12345\n", "-12345", "١٢٣٤٥٦"])
def test_a_code_that_cannot_be_one_is_refused(phone: Phone, tmp_path: Path, code: str) -> None:
    with pytest.raises(InputError, match="a pairing code has six digits"):
        phone().pair(TCP, code)
    assert not (tmp_path / "calls").exists()


def test_pairing_needs_a_port(phone: Phone) -> None:
    with pytest.raises(InputError, match="names no port"):
        phone().pair("192.0.2.7", "012345")


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("echo 'Failed: Wrong password or connection was dropped.'", "did not accept the pairing"),
        ("echo 'adb: unknown command pair' >&2; exit 1", "a newer adb"),
        (
            "echo 'error: protocol fault (couldn'\\''t read status message): Success' >&2; exit 1",
            "could not be paired",
        ),
        ('echo "no use for $2" >&2; exit 1', "no use for CODE"),
    ],
)
def test_pairing_that_failed_is_seen_and_never_shows_the_code(
    phone: Phone, does: str, says: str
) -> None:
    with pytest.raises(DeviceError, match=says) as caught:
        phone(f"pair() {{ {does}; }}").pair(TCP, "012345")
    assert "012345" not in str(caught.value)


# Files


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A folder of the phone."""
    folder = tmp_path / "phone"
    folder.mkdir()
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file to bring there."""
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(range(256)) * 300)
    return path


def test_a_file_comes_under_its_name_and_no_other(phone: Phone, model: Path, there: Path) -> None:
    (there / "model").write_bytes(b"an older one")
    phone().push(SERIAL, model, str(there / "model"), timeout_s=20)
    assert (there / "model").read_bytes() == model.read_bytes()
    assert [each.name for each in there.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("push", "why"),
    [
        ('head -c 999 "$1" > "$2"', "999 bytes of 76800 are there"),
        ('tr "\\000" x < "$1" > "$2"', "its sha256 is another"),
    ],
)
def test_a_file_that_came_through_otherwise_is_seen_though_adb_ends_with_0(
    phone: Phone, model: Path, there: Path, push: str, why: str
) -> None:
    with pytest.raises(LinkLostError, match=why):
        phone(f"push() {{ {push}; echo '1 file pushed'; }}").push(
            SERIAL, model, str(there / "model"), timeout_s=20
        )
    assert list(there.iterdir()) == []


def test_a_phone_without_sha256sum_is_asked_for_the_size(
    phone: Phone, model: Path, there: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("wc", "mv", "rm"):
        bare.joinpath(name).symlink_to(str(shutil.which(name)))
    functions = f'phone() {{ PATH={bare} /bin/sh -c "$1"; }}'
    phone(functions).push(SERIAL, model, str(there / "model"), timeout_s=20)
    assert (there / "model").read_bytes() == model.read_bytes()
    cut = functions + '\npush() { head -c 999 "$1" > "$2"; }'
    with pytest.raises(LinkLostError, match="999 bytes of 76800"):
        phone(cut).push(SERIAL, model, str(there / "model"), timeout_s=20)


def test_a_file_that_was_not_kept_is_seen_though_adb_ends_with_0(
    phone: Phone, model: Path, there: Path
) -> None:
    with pytest.raises(DeviceError, match=r"did not keep .*No such file") as caught:
        phone("push() { echo '1 file pushed'; }").push(
            SERIAL, model, str(there / "model"), timeout_s=20
        )
    assert not isinstance(caught.value, LinkLostError)


def test_a_full_phone_keeps_no_half_file(phone: Phone, model: Path, there: Path) -> None:
    adb = phone(
        'push() { head -c 999 "$1" > "$2";'
        " echo \"adb: error: failed to copy '$1' to '$2': remote No space left on device\" >&2;"
        " exit 1; }"
    )
    with pytest.raises(DeviceError) as caught:
        adb.push(SERIAL, model, str(there / "model"), timeout_s=20)
    assert type(caught.value) is DeviceError
    assert caught.value.what == f"{SERIAL} has no room left"
    assert caught.value.hint.startswith(f"adb -s {SERIAL} shell rm -r /data/local/tmp/lutier")
    assert list(there.iterdir()) == []


@pytest.mark.parametrize(
    "does",
    [
        "echo 'adb F file_sync_client.cpp:328] protocol fault: failed to read' >&2; exit 134",
        "exit 134",
        "kill -ABRT $$",
        "echo 'adb: error: connect failed: closed' >&2; exit 1",
    ],
)
def test_an_adb_that_aborts_in_the_middle_may_be_tried_again(
    phone: Phone, model: Path, there: Path, does: str
) -> None:
    with pytest.raises(LinkLostError, match="went away"):
        phone(f"push() {{ {does}; }}").push(SERIAL, model, str(there / "model"), timeout_s=20)


def test_a_push_without_an_end_is_left_in_time(phone: Phone, model: Path, there: Path) -> None:
    adb = phone('push() { head -c 999 "$1" > "$2"; sleep 60; }')
    with pytest.raises(LinkLostError, match="did not answer within 1 s"):
        adb.push(SERIAL, model, str(there / "model"), timeout_s=1)
    assert list(there.iterdir()) == []


def test_a_folder_is_no_place_for_a_file(phone: Phone, model: Path, there: Path) -> None:
    (there / "model").mkdir()
    with pytest.raises(DeviceError, match="is a folder"):
        phone().push(SERIAL, model, str(there / "model"), timeout_s=20)
    assert list((there / "model").iterdir()) == []


def test_a_name_that_is_not_allowed_is_an_error(phone: Phone, model: Path, there: Path) -> None:
    adb = phone(
        'phone() { case $1 in *mv*) set -- "$(echo "$1" | sed s/mv/false/)";; esac;'
        ' /bin/sh -c "$1"; }'
    )
    with pytest.raises(DeviceError):
        adb.push(SERIAL, model, str(there / "model"), timeout_s=20)
    assert list(there.iterdir()) == []


def test_a_file_that_is_not_here_is_an_input_error(phone: Phone, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="cannot read"):
            phone().push(SERIAL, path, "/data/local/tmp/none", timeout_s=20)


# Which adb


def test_the_version_is_that_of_the_program(phone: Phone, tmp_path: Path) -> None:
    assert phone().version() == "36.0.0-13206524"
    old = script(tmp_path / "old", "#!/bin/sh\necho 'Android Debug Bridge version 1.0.32'\n")
    assert Adb(old).version() == "1.0.32"


def test_a_program_that_is_no_adb_has_no_version() -> None:
    with pytest.raises(UnparsableOutputError, match="does not tell its version"):
        Adb("/bin/true").version()


def test_the_adb_that_is_named_comes_first(
    phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LUTIER_ADB")
    phone()
    other = script(tmp_path / "other adb", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert Adb.find().program == str(tmp_path / "adb")
    monkeypatch.setenv("LUTIER_ADB", str(other))
    assert Adb.find().program == str(other)
    monkeypatch.setenv("LUTIER_ADB", str(tmp_path / "none"))
    with pytest.raises(InputError, match="LUTIER_ADB"):
        Adb.find()


def test_the_adb_of_adbutils_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUTIER_ADB")

    class BroughtError(Exception):
        pass

    def adb_path() -> str:
        if "NO_ADB" in os.environ:
            raise BroughtError
        return "/brought/adb"

    brought = SimpleNamespace(AdbError=BroughtError, adb_path=adb_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "adbutils", brought)
    assert Adb.find().program == "/brought/adb"
    monkeypatch.setenv("NO_ADB", "1")
    with pytest.raises(MissingExtraError, match="adb is not installed"):
        Adb.find()


def test_without_any_adb_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LUTIER_ADB")
    monkeypatch.setenv("PATH", str(tmp_path))
    # None stands for a package that cannot be imported.
    monkeypatch.setitem(sys.modules, "adbutils", None)
    with pytest.raises(MissingExtraError, match="apt-get install adb, or pip install"):
        Adb.find()


def test_a_program_that_cannot_be_run_says_so(tmp_path: Path) -> None:
    loader = script(tmp_path / "adb", "#!/bin/sh\necho 'libusb.so: cannot open' >&2; exit 127\n")
    with pytest.raises(MissingExtraError, match=r"cannot be run: libusb.so: cannot open"):
        Adb(loader).devices()
    with pytest.raises(MissingExtraError, match="cannot be run: No such file"):
        Adb(tmp_path / "none").devices()
