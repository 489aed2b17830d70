"""What ``lutier doctor`` looks at, one function a question."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Literal

from devices.environment import chip_name, governor
from devices.errors import LutierError
from devices.host import HostDevice
from lutier.settings import Settings

PACKAGES = ("devices", "profiler", "latency_models", "search", "lutier")
_BUSY = 0.2


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes:
        name: what was looked at.
        verdict: ``ok``, ``warn`` (figures may suffer) or ``fail`` (something will not work).
        text: what was found.
        advice: what to do, where something is to be done.
    """

    name: str
    verdict: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """The finding as plain values."""
        return asdict(self)


def run_checks(settings: Settings) -> list[Finding]:
    """Ask every question."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        check_packages,
        check_runtimes,
        check_machine,
        check_ssh,
        check_store,
    ]
    return [finding for check in checks for finding in check(settings)]


def check_packages(settings: Settings) -> Iterator[Finding]:
    """Whether one of our five package names belongs to something else here.

    Four of them are everyday words: another distribution, or a folder beside the script that is
    run, may hide ours.
    """
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok", f"{python} at {sys.executable}")
    home = Path(__file__).parent.parent
    owners = packages_distributions()
    trouble = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).parent if spec and spec.origin else None
        if origin != home / name:
            trouble.append(f"{name} is {origin}")
        others = sorted(set(owners.get(name, [])) - {"lutier"})
        if others:
            trouble.append(f"{name} is also installed by {', '.join(others)}")
    if trouble:
        yield Finding(
            "packages",
            "fail",
            "; ".join(trouble),
            "install lutier into an environment of its own: uv tool install, pipx or venv",
        )
    else:
        yield Finding("packages", "ok", f"{', '.join(PACKAGES)} are Lutier's own")


def check_runtimes(settings: Settings) -> Iterator[Finding]:
    """Whether each runtime is there."""
    host = HostDevice()
    for runtime in host.runtimes:
        try:
            yield Finding(f"runtime {runtime}", "ok", host.runtime_version(runtime))
        except LutierError as error:
            yield Finding(f"runtime {runtime}", "warn", error.what, error.hint)


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Whether the machine is fit for timing: load, governor, cores."""
    cores = os.cpu_count() or 1
    yield Finding("chip", "ok", f"{chip_name()}, {cores} cores")
    load = os.getloadavg()[0] / cores
    text = f"{load * 100:.0f} % of the cores were busy in the last minute"
    if load > _BUSY:
        yield Finding("load", "warn", text, "end what else runs, or expect wider intervals")
    else:
        yield Finding("load", "ok", text)
    setting = governor()
    if setting in ("performance", "schedutil"):
        yield Finding("governor", "ok", setting)
    elif setting == "unknown":
        yield Finding(
            "governor",
            "warn",
            "the system does not say (usual on a virtual machine): clocks may change unseen",
            "watch the split-half error that lutier profile prints",
        )
    else:
        yield Finding(
            "governor",
            "warn",
            f"{setting}: clocks follow the load",
            "sudo cpupower frequency-set -g performance",
        )


def check_ssh(settings: Settings) -> Iterator[Finding]:
    """Whether other machines can be reached: ``ssh:HOST`` goes through OpenSSH's client."""
    ssh = shutil.which("ssh")
    if ssh:
        yield Finding("ssh", "ok", f"{ssh}: ssh:HOST measures another machine")
    else:
        yield Finding(
            "ssh",
            "warn",
            "not found: ssh:HOST cannot be measured",
            "sudo apt-get install openssh-client",
        )


def check_store(settings: Settings) -> Iterator[Finding]:
    """Whether the database opens, and what it holds."""
    from sqlalchemy.engine import make_url

    from lutier.storage import open_store

    url = make_url(settings.db_url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        yield Finding("database", "ok", f"{settings.shown_db}: made by the first lutier profile")
        return
    try:
        with open_store(settings) as store:
            targets = store.targets()
    except LutierError as error:
        yield Finding("database", "fail", f"{error.what}: {error.why}", error.hint)
        return
    held = ", ".join(f"{name} ({count})" for name, count in targets.items()) or "no table yet"
    yield Finding("database", "ok", f"{settings.shown_db}: {held}")
