"""A home with a table and a model of this machine, measured as little as will do."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from lutier.cli.main import main

QUICK = {"LUTIER_NETWORKS": "30", "LUTIER_MAX_ROUNDS": "12", "LUTIER_MIN_SECONDS": "0"}


def use_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Let commands find and keep everything in a folder, and measure little."""
    own = {"LUTIER_HOME": str(home / "lutier"), "LUTIER_DB": f"sqlite:///{home / 'lutier.db'}"}
    for name, value in {**QUICK, **own}.items():
        patch.setenv(name, value)


def measure_into(home: Path, space: str, target: str) -> dict[str, Any]:
    """Profile a space and fit its model in a folder; the report of fitting."""
    with pytest.MonkeyPatch.context() as patch:
        use_home(patch, home)
        with contextlib.redirect_stdout(io.StringIO()):
            main(["profile", "--space", space])
        with contextlib.redirect_stdout(io.StringIO()) as out:
            main(["fit", "--target", target, "--json"])
    report: dict[str, Any] = json.loads(out.getvalue())
    return report
