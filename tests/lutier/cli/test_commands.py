"""Every command, found by walking the tree, keeps the habits that all of them share."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from in_process import run

from lutier.cli.main import cli, main

WIDTH = 80
WITHOUT_JSON = {
    "completion": "its output is a script for a shell",
}
_A_RESULT = "what it prints is its result; no progress goes with --json"
WITHOUT_QUIET = {
    "completion": "its output is a script for a shell",
    "serve": "it says where to look, and then nothing",
    **dict.fromkeys(
        (
            *("devices", "predict", "spaces", "transfer"),
            *("table coverage", "table diff", "table price", "table show"),
        ),
        _A_RESULT,
    ),
}


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command with its words, groups before what is in them."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from walk(child, (*path, name))


ALL = dict(walk(cli))
LEAVES = [path for path, command in ALL.items() if not isinstance(command, click.Group)]


def flags(path: str) -> set[str]:
    return {flag for parameter in ALL[path].params for flag in parameter.opts}


def plain(markup: str | None) -> str:
    """Text without the marks of its style."""
    return re.sub(r"\[/?[a-z]*\]", "", markup or "")


def examples(path: str) -> list[list[str]]:
    """The words of each example that the help of a command ends with."""
    found = re.findall(r"\[bold\](.*?)\[/bold\]", ALL[path].epilog or "", re.DOTALL)
    return [shlex.split(each) for each in found]


@pytest.mark.parametrize("path", ALL)
def test_a_command_says_what_it_does(path: str) -> None:
    first = (ALL[path].help or "").strip().splitlines()[0]
    assert len(first) > 20


@pytest.mark.parametrize("path", LEAVES)
def test_the_help_ends_with_an_example(path: str) -> None:
    assert plain(ALL[path].epilog).startswith(f"Example: lutier {path}")


@pytest.mark.parametrize("path", [path for path in ALL if path])
def test_an_example_can_be_typed(path: str) -> None:
    for program, *words in examples(path):
        assert program == "lutier"
        words = words[: words.index(">")] if ">" in words else words
        command: click.Command = cli
        context = click.Context(cli, info_name="lutier")
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, words)
            assert found is not None, name
            command = found
            context = click.Context(command, parent=context, info_name=name)
        with command.make_context(command.name, list(words)) as parsed:
            assert not parsed.args


@pytest.mark.parametrize("path", LEAVES)
def test_a_command_answers_in_json_too(path: str) -> None:
    assert ("--json" in flags(path)) != (path in WITHOUT_JSON)


@pytest.mark.parametrize("path", LEAVES)
def test_a_command_that_works_can_be_quiet(path: str) -> None:
    assert ({"-q", "--quiet"} <= flags(path)) != (path in WITHOUT_QUIET)


@pytest.mark.parametrize("path", ALL)
def test_the_help_fits_a_small_terminal(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    main([*path.split(), "--help"])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= WIDTH
    # What does not fit would be cut off with an ellipsis of one character.
    assert "…" not in printed
    assert "\x1b" not in printed
    for flag in flags(path):
        assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", printed) or flag[:1] != "-"


@pytest.mark.parametrize("path", LEAVES)
def test_every_option_says_what_it_is(path: str) -> None:
    options = [each for each in ALL[path].params if isinstance(each, click.Option)]
    assert not [each.name for each in options if not each.help]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("profil", "error: No such command 'profil'. Did you mean 'profile'? Try: lutier --help"),
        ("table shwo", "No such command 'shwo'. Did you mean 'show'? Try: lutier table --help"),
        ("export x --formt y", "No such option '--formt'. Did you mean '--format'?"),
        ("export x -o y --format onx", "'onx' is not one of 'onnx', 'tflite', 'torch'. Try:"),
        ("fit", "error: Missing option '--target'. Try: lutier fit --help"),
        ("completion", "Choose from: bash, zsh, fish. Try: lutier completion --help"),
    ],
)
def test_what_is_mistyped_is_answered_in_one_line(
    words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*words.split(), capsys=capsys)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_whoever_reads_may_stop_reading() -> None:
    head = f"'{sys.executable}' -m lutier spaces --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", head], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "1")


def test_an_exemption_is_of_a_command_that_may_be() -> None:
    unknown = {*WITHOUT_JSON, *WITHOUT_QUIET} - set(LEAVES) - {"serve"}
    assert not unknown
