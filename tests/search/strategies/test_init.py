from __future__ import annotations

import subprocess
import sys

import search.strategies


def test_every_name_that_is_handed_on_is_there() -> None:
    assert [n for n in search.strategies.__all__ if not hasattr(search.strategies, n)] == []
    assert "RegularizedEvolution" in search.strategies.__all__


def test_importing_is_free() -> None:
    code = "import sys, search.strategies; print('torch' in sys.modules, 'optuna' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
