"""The shape of the house: layers, names, free imports, the wheel, one exception tree."""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint, packages_distributions
from pathlib import Path

import pytest

import lutier

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("devices", "profiler", "latency_models", "search", "lutier")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HEAVY = {"torch", "sklearn", "pandas", "onnxruntime", "onnx", "scipy", "sqlalchemy", "matplotlib"}


def sources() -> list[Path]:
    """Every Python file of the five packages, relative to the root."""
    found = (path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found)


SOURCES = sources()


def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), str(path))


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after some code, and a bare one has not."""
    report = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    modules = []
    for program in ("", code):
        run = subprocess.run(
            [sys.executable, "-c", program + report], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        modules.append({name.partition(".")[0] for name in json.loads(run.stdout.splitlines()[-1])})
    return modules[1] - modules[0]


# Layers


def test_no_package_imports_upwards() -> None:
    run = lint_imports(ROOT)
    assert run.returncode == 0, run.stdout


def test_the_check_of_the_layers_sees_an_import_upwards(tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    assert lint_imports(tmp_path).returncode == 0
    (tmp_path / "devices" / "base.py").write_text("def late():\n    import search\n")
    run = lint_imports(tmp_path)
    assert run.returncode == 1
    assert "devices is not allowed to import search" in run.stdout


# Names


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    names = {part: path for path in SOURCES for part in path.with_suffix("").parts}
    clashes = {str(names[name]) for name in names.keys() & sys.stdlib_module_names}
    assert not clashes


def test_every_module_says_what_it_is_about() -> None:
    trees = {str(path): parsed(path) for path in SOURCES}
    assert not [path for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)]


# Imports


@pytest.mark.parametrize(
    "module",
    [*PACKAGES, "devices.errors", "profiler.ops", "search.architecture", "search.spaces.registry"],
)
def test_importing_is_free(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert module.partition(".")[0] in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_holds_every_name_it_hands_on(name: str) -> None:
    package = importlib.import_module(name)
    missing = [each for each in getattr(package, "__all__", []) if not hasattr(package, each)]
    assert not missing


def test_help_loads_no_heavy_package() -> None:
    loaded = loaded_by(
        "import sys\n"
        "from lutier.cli.main import main\n"
        "sys.argv = ['lutier', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert "lutier" in loaded
    assert not loaded & HEAVY


def imported_distributions() -> Iterator[tuple[frozenset[str], str]]:
    """Every third-party import: distributions that it may be of, and where it is.

    Several have a part each of a namespace such as ``google``.
    """
    distributions = packages_distributions()
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in PACKAGES:
                    found = distributions.get(top, [top])
                    yield frozenset(map(normal, found)), f"{path}:{node.lineno}"


def normal(distribution: str) -> str:
    """A distribution's name as package indices compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", distribution)[0]).lower()


def test_what_is_imported_is_declared() -> None:
    project = PYPROJECT["project"]
    extras = {**project["optional-dependencies"], "dev": []}
    declared = {
        normal(name) for deps in (project["dependencies"], *extras.values()) for name in deps
    }
    undeclared = {names: where for names, where in imported_distributions() if not names & declared}
    assert not undeclared


def test_every_tested_version_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    pinned = {normal(line) for line in lines}
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {normal(name) for name in wanted} <= pinned
    assert "lutier" not in pinned


def test_the_package_and_the_distribution_have_one_version() -> None:
    assert lutier.__version__ == PYPROJECT["project"]["version"]


# Errors


def exceptions() -> dict[str, tuple[set[str], Path]]:
    """Every exception class defined in the packages: its bases and its file."""
    known = {
        name
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    classes = [
        (node.name, {ast.unparse(base).rpartition(".")[2] for base in node.bases}, path)
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    ]
    found: dict[str, tuple[set[str], Path]] = {}
    while fresh := [item for item in classes if item[0] not in found and item[1] & known]:
        known |= {name for name, _, _ in fresh}
        found |= {name: (bases, path) for name, bases, path in fresh}
    return found


def test_every_error_hangs_on_the_one_tree() -> None:
    found = exceptions()
    hanging = {"LutierError"}
    while more := {name for name in found.keys() - hanging if found[name][0] & hanging}:
        hanging |= more
    assert {name: str(found[name][1]) for name in found.keys() - hanging} == {}


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_the_five_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"{name}/py.typed" for name in PACKAGES} <= wanted
    assert wanted <= set(wheel.namelist())


def test_the_wheel_holds_the_licence_and_the_entry_points(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    text = wheel.read(entry_points).decode()
    for line in ("[console_scripts]", "lutier = lutier.cli.main:main", "[lutier.devices]"):
        assert line in text
    (licence,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def entry_points() -> list[EntryPoint]:
    """Everything that the distribution promises by name."""
    groups = {"console_scripts": PYPROJECT["project"]["scripts"]}
    groups |= PYPROJECT["project"]["entry-points"]
    return [EntryPoint(n, v, group) for group, names in groups.items() for n, v in names.items()]


@pytest.mark.parametrize("entry", entry_points(), ids=lambda entry: f"{entry.group}:{entry.name}")
def test_an_entry_point_leads_somewhere(entry: EntryPoint) -> None:
    assert callable(entry.load())


@pytest.mark.parametrize(
    "registry", ["devices.registry", "search.proxies.registry", "search.spaces.registry"]
)
def test_what_is_built_in_is_promised_by_name(registry: str) -> None:
    module = importlib.import_module(registry)
    promised = {entry.name for entry in entry_points() if entry.group == module.ENTRY_POINT_GROUP}
    assert promised == set(module._BUILT_IN)
