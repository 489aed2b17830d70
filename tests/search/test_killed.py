from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import killed_search
import pytest
import torch

KILLS = 10


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Everything in nested dictionaries and lists, by where it is."""
    if isinstance(value, dict):
        children = {str(key): item for key, item in value.items()}
    elif isinstance(value, list | tuple):
        children = {str(i): item for i, item in enumerate(value)}
    else:
        return {name: value}
    return {
        where: leaf
        for key, child in children.items()
        for where, leaf in leaves(child, f"{name}.{key}").items()
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which this system does not have")
def test_a_search_that_was_killed_at_random_moments_ends_as_one_that_was_not(
    tmp_path: Path,
) -> None:
    words = [sys.executable, killed_search.__file__, str(tmp_path), "40", str(KILLS), "0"]
    path = os.pathsep.join([str(Path(killed_search.__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(words, env=environment, capture_output=True, timeout=600)
    assert process.returncode == 0, process.stderr.decode()
    whole, *killed, last = json.loads(process.stdout)
    assert (whole, last) == (0, 0), process.stderr.decode()
    # Told to stop, it ends as if it had not heard but for what it writes first.
    ends = {signal.SIGKILL: -9, signal.SIGTERM: -15, signal.SIGINT: 130}
    order = [killed_search.SIGNALS[i % len(killed_search.SIGNALS)] for i in range(KILLS)]
    assert killed == [ends[number] for number in order]
    for name in ("search.pt", "warmup.pt"):
        kept = [
            leaves(torch.load(tmp_path / folder / name, weights_only=True))
            for folder in ("whole", "cut")
        ]
        assert kept[0].keys() == kept[1].keys()
        assert len(kept[0]) > 100
        for where, value in kept[0].items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, kept[1][where]), where
            else:
                assert value == kept[1][where], where
    found = [
        json.loads((tmp_path / folder / "found.json").read_text()) for folder in ("whole", "cut")
    ]
    assert found[0] == found[1]
