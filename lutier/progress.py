"""Progress of long work, on standard error: a bar in a terminal, now and then a line in a log."""

from __future__ import annotations

import time
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lutier.terminal import duration, err, out, percent
from profiler.events import Event, Failed, Prepared, RoundEnded, Visited, Waiting
from profiler.protocol import Protocol

LOG_INTERVAL_S = 15.0


class Bar:
    """One progress bar with an ETA. Without a terminal it prints a line now and then instead.

    Args:
        label: what is being done.
        total: how much there is to do.
        quiet: print nothing at all; so it is where the command was given --quiet.
    """

    def __init__(self, label: str, total: int, *, quiet: bool = False) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._quiet = quiet or out.quiet
        self._last_line = time.monotonic()
        self._begun = (0, self._last_line)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=self._quiet or not err.is_terminal,
        )
        self._task: TaskID = self._progress.add_task(label, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def update(self, done: int, *, total: int | None = None, label: str | None = None) -> None:
        """Say how much is done, and, where they have changed, of how much and of what."""
        now = time.monotonic()
        if done < self._done:
            self._begun = (done, now)
        self._done = done
        self._total = total or self._total
        self._label = label or self._label
        self._progress.update(
            self._task, completed=done, total=self._total, description=self._label
        )
        if not self._quiet and not err.is_terminal and now - self._last_line > LOG_INTERVAL_S:
            self._last_line = now
            err.print(f"{self._label}: {done} of {self._total}{self._left(now)}", markup=False)

    def _left(self, now: float) -> str:
        """How long the rest will take at the pace so far; nothing where there is none."""
        before, start = self._begun
        if not before < self._done < self._total:
            return ""
        pace = (now - start) / (self._done - before)
        return f", {duration(pace * (self._total - self._done))} left"

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if not self._quiet:
            self._progress.console.print(line, markup=False)


class ProfileBar(Bar):
    """Follows a profiling run: loading, then visits round by round.

    The number of rounds is not known beforehand, because measuring ends when it is good enough:
    the total is that of the least rounds first, and of the time allowed after that.
    """

    def __init__(self, protocol: Protocol, *, quiet: bool = False) -> None:
        super().__init__("loading", 1, quiet=quiet)
        self._protocol = protocol
        self._start = 0.0
        self._visits = 0
        self._models = 0

    @property
    def visits(self) -> int:
        """How many visits there were so far."""
        return self._visits

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Prepared():
                self._models = event.total
                self.update(event.count, total=event.total, label="loading")
            case Visited():
                self._visits += 1
                if self._visits == 1:
                    self._start = time.monotonic()
                    least = self._models * self._protocol.min_rounds
                    self.update(0, total=least, label="measuring")
                self.update(self._visits)
            case RoundEnded():
                error = percent(event.split_half_error)
                self.update(
                    self._visits,
                    total=event.models * self._rounds(event.round),
                    label=f"measuring, round {event.round}, split-half error {error}",
                )
            case Waiting():
                hosts = ", ".join(event.hosts)
                self.say(f"waiting for {event.count} that are being measured on {hosts}")
            case Failed():
                self.say(f"failed: {event.key}: {event.reason}")

    def _rounds(self, done: int) -> int:
        """How many rounds there will be at the most, judging by the pace so far."""
        protocol = self._protocol
        if done < protocol.min_rounds:
            return protocol.min_rounds
        pace = (time.monotonic() - self._start) / done
        affordable = int(protocol.max_seconds / max(pace, 1e-9))
        return max(done, min(affordable, protocol.max_rounds))
