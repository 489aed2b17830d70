"""What every benchmark prints and writes: the machine, the date, the versions, the seed."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from devices.environment import host_facts
from lutier.terminal import to_json

PACKAGES = ("torch", "onnxruntime", "numpy", "scikit-learn")


def header(name: str, *, seed: int) -> dict[str, Any]:
    """Print where and when a benchmark runs, and return it for the JSON file."""
    facts = host_facts()
    versions = {package: version(package) for package in PACKAGES}
    today = datetime.now().astimezone().date().isoformat()
    print(f"{name}: {facts['chip']}, {facts['cores']} cores, {today}, seed {seed}")
    print("  " + ", ".join(f"{package} {text}" for package, text in versions.items()))
    return {"benchmark": name, "machine": facts, "date": today, "versions": versions, "seed": seed}


def finish(document: dict[str, Any], path: Path | None) -> None:
    """Write the JSON file, where one was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(to_json(document), indent=2) + "\n")
        print(f"\nwritten to {path}")
