"""What ``lutier doctor`` looks at, one function a question."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Literal

from devices.adb import Adb
from devices.cuda import CudaDevice
from devices.environment import chip_name, governor
from devices.errors import DeviceError, LutierError, MissingExtraError, UnknownNameError
from devices.host import HostDevice
from devices.nvml import driver_and_gpus
from lutier.extras import extra_names, find_extra
from lutier.settings import FILE_NAME, PREFIX, Settings, read_settings_file

PACKAGES = ("devices", "profiler", "latency_models", "search", "lutier")
OTHER_VARIABLES = frozenset(
    {"LUTIER_ADB", "LUTIER_SERVE_TOKEN", "LUTIER_SSH_OPTIONS", "LUTIER_SSH_PYTHON"}
)
"""Of the environment, which no setting is named after."""
_BUSY = 0.2


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes:
        name: what was looked at.
        verdict: ``ok``; ``warn`` (figures may suffer); ``none`` (not there, and needed by those
            alone who ask for it); or ``fail`` (something will not work).
        text: what was found.
        advice: what to do, where something is to be done.
    """

    name: str
    verdict: Literal["ok", "warn", "none", "fail"]
    text: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """The finding as plain values."""
        return asdict(self)


def run_checks(settings: Settings) -> list[Finding]:
    """Ask every question about this machine."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        check_packages,
        check_settings,
        check_store,
        check_machine,
        check_runtimes,
        check_gpu,
        check_programs,
        check_extras,
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


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Which settings file is in use, and whether each variable of ours is one that is known."""
    sources = []
    set_here = read_settings_file(Path.cwd())
    if set_here:
        sources.append(f"{Path.cwd() / FILE_NAME} sets {', '.join(sorted(set_here))}")
    elif (Path.cwd() / FILE_NAME).is_file():
        sources.append(f"{Path.cwd() / FILE_NAME} sets nothing: all of it is commented out")
    else:
        sources.append(f"no {FILE_NAME} in this folder")
    ours = sorted(name for name in os.environ if name.startswith(PREFIX))
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    if ours:
        sources.append(f"the environment sets {', '.join(ours)}")
    yield Finding(
        "settings",
        "ok",
        "; ".join(sources),
        "" if (Path.cwd() / FILE_NAME).is_file() else "lutier init writes one with the defaults",
    )
    for name in ours:
        if name not in known:
            unknown = UnknownNameError.of("variable", name, known)
            yield Finding("settings", "warn", f"{unknown.what}: it does nothing", unknown.hint)


def check_runtimes(settings: Settings) -> Iterator[Finding]:
    """Whether each runtime is there."""
    with HostDevice() as host:
        yield from runtimes_of(host)


def runtimes_of(device: HostDevice | CudaDevice) -> Iterator[Finding]:
    """Whether each runtime of a device is there, and what installs it."""
    for runtime in device.runtimes:
        name = f"runtime {runtime}"
        try:
            yield Finding(name, "ok", device.runtime_version(runtime))
        except MissingExtraError as error:
            yield Finding(name, "none", reason(error), error.hint)
        except LutierError as error:
            yield Finding(name, "fail", reason(error), error.hint)


def reason(error: LutierError) -> str:
    """An error without its hint, which is advice."""
    return f"{error.what}: {error.why}" if error.why else error.what


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Whether the machine is fit for timing: load, governor, cores."""
    cores = os.cpu_count() or 1
    yield Finding("chip", "ok", f"{chip_name()}, {cores} cores")
    load = os.getloadavg()[0] / cores
    text = f"{load * cores:.1f} processes on {cores} cores in the last minute"
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


def check_gpu(settings: Settings) -> Iterator[Finding]:
    """Whether there is an NVIDIA GPU, and whether PyTorch was built to drive one."""
    build = torch_build()
    try:
        driver, gpus = driver_and_gpus()
    except MissingExtraError as error:
        if not shutil.which("nvidia-smi"):
            yield Finding("gpu", "none", "no NVIDIA driver was found: --device cuda:N needs one")
        else:
            yield Finding("gpu", "warn", error.what, error.hint)
        return
    except DeviceError as error:
        yield Finding("gpu", "none", f"no NVIDIA GPU answers: {error.why}")
        return
    found = "; ".join(gpus) or "no GPU"
    yield Finding("gpu", "ok" if gpus else "none", f"{found}; driver {driver}")
    if gpus and build.endswith("+cpu"):
        yield Finding(
            "torch build",
            "warn",
            f"torch {build} is a build for the CPU alone: it cannot drive the GPU",
            "pip install --force-reinstall torch, which on Linux is the build with CUDA",
        )


def torch_build() -> str:
    """Version of PyTorch with its build, such as ``2.6.0+cpu``, without importing it."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return "not installed"


def check_programs(settings: Settings) -> Iterator[Finding]:
    """Programs that other devices are reached through: adb and OpenSSH's client."""
    try:
        adb = Adb.find()
        yield Finding("adb", "ok", f"{adb.program}, version {adb.version()}: phones")
    except MissingExtraError as error:
        yield Finding("adb", "none", f"{reason(error)}; phones need it", error.hint)
    except LutierError as error:
        yield Finding("adb", "fail", reason(error), error.hint)
    ssh = shutil.which("ssh")
    if ssh:
        yield Finding("ssh", "ok", f"{ssh}: ssh:HOST measures another machine")
    else:
        yield Finding(
            "ssh",
            "none",
            "not found: ssh:HOST cannot be measured",
            "sudo apt-get install openssh-client",
        )


def check_extras(settings: Settings) -> Iterator[Finding]:
    """Which extras are installed, and the command for each that is not."""
    for name in extra_names():
        yield check_extra(name)


def check_extra(name: str) -> Finding:
    """Whether one extra is installed."""
    extra = find_extra(name)
    if extra.missing:
        lacking = f"{extra.purpose} ({', '.join(extra.missing)} not installed)"
        return Finding(f"extra {name}", "none", lacking, extra.command)
    return Finding(f"extra {name}", "ok", f"{extra.purpose} ({', '.join(extra.installed)})")


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
