"""Addresses and the command made of them: nothing that was meant as a name becomes an option."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InputError
from devices.ssh_address import Address, ssh_options, worker_command


def outcome(text: str) -> Address | str:
    """The address that a text stands for, or the message of its error."""
    try:
        return Address.parse(text)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("far", ["far"]),
        ("pi@raspberrypi.local", ["pi@raspberrypi.local"]),
        ("pi@192.0.2.7:2222", ["-p", "2222", "pi@192.0.2.7"]),
        ("[2001:db8::7]:22", ["-p", "22", "2001:db8::7"]),
        ("[::1]", ["::1"]),
        ("first.last@my_board-2", ["first.last@my_board-2"]),
    ],
)
def test_an_address_becomes_words_for_ssh(text: str, words: list[str]) -> None:
    assert Address.parse(text).words == words


@given(st.text() | st.text(alphabet="ab1-@:[].$\n ", max_size=12))
def test_any_text_is_an_address_or_an_error_of_one_line(text: str) -> None:
    result = outcome(text)
    if isinstance(result, str):
        assert len(result.splitlines()) == 1
    else:
        *_, destination = result.words
        assert not destination.startswith("-")
        assert shlex.quote(destination) in (destination, f"'{destination}'")
        assert 0 <= result.port <= 65535


def test_the_command_asks_nothing_and_waits_for_ever_for_nothing() -> None:
    command = worker_command(Address.parse("pi@far:22"), [], "python3")
    for setting in ("BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15"):
        assert command[command.index(setting) - 1] == "-o"
    assert command[-5:-1] == ["-p", "22", "--", "pi@far"]
    assert command[-1] == "exec env PYTHONSAFEPATH=1 python3 -m devices.worker"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0=-"), min_size=1, max_size=9))
def test_the_far_shell_gives_the_python_on_as_one_word(python: str) -> None:
    command = worker_command(Address.parse("far"), [], python)
    assert shlex.split(command[-1])[3] == python


def test_a_real_shell_reads_what_was_written() -> None:
    python = "a b;'c\"$(date)`date`*\\"
    there = worker_command(Address.parse("far"), [], python)[-1].removeprefix("exec env ")
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {there}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["PYTHONSAFEPATH=1", python, "-m", "devices.worker"]


def test_options_of_the_user_come_before_the_times_that_they_may_change() -> None:
    options = ssh_options("-F 'my file' -o ConnectTimeout=3")
    assert options == ["-F", "my file", "-o", "ConnectTimeout=3"]
    command = worker_command(Address.parse("far"), options, "python3")
    assert command.index("BatchMode=yes") < command.index("ConnectTimeout=3")
    assert command.index("ConnectTimeout=3") < command.index("ConnectTimeout=15")


def test_options_with_half_a_quote_are_refused() -> None:
    with pytest.raises(InputError, match="LUTIER_SSH_OPTIONS"):
        ssh_options("-F 'my file")
