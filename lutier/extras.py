"""The extras of the distribution: what each is for, and what of it is not installed here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version

from packaging.requirements import Requirement

PURPOSES = {
    "android": "an adb for phones, where the system has none",
    "bench": "accuracies of NAS-Bench-201",
    "cluster": "lutier search knas --cluster",
    "cuda": "state of an NVIDIA GPU, for --device cuda:N",
    "energy": "lutier search --energy",
    "litert": "the runtime litert, and TFLite files",
    "postgres": "--db postgresql://...",
    "report": "lutier report",
    "search": "lutier search tpe",
    "serve": "lutier serve",
    "tracking": "lutier search --track",
    "vision": "--data imagefolder:DIR",
}
"""By name, what an extra is needed for."""
_NOT_FOR_USE = frozenset({"dev", "docs"})


@dataclass(frozen=True)
class Extra:
    """One extra.

    Attributes:
        name: as in ``lutier[name]``.
        installed: distribution and version of what is there of it.
        missing: what it asks for and is not there, or is too old.
    """

    name: str
    installed: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def purpose(self) -> str:
        """What it is needed for."""
        return PURPOSES.get(self.name, "")

    @property
    def command(self) -> str:
        """What installs it."""
        return f"pip install 'lutier[{self.name}]'"


def extra_names() -> tuple[str, ...]:
    """Names of the extras of the distribution that is installed, sorted; none where none is."""
    try:
        names = distribution("lutier").metadata.get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return ()
    return tuple(sorted(set(names) - _NOT_FOR_USE))


def find_extra(name: str) -> Extra:
    """What is installed of one of :func:`extra_names`."""
    installed, missing = [], []
    for text in distribution("lutier").requires or []:
        wanted = Requirement(text)
        if wanted.marker is None or not wanted.marker.evaluate({"extra": name}):
            continue
        if wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            missing.append(wanted.name)
            continue
        if wanted.specifier.contains(found, prereleases=True):
            installed.append(f"{wanted.name} {found}")
        else:
            missing.append(f"{wanted.name}{wanted.specifier} (here is {found})")
    return Extra(name, tuple(installed), tuple(missing))
