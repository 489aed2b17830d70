"""Every script and notebook in ``examples/`` is run as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "own_proxy": "reach   rank correlation with the accuracy",
    "profile_and_predict": "calibrated on ",
    "search_under_budget": "accuracy ",
}
"""What each prints when it went through."""


@pytest.mark.parametrize("name", SAYS)
def test_a_script_runs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
    assert not list(tmp_path.iterdir()), "an example leaves nothing behind"


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "what_an_op_costs.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    kinds = {kind for out in shown for kind in out.get("data", ())}
    assert {"text/html", "image/png"} <= kinds
    assert "lutier profile" in shown[-1].text


def test_every_example_is_run() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    assert scripts == SAYS.keys()
    assert [path.name for path in EXAMPLES.glob("*.ipynb")] == ["what_an_op_costs.ipynb"]
