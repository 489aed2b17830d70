"""Where it listens, whom it lets in there, and what is said where it cannot."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from devices.errors import InputError
from lutier.serve.running import check_folder, choose_token, door_of, listen


def test_a_port_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0).socket as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}: the port is taken. Try: --port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("no-such-host.invalid", "no host 'no-such-host.invalid'"),
        ("192.0.2.1", "no address of this machine"),
        ("a" * 300, "no host"),
    ],
)
def test_a_host_that_is_not_this_machine_is_said(host: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        listen(host, 0)
    assert len(str(caught.value).splitlines()) == 1
    assert "--host 127.0.0.1" in str(caught.value)


def test_a_port_that_this_user_may_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(InputError, match=r"port 80: this user may not\. Try: --port 8421"):
        listen("127.0.0.1", 80)


def test_only_beyond_this_machine_a_token_is_made() -> None:
    for host, is_loopback in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):  # noqa: S104
        listener = listen(host, 0)
        with listener.socket:
            assert listener.is_loopback is is_loopback
            token = choose_token(None, is_loopback=is_loopback)
            assert (token is None) is is_loopback
    first, second = (choose_token(None, is_loopback=False) for _ in range(2))
    assert first
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", first)


def test_a_token_that_is_given_counts_on_this_machine_too() -> None:
    given = "0123456789abcdef"
    assert choose_token(given, is_loopback=True) == given


@pytest.mark.parametrize("token", ["", "short", "x" * 201, "sixteen letters and more", "ü" * 20])
def test_a_token_that_is_easily_guessed_or_cannot_be_typed_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="16 to 200 letters") as caught:
        choose_token(token, is_loopback=True)
    assert not token or token not in str(caught.value)


def test_on_loopback_only_names_of_loopback_are_known() -> None:
    listener = listen("127.0.0.1", 0)
    with listener.socket:
        door = door_of(listener, None)
    assert door.knows("localhost:1")
    assert door.knows("127.0.0.1")
    assert not door.knows(socket.gethostname() + ".invalid")
    assert not door.knows("10.0.0.7")


def test_at_all_addresses_the_name_of_this_machine_is_known_and_more_can_be() -> None:
    listener = listen("0.0.0.0", 0)  # noqa: S104 - what is tested
    with listener.socket:
        door = door_of(listener, "0123456789abcdef", ["board.lan"])
        assert socket.gethostname() in listener.url
        assert door.cookie == f"lutier-{listener.port}"
        with pytest.raises(InputError, match="no name of a host"):
            door_of(listener, None, ["a/b"])
    assert door.knows(socket.gethostname().upper())
    assert door.knows("10.0.0.7:1")
    assert door.knows("BOARD.lan")
    assert not door.knows("evil.example")


def test_the_folder_of_results_has_to_be_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, tmp_path / "gone"):
        with pytest.raises(InputError, match="is no folder"):
            check_folder(path)
    assert check_folder(tmp_path / ".") == tmp_path.resolve()
