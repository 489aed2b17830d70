"""Every error Lutier raises on purpose, in one tree.

::

    LutierError                     1    root; carries what happened, why, and what to type next
    ├── InputError                  2    a value, name or file that was given cannot be used
    │   ├── UnknownNameError             no such device, runtime, space, option or setting
    │   ├── ArtifactError                a model file no runtime can load: truncated, foreign
    │   ├── StoreError                   a database that is not ours, or of a newer schema
    │   ├── DatasetError                 training data that cannot be trained on
    │   ├── DivergedError                training whose loss is no longer a number
    │   └── OutOfMemoryError             a training step that does not fit in memory
    ├── MissingError                3    something needed is not there yet
    │   ├── MissingEntryError            an operation that is not in the latency table
    │   ├── MissingTableError            no latency table of this target
    │   ├── MissingModelError            no fitted latency model of this target
    │   └── MissingExtraError            an optional package that is not installed
    ├── DeviceError                 4    the device did not do what was asked
    │   ├── MeasurementError             a model loaded but could not be timed
    │   ├── LinkLostError                the way to the device broke off: repeat what was cut
    │   └── UnparsableOutputError        a tool on the device said what nobody can read
    ├── BudgetError                 5    no network meets the latency budget
    └── UntrustworthyError          6    measurements too noisy to build on

The number is the exit code of the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class LutierError(Exception):
    """What happened with which value, why, and what to type next.

    Args:
        what: what happened, naming the value.
        why: the reason, if there is one to give.
        hint: the command or change that mends it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what, why, hint)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        text = self.what
        if self.why:
            text += f": {self.why}"
        if self.hint:
            text += f". Try: {self.hint}"
        return text


class InputError(LutierError):
    """A value, name or file that was given cannot be used."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that is not registered; the nearest ones are shown."""

    @classmethod
    def of(cls, noun: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """Describe an unknown ``name`` of a ``noun`` (device, space, ...) among the ``known``."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        if near:
            hint = " or ".join(near)
        elif len(names) <= 12:
            hint = "one of " + ", ".join(names)
        else:
            hint = f"one of {', '.join(names[:12])}, ... ({len(names)} in all)"
        return cls(f"unknown {noun} {name!r}", hint=hint)


class ArtifactError(InputError):
    """A model file a runtime cannot load."""


class StoreError(InputError):
    """A database that is not a Lutier store, cannot be read, or has a newer schema."""


class DatasetError(InputError):
    """Training data that cannot be trained on."""


class DivergedError(InputError):
    """Training whose loss is no longer a number: the settings are too bold for the network."""


class OutOfMemoryError(InputError):
    """A training step that does not fit in the memory of the device that trains."""


class MissingError(LutierError):
    """Something needed is not there yet."""

    exit_code = 3


class MissingEntryError(MissingError):
    """An operation that is not in the latency table."""


class MissingTableError(MissingError):
    """No latency table of this target."""


class MissingModelError(MissingError):
    """No fitted latency model of this target."""


class MissingExtraError(MissingError):
    """An optional package that is not installed."""


class DeviceError(LutierError):
    """The device did not do what was asked."""

    exit_code = 4


class MeasurementError(DeviceError):
    """A model that loaded but could not be timed."""


class LinkLostError(DeviceError):
    """The way to the device broke off, or never was there: what was cut has to be repeated."""


class UnparsableOutputError(DeviceError):
    """A tool on the device printed what cannot be read; the tail of it is shown."""


class BudgetError(LutierError):
    """No network meets the latency budget."""

    exit_code = 5


class UntrustworthyError(LutierError):
    """Measurements too noisy to build on."""

    exit_code = 6
