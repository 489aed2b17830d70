"""Thousands of broken files and keys: each is a table, an op, or one of Lutier's errors.

Runs the property tests of ``tests/profiler/exchange/test_fuzzing.py`` with as many examples as are
asked for, spread evenly over them, and counts the answers. Any other exception is a crash.

    python benchmarks/fuzz_imports.py --json fuzz_imports.json

Needs the tools for tests: pip install -e '.[dev]'.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
from _reporting import finish, header

TESTS = Path(__file__).parents[1] / "tests" / "profiler" / "exchange" / "test_fuzzing.py"
SPREAD = 30
"""Pairs of a test and a format that the examples are spread over."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=10_000, help="in all, at the least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a few hundred examples")
    arguments = parser.parse_args()
    examples = 300 if arguments.quick else arguments.examples
    document = header("fuzz_imports", seed=arguments.seed)
    tests = load_tests(math.ceil(examples / SPREAD))
    crashes = []
    for name, run in cases(tests, arguments.seed):
        try:
            run()
        except Exception as error:  # noqa: BLE001 - a crash of any kind is what is looked for
            crashes.append({"case": name, "error": repr(error)})
            traceback.print_exc()
    counts: Counter[tuple[str, str]] = tests.outcomes
    total = sum(counts.values())
    print(f"  {'read as':14s} {'examples':>8s}  answers")
    for subject in dict.fromkeys(subject for subject, _ in counts):
        answers = {answer: n for (about, answer), n in counts.items() if about == subject}
        shown = ", ".join(f"{answer} {n}" for answer, n in sorted(answers.items()))
        print(f"  {subject:14s} {sum(answers.values()):8d}  {shown}")
    print(f"  {total} examples, {len(crashes)} crashes")
    results = [{"subject": s, "answer": a, "count": n} for (s, a), n in counts.items()]
    finish({**document, "total": total, "crashes": crashes, "results": results}, arguments.json)
    enough = total >= examples or bool(crashes)
    if not enough:
        print(f"  only {total} examples were run, {examples} were wanted")
    return 0 if enough and not crashes else 1


def load_tests(examples: int) -> ModuleType:
    """The module of property tests, each with that many examples."""
    hypothesis.settings.register_profile(
        "exchange",
        deadline=None,
        database=None,
        max_examples=examples,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    spec = importlib.util.spec_from_file_location("fuzzing", TESTS)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{TESTS} is missing: run this from a checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzzing"] = module
    spec.loader.exec_module(module)
    return module


def cases(tests: ModuleType, seed: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every property test with every format it is for."""
    for name, test in vars(tests).items():
        if not name.startswith("test_"):
            continue
        hypothesis.seed(seed)(test)
        marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        for file_format in marks[0].args[1] if marks else [None]:
            arguments = {} if file_format is None else {"file_format": file_format}
            yield f"{name} {file_format or ''}", bound(test, arguments)


def bound(test: Callable[..., Any], arguments: dict[str, str]) -> Callable[[], Any]:
    """The test of one format."""
    return lambda: test(**arguments)


if __name__ == "__main__":
    sys.exit(main())
