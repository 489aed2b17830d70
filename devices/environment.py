"""Environment: the facts of a machine that a latency depends on, and their id."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")


@dataclass(frozen=True)
class Environment:
    """What a latency was measured on: two measurements compare only where the ids agree.

    Attributes:
        facts: sorted pairs of name and value: chip, cores, governor, runtime version, ...
    """

    facts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> Environment:
        """The environment with these facts."""
        return cls(tuple(sorted(facts.items())))

    @cached_property
    def id(self) -> str:
        """Twelve hex digits that change when a fact changes."""
        text = json.dumps(self.facts, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, str]:
        """The facts by name."""
        return dict(self.facts)

    def differences(self, other: Environment) -> list[str]:
        """What changed from this environment to another, in words."""
        mine, theirs = self.to_dict(), other.to_dict()
        return [
            f"{name}: {mine.get(name, 'not known')} -> {theirs.get(name, 'not known')}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]


def chip_name() -> str:
    """The processor's name as the system gives it, ``unknown`` where it gives none."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "Hardware") and value.strip():
                return value.strip()
    return platform.processor() or "unknown"


def governor() -> str:
    """The frequency governor of the first core, ``unknown`` where the system does not say."""
    try:
        return (_CPUFREQ / "scaling_governor").read_text().strip()
    except OSError:
        return "unknown"


def host_facts() -> dict[str, str]:
    """Facts of the machine this process runs on."""
    return {
        "chip": chip_name(),
        "architecture": platform.machine(),
        "cores": str(os.cpu_count() or 0),
        "system": platform.system(),
        "governor": governor(),
    }
