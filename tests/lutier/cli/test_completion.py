"""What a shell is offered when Tab is pressed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, ShellComplete
from in_process import run, run_in_one_line

from devices.environment import Environment
from devices.registry import device_names
from devices.target import Target
from lutier.cli.completers import DATA, SCORES
from lutier.cli.completion import VARIABLE
from lutier.cli.main import cli
from profiler.protocol import Protocol
from profiler.quality import summarise
from profiler.storage.database import MeasurementStore

TARGET = "cpu/onnxruntime?threads=1"


def offered(*words: str) -> list[str]:
    """What is offered for the last of some words."""
    complete = ShellComplete(cli, {}, "lutier", VARIABLE)
    return [each.value for each in complete.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with one finished measurement, and one that was only begun."""
    url = f"sqlite:///{tmp_path / 'lut.db'}"
    with MeasurementStore(url) as store:
        for name in (TARGET, "cpu/torch?threads=1"):
            number = store.begin(
                "identity/3x4x4",
                "op",
                Target.parse(name),
                Environment.of({"chip": "A"}),
                Protocol(),
                None,
            )
            if name == TARGET:
                store.finish(number, summarise([[0.1, 0.1]] * 20))
    return url


@pytest.mark.parametrize(
    ("shell", "mark"),
    [("bash", "complete -o nosort"), ("zsh", "#compdef lutier"), ("fish", "complete --no-files")],
)
def test_there_is_a_script_for_each_shell(
    shell: str, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run("completion", shell, capsys=capsys)
    assert code == 0
    assert mark in out
    assert VARIABLE in out


def test_another_shell_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = run_in_one_line("completion", "tcsh", capsys=capsys)
    assert code == 2
    assert "'bash', 'zsh', 'fish'" in err


def test_the_script_works_in_a_real_bash(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash: apt-get install bash")
    program = tmp_path / "lutier"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lutier "$@"\n')
    program.chmod(0o755)
    asked = (
        f'PATH="{tmp_path}:$PATH"; eval "$(lutier completion bash)"\n'
        "COMP_WORDS=(lutier search know --space mobile-t); COMP_CWORD=4\n"
        "COMP_WORDS[2]=knas; _lutier_completion lutier\n"
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run([bash, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mobile-tiny"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["sea"], ["search"]),
        (["search", "pr"], ["proxyless", "predictor"]),
        (["fit", "--calib"], ["--calibration"]),
        (["profile", "--space", "mobile"], ["mobile", "mobile-tiny"]),
        (["profile", "--runtime", "torch"], ["torch", "torch-compile"]),
        (["profile", "--device", "c"], ["cpu", "cuda:0"]),
        (["search", "knas", "--data", "fa"], ["fashion-mnist:"]),
        (["search", "knas", "--score", "naswo"], ["naswot"]),
        (["search", "knas", "--score", "naswot+jac"], ["naswot+jacob_cov"]),
        (["search", "knas", "--score", "a+b*jac"], ["a+b*jacob_cov"]),
        (["spaces", "mobilenet"], ["mobilenet-v2"]),
        (["table", "price", "proxyless-m"], ["proxyless-mobile", "proxyless-mobile-14"]),
        (["doctor", "--for", "repo"], ["report"]),
        (["plot", "fr"], ["front"]),
    ],
)
def test_names_are_offered(words: list[str], names: list[str]) -> None:
    assert sorted(offered(*words)) == sorted(names)


@pytest.mark.parametrize(
    "words", [["fit", "--target"], ["table", "diff"], ["table", "show", "--target"]]
)
def test_targets_are_those_with_a_table(
    words: list[str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTIER_DB", url)
    assert offered(*words, "cpu") == [TARGET]


def test_the_database_that_was_typed_is_asked(url: str) -> None:
    assert offered("fit", "--db", url, "--target", "") == [TARGET]
    assert offered("fit", "--target", "") == []


def test_settings_that_cannot_be_read_offer_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lutier.toml").write_text("seed = ")
    assert offered("fit", "--target", "") == []


def test_every_kind_of_device_is_offered() -> None:
    assert {name.partition(":")[0] for name in offered("profile", "--device", "")} == {
        *device_names()
    }


def test_the_names_of_data_and_scores_are_those_there_are() -> None:
    from search.data import data_names
    from search.proxies.registry import proxy_names
    from search.scoring import NAMED, RANDOM

    assert tuple(name.rstrip(":") for name in DATA) == data_names()
    assert sorted(SCORES) == sorted([RANDOM, *NAMED])
    assert set(offered("search", "knas", "--score", "")) == {*proxy_names(), *SCORES}


@pytest.mark.parametrize(
    "words",
    ["search knas --score n", "search knas --data d", "profile --space m", "fit --target c"],
)
def test_no_completion_loads_torch(words: str, url: str) -> None:
    program = (
        "import json, sys\n"
        "from lutier.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "PATH": "/usr/bin:/bin",
            "LUTIER_DB": url,
            VARIABLE: "bash_complete",
            "COMP_WORDS": f"lutier {words}",
            "COMP_CWORD": str(len(words.split())),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, modules = done.stdout.splitlines()
    assert lines
    assert not {"torch", "pandas", "sklearn", "sqlalchemy"} & {*json.loads(modules)}


def test_the_variable_is_the_one_that_click_derives() -> None:
    assert BashComplete(cli, {}, "lutier", VARIABLE).func_name == "_lutier_completion"
    assert VARIABLE == "_LUTIER_COMPLETE"
