"""Every page of the documentation: commands exist, snippets run, tutorials work from end to end.

Blocks that need a phone, a GPU or another machine are marked in the page with
``<!-- not run: WHY -->``; their commands are parsed all the same.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from doc_commands import trouble, trouble_of_lutier, trouble_of_mention, troubles
from doc_pages import BLOCKS, PAGES, ROOT, Block, blocks_of, inline_commands, of_language
from in_process import run

from lutier.settings import load_settings

SHORTER = {"LUTIER_NETWORKS": "12", "LUTIER_MAX_ROUNDS": "12", "LUTIER_MIN_SECONDS": "0"}
# The last budget given counts: one that any machine meets, however busy it is.
ADDED = {("search", "knas"): "--budget 5ms --train-epochs 1 --pool 6 --k 1 --score-batch 8"}
NOT_RUN = {
    "docs/android.md": 1,
    "docs/gpu.md": 2,
    "docs/ssh.md": 3,
    "docs/tables.md": 1,
    "docs/tutorial/phone.md": 3,
    "docs/tutorial/plugins.md": 1,
    "docs/tutorial/space.md": 1,
}
TUTORIALS = ("cpu", "data", "space", "plugins")
"""In the order that they are read and run in; each goes on from what those before it left."""

_MODEL = """
from latency_models import LookupModel, SumModel
from profiler import LatencyTable
from small_search import small, source
from search import open_space

def model_of(space, per_flop=1e-8):
    ops = {op: 0.005 + per_flop * op.flops for op in space.all_ops()}
    return SumModel(LookupModel(LatencyTable.from_ops("cpu/onnxruntime?threads=1", ops)))
"""
BEFORE = {
    "docs/data.md": """
import torch
my_train = (torch.rand(40, 3, 8, 8), torch.arange(40) % 2)
my_test = (torch.rand(20, 3, 8, 8), torch.arange(20) % 2)
""",
    "docs/proxyless.md": _MODEL + "space, data = small(), source()\nmodel = model_of(space)\n",
    "docs/strategies.md": _MODEL
    + """
import io, json
model = model_of(open_space("mobile-tiny"))
evaluate = lambda network: sum(network.choices) / 100
file = io.StringIO()
from search.spaces.nasbench201 import nasbench201
cells = nasbench201()
networks = {cells.representative(cells.architecture((i, 1, 2, 0, 4, 3))) for i in range(5)}
latencies_ms = {network: 9.0 + i for i, network in enumerate(networks)}
""",
    "docs/transfer.md": """
