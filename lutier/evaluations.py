"""The evaluations of a strategy in a file, a line each, written as soon as they are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from devices.errors import InputError
from search.checkpoint import Fingerprint
from search.strategies.base import Evaluation


class EvaluationFile:
    """Lines of JSON: what the search depends on, then one evaluation after the other.

    Args:
        path: made with its folder when the first evaluation is kept.
        fingerprint: what the search depends on.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self.path = path
        self.fingerprint = fingerprint

    def read(self) -> list[Evaluation]:
        """The evaluations so far; a line that was cut while it was written is left out, for good.

        Raises:
            InputError: the file is of another search, or none of these.
        """
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole, _, cut = text.rpartition("\n")
        if cut:
            self.path.write_text(whole + "\n" if whole else "", encoding="utf-8")
        lines = whole.splitlines()
        if not lines:
            return []
        start_over = f"another --out, or delete {self.path} to start over"
        try:
            rows: list[Any] = [json.loads(line) for line in lines]
            before: Fingerprint = rows[0]["fingerprint"]
            changed = [
                f"{name} was {before.get(name)}, is {self.fingerprint.get(name)}"
                for name in sorted(before.keys() | self.fingerprint.keys())
                if before.get(name) != self.fingerprint.get(name)
            ]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{self.path} does not hold evaluations", str(error)[:200], start_over
            ) from error
        if changed:
            raise InputError(f"{self.path} is of another search", "; ".join(changed), start_over)
        return [Evaluation.from_row(row) for row in rows[1:]]

    def append(self, evaluation: Evaluation) -> None:
        """Keep one more."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            if not file.tell():
                file.write(json.dumps({"fingerprint": self.fingerprint}) + "\n")
            file.write(json.dumps(evaluation.row()) + "\n")
