"""Bad input gets one clear line and its exit code; nothing slow happens before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from lutier.cli.main import cli, main

COMMANDS = [
    *("completion", "demo", "devices", "doctor", "export", "fit", "init", "plot", "predict"),
    *("profile", "report", "search", "serve", "spaces", "table", "transfer", "verify"),
]
TARGET = "cpu/onnxruntime?threads=1"


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    printed = capsys.readouterr()
    code = caught.value.code
    return code if isinstance(code, int) else 0, printed.out, printed.err


def search(*, capsys: pytest.CaptureFixture[str], **changed: str) -> tuple[int, str, str]:
    options = {
        "target": TARGET,
        "space": "mobile-tiny",
        "data": "digits",
        "budget": "1ms",
        "out": "out",
        **changed,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return run("search", "proxyless", *words, capsys=capsys)


def test_every_command_is_there() -> None:
    assert sorted(cli.commands) == COMMANDS


@pytest.mark.parametrize(
    "words", [[name] for name in COMMANDS] + [["search", "knas"], ["table", "show"]]
)
def test_help_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main([*words, "--help"])
    assert f"Example: lutier {words[0]}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["profile"], 2, "--space"),
        (["profile", "--space", "mobil-tiny"], 2, "mobile-tiny"),
        (["profile", "--space", "mobile?resolutoin=9"], 2, "resolution"),
        (["profile", "--space", "mobile-tiny", "--device", "cpuu"], 2, "cpu"),
        (["profile", "--space", "mobile-tiny", "--runtime", "onnxruntim"], 2, "onnxruntime"),
        (["profile", "--space", "mobile-tiny", "--threads", "0"], 2, "threads"),
        (["profile", "--space", "mobile-tiny", "--threads", "999"], 2, "cores"),
        (["profile", "--op", "mbconv/1x2"], 2, "kind/CxHxW"),
        (["profile", "--op", "identity/3x4x4/"], 2, "no latency"),
        (["profile", "--space", "mobile-tiny", "--db", "nonsense"], 2, "sqlite:///"),
        (["profile", "--device", "replay:gone.json", "--space", "mobile-tiny"], 2, "gone.json"),
        (["fit", "--target", "cpu"], 2, "DEVICE/RUNTIME"),
        (["fit", "--target", TARGET], 3, "lutier profile --device cpu --runtime onnxruntime"),
        (["table", "show", "--target", TARGET], 3, "lutier profile --device cpu"),
        (["verify", "nowhere"], 2, "result.json"),
        (["export", "nowhere", "-o", "x.onnx"], 2, "result.json"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_bad_input(
    words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    got, _, err = run(*words, capsys=capsys)
    assert got == code
    assert says in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize("budget", ["5", "-1ms", "0ms", "1 minute", "", "nan ms"])
def test_a_budget_that_is_none_is_a_usage_error(
    budget: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = search(budget=budget, capsys=capsys)
    assert (code, "budget" in err) == (2, True)


def test_a_loss_beside_a_reward_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = search(loss="mul#log", gradient="reinforce", capsys=capsys)
    assert code == 2
    assert "--loss mul#log has no meaning with --gradient reinforce" in " ".join(err.split())


def test_a_search_without_a_table_says_how_to_make_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = search(capsys=capsys)
    assert code == 3
    assert "lutier profile --device cpu --runtime onnxruntime --threads 1" in " ".join(err.split())


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run("fit", "--target", TARGET, capsys=capsys)
    assert out == ""
    assert err.count("\n") == 1


def test_a_database_that_is_none_stays_untouched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.db"
    file.write_bytes(b"my notes, not a database" * 50)
    before = file.read_bytes()
    code, _, err = run("table", "show", "--db", f"sqlite:///{file}", capsys=capsys)
    assert code == 2
    assert "untouched" in err
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
