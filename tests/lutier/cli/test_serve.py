"""``lutier serve``: one line where it cannot start, and a clean end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import drawn_results as made
import in_process
import pytest

from lutier.serve.running import listen

TOKEN = "0123456789-abcdefghij"  # noqa: S105 - of no server


@pytest.fixture
def db(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'lutier.db'}"
    made.fill_store(url, networks=0, left_out=[op.key for op in made.SPACE.all_ops()[3:]])
    return url


@contextmanager
def serving(*words: str, end: int = signal.SIGINT) -> Iterator[dict[str, Any]]:
    """A server in a process of its own; in the end what it printed, and its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lutier", "serve", "--port", "0", "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    said: dict[str, Any] = {}
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        said.update(json.loads(line))
        yield said
        process.send_signal(end)
        said["out"], said["err"] = process.communicate(timeout=60)
        said["code"] = process.returncode
    finally:
        process.kill()
        process.wait()


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_serves_until_ctrl_c_and_ends_with_code_0(db: str) -> None:
    with serving("--db", db) as said:
        assert said["url"].startswith("http://127.0.0.1:")
        assert said["needs_token"] is False
        code, text = get(said["url"] + "?format=json")
        assert (code, json.loads(text)["tables"][0]["measured"]) == (200, {"op": 3})
        assert get(said["url"], Host="evil.example")[0] == 421
    assert (said["code"], said["out"], said["err"].strip()) == (0, "", "stopped")


def test_the_token_is_printed_once_and_is_nowhere_else(db: str) -> None:
    with serving("--db", db, "--host", "0.0.0.0") as said:  # noqa: S104 - what is tested
        url, _, token = said["url"].partition("?token=")
        port = url.rstrip("/").rpartition(":")[2]
        here = f"http://127.0.0.1:{port}/"
        assert len(token) == 43
        assert get(here)[0] == 401
        assert get(f"{here}?token={token}x")[0] == 401
        assert get(f"{here}?token={token}")[0] == 200
        assert get(here, Authorization=f"Bearer {token}")[0] == 200
        assert get(f"{here}gone?token={token}")[0] == 200
    assert said["code"] == 0
    assert token not in said["out"] + said["err"]
    assert "unencrypted" in said["err"]


def test_a_token_that_was_given_is_not_printed(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTIER_SERVE_TOKEN", TOKEN)
    with serving("--db", db, end=signal.SIGTERM) as said:
        assert TOKEN not in json.dumps(said)
        assert said["needs_token"] is True
        assert get(said["url"])[0] == 401
        assert get(said["url"], Authorization=f"Bearer {TOKEN}")[0] == 200
    assert said["code"] == -signal.SIGTERM
    assert TOKEN not in said["out"] + said["err"]


def test_what_keeps_it_from_starting_is_one_line(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.db").write_bytes(b"my notes" * 100)
    with listen("127.0.0.1", 0).socket as taken:
        port = str(taken.getsockname()[1])
        for words, code, says in (
            (["--db", f"sqlite:///{tmp_path / 'gone.db'}"], 3, "lutier profile --space"),
            (["--db", f"sqlite:///{tmp_path / 'notes.db'}"], 2, "not a Lutier database"),
            (["--db", "nonsense"], 2, "sqlite:///"),
            (["--db", db, "--port", port], 2, "the port is taken"),
            (["--db", db, "--host", "192.0.2.1"], 2, "no address of this machine"),
            (["--db", db, "--runs", str(tmp_path / "gone")], 2, "is no folder"),
            (["--db", db, "--port", "0", "--token", "short"], 2, "16 to 200 letters"),
            (["--db", db, "--port", "0", "--allow-host", "a b"], 2, "no name of a host"),
            (["--port", "70000"], 2, "65535"),
        ):
            got, out, err = in_process.run("serve", *words, capsys=capsys)
            assert (got, out) == (code, ""), err
            assert says in " ".join(err.split())
            assert "Traceback" not in err
    assert not (tmp_path / "gone.db").exists()


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_its_packages_the_extra_is_named(
    package: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = in_process.run("serve", capsys=capsys)
    assert code == 3
    assert err.count("\n") == 1
    assert f"{package} is not installed" in err
    assert "pip install 'lutier[serve]'" in err
