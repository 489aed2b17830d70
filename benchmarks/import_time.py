"""Importing is free: seconds to import each package and to show the help, and no torch on the way.

Each is a process of its own, started several times in turn beside a bare ``python -c pass``; the
fastest of each counts, because whatever else runs makes it slower.

    python benchmarks/import_time.py --json import_time.json
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from _reporting import finish, header

PACKAGES = ("devices", "profiler", "latency_models", "search", "lutier")
HEAVY = ("torch", "onnxruntime", "pandas", "sklearn", "scipy", "sqlalchemy")
MAX_IMPORT_S = 0.2
MAX_HELP_S = 0.5
BARE, HELP = "python -c pass", "lutier --help"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few repeats, no bounds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats = 2
    document = header("import_time", seed=0)
    commands = {
        BARE: ["-c", "pass"],
        **{f"import {name}": ["-c", f"import {name}"] for name in PACKAGES},
        HELP: ["-m", "lutier", "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(arguments.repeats):
        for name, words in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    loaded = {name: heavy_modules(name) for name in PACKAGES}
    bare = min(seconds[BARE])
    print(f"\n  {'':22s}  seconds  without the interpreter's own  heavy modules loaded")
    met = True
    for name, values in seconds.items():
        best = min(values)
        heavy = loaded.get(name.removeprefix("import "), [])
        limit = MAX_HELP_S if name == HELP else bare + MAX_IMPORT_S
        met = met and (name == BARE or best <= limit) and not heavy
        print(f"  {name:22s}  {best:7.3f}  {best - bare:29.3f}  {', '.join(heavy) or 'none'}")
    print(
        f"\nimports within {MAX_IMPORT_S} s, help within {MAX_HELP_S} s, nothing heavy:"
        f" {'met' if met else 'MISSED'}"
    )
    finish({**document, "seconds": seconds, "heavy": loaded, "met": met}, arguments.json)
    return 0 if met or arguments.quick else 1


def heavy_modules(package: str) -> list[str]:
    """Which heavy packages are loaded once a package is imported."""
    code = f"import sys, {package}; print(*(set({HEAVY!r}) & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    return sorted(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    )


if __name__ == "__main__":
    sys.exit(main())