import numpy as np, pandas as pd
draw = np.random.default_rng(0)
names = [f"network {i}" for i in range(60)]
features = pd.DataFrame(draw.uniform(1, 2, (60, 3)), names, list("abc"))
known = {d: features @ draw.uniform(1, 2, 3) * draw.uniform(0.98, 1.02, 60) for d in "xyz"}
reference = pd.DataFrame(known)
measured = (features @ [1.0, 2.0, 1.5]).iloc[:10]
""",
}
"""What a page takes for granted in its Python."""


# Commands


def test_every_command_of_every_page_exists_with_its_options() -> None:
    found = [said for block in of_language("sh") for said in troubles(block)]
    loose = [
        f"{block.where}: {line}: {said}"
        for block in of_language("", "text")
        for line in block.text.splitlines()
        if line.startswith("lutier ")
        for words in Block(block.page, 0, "sh", "", "", line).commands()
        if words[0] == "lutier" and (said := trouble(words))
    ]
    assert [*found, *loose] == []


def test_commands_that_a_text_mentions_exist_with_their_options() -> None:
    mentioned = inline_commands()
    assert len(mentioned) > 30
    found = [(page, words, trouble_of_mention(words[1:])) for page, words in mentioned]
    assert [each for each in found if each[2]] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serch knas", "no command"),
        ("profile --spaces mobile", "--spaces"),
        ("profile --threads two", "two"),
        ("export runs/first --format gif", "gif"),
        ("verify", "folder is missing"),
        ("verify runs/first runs/second", "unexpected"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str, said: str) -> None:
    assert said in trouble_of_lutier(shlex.split(line))


def test_extras_that_pages_install_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    asked = set(re.findall(r"(?:'|\")?(?:lutier|\.)\[([a-z,]+)\]", text))
    names = {name for each in asked for name in each.split(",")}
    assert len(names) > 5
    assert names <= project["optional-dependencies"].keys()


def test_scripts_and_files_that_pages_name_exist() -> None:
    pattern = r"`(?:python )?((?:benchmarks|search|profiler|devices|lutier|examples)/[\w/]+\.\w+)"
    for page in PAGES:
        for name in re.findall(pattern, page.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


# Data


def test_blocks_of_toml_are_settings_or_a_project(tmp_path: Path) -> None:
    blocks = of_language("toml")
    assert len(blocks) >= 4
    for block in blocks:
        if block.title:
            assert tomllib.loads(block.text)["project"]["name"]
            continue
        (tmp_path / "lutier.toml").write_text(block.text)
        for name, value in tomllib.loads(block.text).items():
            assert str(getattr(load_settings(environment={}, folder=tmp_path), name)) == str(value)


def test_blocks_of_json_and_yaml_can_be_read() -> None:
    for block in of_language("json"):
        json.loads(block.text)
    for block in of_language("yaml", "yml"):
        yaml.safe_load(block.text)


def test_what_cannot_be_run_is_marked_and_counted() -> None:
    marked = [block for block in BLOCKS if block.not_run]
    print(*(f"{block.where}: not run: {block.not_run}" for block in marked), sep="\n")  # noqa: T201
    assert Counter(block.page for block in marked) == NOT_RUN
    marks = sum(page.read_text(encoding="utf-8").count("<!-- not run:") for page in PAGES)
    assert marks == len(marked), "a mark has to stand right above its block"


# Tutorials


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tutorials are followed, with Lutier's home in it."""
    return tmp_path_factory.mktemp("desk")


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sits down there: what is installed and stored by one tutorial is there for the next."""
    monkeypatch.chdir(desk)
    monkeypatch.delenv("LUTIER_DB")
    monkeypatch.setenv("LUTIER_HOME", str(desk / "home"))
    monkeypatch.syspath_prepend(str(desk / "installed"))
    monkeypatch.setenv("PYTHONPATH", str(desk / "installed"))
    for name, value in SHORTER.items():
        monkeypatch.setenv(name, value)
    return desk


def install(folder: Path, where: Path) -> None:
    """Install the package in a folder, as pip does, but into a folder of its own."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--root-user-action=ignore"]
    command += ["--target", str(where), str(folder.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def files_written(blocks: list[Block]) -> Iterator[Path]:
    """Write the blocks that are files, and give the packages among them."""
    for block in blocks:
        if block.title:
            path = Path(block.title)
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
            if path.name == "pyproject.toml":
                yield path.parent


def run_lutier(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> None:
    """Run a command of Lutier here, which ends with a code."""
    extra = shlex.split(ADDED.get((words[0], words[1] if words[1:] else ""), ""))
    ended, out, err = run(*words, *extra, capsys=capsys)
    assert ended == code, f"lutier {shlex.join(words)}\n{out}\n{err}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_works_from_end_to_end(
    name: str, at_desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = blocks_of(ROOT / "docs" / "tutorial" / f"{name}.md")
    # All files first: a package is installed with every module that its page shows.
    for package in list(files_written(blocks)):
        install(package, at_desk / "installed")
    commands = [
        words
        for block in blocks
        if block.language == "sh" and not block.not_run
        for words in block.commands()
    ]
    assert commands
    for program, *words in commands:
        if program == "lutier":
            run_lutier(words, capsys)
        else:
            assert program == "python"
            done = subprocess.run(
                [sys.executable, *words], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr


def test_tutorials_leave_what_they_promise(at_desk: Path) -> None:
    for name in ("first", "shapes", "plain", "depth"):
        assert json.loads((at_desk / "runs" / name / "result.json").read_text())["accuracy"] > 0
    assert (at_desk / "network.onnx").stat().st_size > 1000
    assert "<html" in (at_desk / "report.html").read_text()[:200]


@pytest.mark.parametrize("name", ["report", "tables"])
def test_a_how_to_page_works_on_what_the_tutorials_left(
    name: str, at_desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("runs/first", "runs/demo", dirs_exist_ok=True)
    cell = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*["nor_conv_3x3"] * 6)
    pd.DataFrame({"arch": [cell], "pixel3": [12.5]}).to_parquet("nb201.parquet")
    blocks = blocks_of(ROOT / "docs" / f"{name}.md")
    commands = [w for block in blocks if block.language == "sh" for w in block.commands()]
    assert len(commands) > 5
    for program, *words in commands:
        assert program == "lutier"
        # The table of the tutorial lacks ops of the published network: exit code 3 says so.
        run_lutier(words, capsys, 3 if words[:2] == ["table", "price"] else 0)


# Python


def is_self_contained(block: Block) -> bool:
    return block.language == "python" and not block.title and not block.not_run


SNIPPETS = [block for block in BLOCKS if is_self_contained(block)]


@pytest.mark.parametrize("block", SNIPPETS, ids=lambda block: block.where)
def test_every_python_snippet_runs(block: Block, at_desk: Path) -> None:
    if (
        "/usr/share/datasets/fashion-mnist" in block.text
        and not Path("/usr/share/datasets").exists()
    ):
        pytest.skip("needs Fashion-MNIST. Try: apt-get install dataset-fashion-mnist")
    names: dict[str, object] = {}
    exec(BEFORE.get(block.page, ""), names)  # noqa: S102  # our own pages
    exec(compile(block.text, block.where, "exec"), names)  # noqa: S102


def test_every_block_of_python_is_a_snippet_a_file_or_marked() -> None:
    others = [block for block in of_language("python") if not is_self_contained(block)]
    assert all(block.title or block.not_run for block in others)
    assert set(BEFORE) <= {block.page for block in SNIPPETS}


# The site


def test_every_page_is_in_the_navigation() -> None:
    settings = re.sub(r"!![\w/:.]+", "", (ROOT / "mkdocs.yml").read_text())
    listed = re.findall(r"[\w/]+\.md", settings.partition("\nnav:")[2])
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.name != "README.md"}
    assert set(listed) == pages
    assert len(listed) == len(set(listed))


@pytest.mark.timeout(900)
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)  # README is none of them, and there is a page for errors
    loaded = r'<(?:script|link|img|iframe|source)[^>]+(?:src|href)="(?:https?:)?//([^/"]+)'
    found = {host for page in pages for host in re.findall(loaded, page.read_text())}
    assert not found
    reference = (tmp_path / "reference" / "search.html").read_text()
    assert 'id="search.knas.knas_search"' in reference
    assert ":class:" not in reference
    commands = (tmp_path / "reference" / "command_line.html").read_text()
    assert '<h2 id="lutier-search-proxyless">' in commands
    assert "--delegate [xnnpack&#124;none&#124;" in commands
    assert "[bold]" not in commands
