"""``android:SERIAL``: a phone over adb, measured by the runtime's own benchmark program.

Nothing is lost when the cable is pulled, the phone restarts or adb ends: what was running is waited
for and run again as a whole. What a run prints counts only with the mark that it came to its end.
No setting of the phone is changed.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from devices import phone_health as health
from devices.adb import Adb, Reply
from devices.artifact import Artifact
from devices.environment import Environment
from devices.errors import (
    DeviceError,
    InputError,
    MeasurementError,
    MissingError,
    UnknownNameError,
    UnparsableOutputError,
)
from devices.op_profile import OpTime, parse_profile
from devices.phone_link import MODELS, PhoneLink
from devices.phone_list import find_phone
from devices.phone_tools import (
    MOST_SECONDS,
    TOOLS,
    BenchmarkModel,
    Figure,
    Tool,
    check_binary,
    tool_in,
)
from devices.target import Target

PATIENCE_S = 120.0
"""How long a phone that went away is waited for; ``LUTIER_ANDROID_PATIENCE`` changes it."""
COOL_SECONDS = 300.0
"""How long a phone is given to cool down."""
COARSE_MS = 0.005
"""Below it the microseconds that the programs count in are too coarse for single runs."""
FINE_RUNS = 1000
"""Runs of a model that is as quick as that. A run begins at any point of a microsecond, so the mean
over many is right although each is a whole number."""
COOL_MARGIN_C = 2.0
"""How much warmer than at the start a phone may be when a model is run."""

_COOL_POLL_S = 2.0
_CRASHES = 3
_HOT_RUNS = 5
_CRASHED = (134, 137, 139)  # aborted, killed, segmentation fault

_log = logging.getLogger(__name__)


class AndroidDevice:
    """A phone.

    Args:
        address: its serial number or alias; empty for the only one that is attached.
        adb: what reaches it; the one of this machine by default.
        programs: file on this machine of the program of each runtime; by default what the
            environment variables ``LUTIER_BENCHMARK_MODEL`` and ``LUTIER_PERF_TEST`` name.
        patience_s: how long it is waited for where it goes away.

    Raises:
        MissingExtraError: there is no adb.
        InputError: no such phone, or none was named and there are several.
        DeviceError: it is not ready.
    """

    def __init__(
        self,
        address: str = "",
        *,
        adb: Adb | None = None,
        programs: Mapping[str, Path] | None = None,
        patience_s: float | None = None,
    ) -> None:
        adb = Adb.find() if adb is None else adb
        serial = find_phone(adb.devices(), address).serial
        self._link = PhoneLink(adb, serial, _patience() if patience_s is None else patience_s)
        self._programs = dict(_named_programs() if programs is None else programs)
        self._properties: dict[str, str] = {}
        self._cores: tuple[health.Core, ...] = ()
        self._checked: dict[str, tuple[Tool, str]] = {}
        self._baseline_c = math.nan
        self._longest_s = MOST_SECONDS / 10
        self._warm = False
        self._quick: set[str] = set()

    @property
    def name(self) -> str:
        """``android:`` and its alias."""
        return self._link.name

    @property
    def is_exclusive(self) -> bool:
        """Two that measure on one phone at once disturb each other."""
        return True

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the runtimes that a phone can be measured with."""
        return tuple(TOOLS)

    def _tool(self, runtime: str) -> Tool:
        try:
            return TOOLS[runtime]
        except KeyError:
            raise UnknownNameError.of("runtime of android", runtime, TOOLS) from None

    def artifact_format(self, runtime: str) -> str:
        """The model file format a runtime loads."""
        return self._tool(runtime).artifact_format

    def environment(self, target: Target) -> Environment:
        """Phone, chip, Android, cores and clocks, and the program's SHA-256.

        Raises:
            InputError: cores, threads or a delegate that the phone or the runtime does not have.
            MissingError: no program to measure with was named.
            ArtifactError: the program is not one for this phone.
            DeviceError: the phone is in no state to be measured.
        """
        tool = self._tool(target.runtime)
        self._refuse(target, tool)
        self._look()
        cores = health.choose_cores(self._cores, target.cores, target.threads)
        self._program(target.runtime)
        _, digest = self._checked[target.runtime]
        of = self._properties.get
        return Environment.of(
            {
                "phone": health.model_of(self._properties),
                "chip": health.chip_of(self._properties) or "unknown",
                "android": of("ro.build.version.release", "unknown"),
                "build": of("ro.build.fingerprint", "unknown"),
                "abi": of("ro.product.cpu.abi", "unknown"),
                "clusters": health.describe_clusters(self._cores),
                "cores": f"0x{health.mask_of(cores)}",
                "governor": " ".join(sorted({core.governor for core in cores})) or "unknown",
                "runtime": target.runtime,
                "runtime_version": f"{tool.name} {digest[:12]}",
                "program_sha256": digest,
            }
        )

    def _refuse(self, target: Target, tool: Tool) -> None:
        target.refuse_options(f"{tool.name} on a phone", ("precision", "delegate", "cores"))
        if target.delegate not in tool.delegates:
            raise InputError(
                f"delegate={target.delegate}",
                f"{tool.name} has {', '.join(tool.delegates)}",
                f"--delegate {tool.delegates[0]}",
            )

    def _program(self, runtime: str) -> Path:
        tool = self._tool(runtime)
        try:
            path = self._programs[runtime]
        except KeyError:
            raise MissingError(
                f"no {tool.name} to measure with",
                f"{runtime} is measured on a phone by a program of its makers, which is not part"
                " of Lutier",
                f"--benchmark-model FILE or {tool.variable}=FILE, from {tool.source}",
            ) from None
        if runtime not in self._checked:
            check_binary(path, self._properties.get("ro.product.cpu.abi", "unknown"), tool)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self._checked[runtime] = (tool_in(path, tool), digest)
        return path

    def _look(self) -> None:
        """Ask the phone what it is and how it is, once; refuse one that cannot be measured."""
        if self._properties:
            return
        properties, cores, heat, battery, saver = self._link.ask(
            health.PROPERTIES_COMMAND,
            health.CORES_COMMAND,
            health.THERMAL_COMMAND,
            health.BATTERY_COMMAND,
            health.LOW_POWER_COMMAND,
        )
        found = health.objections(
            health.parse_battery(battery.output), low_power=saver.output.strip() == "1"
        )
        if found:
            raise DeviceError(
                f"{self.name} cannot be measured now",
                "; ".join(found),
                f"lutier doctor --device {self.name} when that is mended",
            )
        self._cores = health.parse_cores(cores.output)
        self._baseline_c = health.parse_heat(heat.output).skin_c
        self._properties = health.parse_properties(properties.output)

    def load(self, artifact: Artifact, target: Target) -> AndroidModel:
        """Bring a model file to the phone.

        Raises:
            InputError: a file of another format, or as :meth:`environment`.
            DeviceError: the phone has no room, or does not come back.
        """
        tool = self._tool(target.runtime)
        if artifact.format != tool.artifact_format:
            raise InputError(
                f"{artifact.key} is a file of format {artifact.format}",
                f"{tool.name} loads {tool.artifact_format}",
            )
        if not artifact.path.is_file():
            raise InputError(f"no model file {artifact.path}", "it is gone")
        self._refuse(target, tool)
        self._look()
        return AndroidModel(self, artifact, target)

    def send_model(self, artifact: Artifact) -> str:
        """Bring a model file to the phone, unless it is there; its path there."""
        name = f"{MODELS}/{artifact.sha256}{artifact.path.suffix}"
        return self._link.send(artifact.path, name)

    def send_program(self, runtime: str) -> str:
        """Bring the program of a runtime to the phone, unless it is there; its path there."""
        path = self._program(runtime)
        tool, digest = self._checked[runtime]
        return self._link.send(path, f"{tool.name}-{digest[:16]}")

    def time_ms(self, artifact: Artifact, target: Target, *, warmup: int, runs: int) -> float:
        """Run a model file on the phone, as often as it takes until nothing came in between.

        Returns:
            The median of the runs in ms, or the mean where the program gives none; of a model
            below :data:`COARSE_MS` the mean of :data:`FINE_RUNS`.

        Raises:
            MeasurementError: the program failed, again and again where it crashed, or a delegate
                fell back.
            UnparsableOutputError: the program prints what cannot be read.
            DeviceError: the phone did not come back, or does not cool down.
        """
        if artifact.sha256 not in self._quick:
            found = self._time(artifact, target, warmup=warmup, runs=runs).figure_ms
            if found >= COARSE_MS:
                return found
            self._quick.add(artifact.sha256)
        mean = self._time(artifact, target, warmup=warmup, runs=max(runs, FINE_RUNS)).mean_ms
        if mean <= 0:
            raise MeasurementError(
                f"{artifact.key} takes no time",
                f"none of {FINE_RUNS} runs took a microsecond, in which the program counts",
                "a larger op",
            )
        return mean

    def _time(self, artifact: Artifact, target: Target, *, warmup: int, runs: int) -> Figure:
        crashes = hot = 0
        while True:
            self._cool_down()
            reply, heat = self._link.persist(
                lambda: self._run(artifact, target, warmup=warmup, runs=runs)
            )
            tool, _ = self._checked[target.runtime]
            try:
                figure = tool.parse(reply.output, target, runs=runs, status=reply.status)
            except (MeasurementError, UnparsableOutputError) as error:
                # A kill or a cut output may be chance. The same every time is not.
                is_chance = isinstance(error, UnparsableOutputError) or reply.status in _CRASHED
                crashes += 1
                if not is_chance or crashes >= _CRASHES:
                    raise
                _log.warning("%s (%s); once more", error.what, error.why)
                continue
            if not (heat.status or 0) > 0:
                self._warm = heat.skin_c > self._baseline_c + COOL_MARGIN_C
                return figure
            self._warm = True
            hot += 1
            if hot >= _HOT_RUNS:
                raise DeviceError(
                    f"{self.name} gets too hot to be measured",
                    f"it was throttled ({health.THROTTLING[min(heat.status or 0, 6)]}) in each of"
                    f" {hot} runs of {artifact.key}",
                    "take it out of its case and out of the sun; then the same command again",
                )

    def _run(
        self,
        artifact: Artifact,
        target: Target,
        *,
        warmup: int,
        runs: int,
        profiling: bool = False,
    ) -> tuple[Reply, health.Heat]:
        model, program = self.send_model(artifact), self.send_program(target.runtime)
        cores = health.choose_cores(self._cores, target.cores, target.threads)
        tool, _ = self._checked[target.runtime]
        flags = tool.flags(model, target, warmup=warmup, runs=runs, profiling=profiling)
        start = time.monotonic()
        _, reply, heat = self._link.run(
            ["chmod", "755", program],
            ["taskset", health.mask_of(cores), program, *flags],
            health.THERMAL_COMMAND,
            timeout_s=10 * self._longest_s,
            bound=True,
        )
        self._longest_s = max(self._longest_s, time.monotonic() - start)
        return reply, health.parse_heat(heat.output)

    def op_times(self, artifact: Artifact, target: Target, *, runs: int) -> tuple[OpTime, ...]:
        """The time of each operation of a model, or of each kernel of the delegate.

        It is a run of its own, since timing operations slows the whole down.

        Raises:
            InputError: the program of this runtime does not time operations.
            MeasurementError: it failed, or a delegate fell back.
            UnparsableOutputError: it prints what cannot be read.
            DeviceError: the phone did not come back.
        """
        self._refuse(target, self._tool(target.runtime))
        self._look()
        self._program(target.runtime)
        tool, _ = self._checked[target.runtime]
        if not isinstance(tool, BenchmarkModel) or tool.dialect != "tflite":
            raise InputError(
                f"{tool.name} does not time single operations",
                hint="runtime litert, with TensorFlow's benchmark_model",
            )
        self._cool_down()
        reply, _ = self._link.persist(
            lambda: self._run(artifact, target, warmup=1, runs=runs, profiling=True)
        )
        tool.parse(reply.output, target, runs=runs, status=reply.status)
        return parse_profile(reply.output)

    def _cool_down(self) -> None:
        """Wait until the phone is as cool as at the start, or nearly so."""
        start = time.monotonic()
        while self._warm:
            (reply,) = self._link.ask(health.THERMAL_COMMAND)
            heat = health.parse_heat(reply.output)
            throttled = (heat.status or 0) > 0
            self._warm = throttled or heat.skin_c > self._baseline_c + COOL_MARGIN_C
            if not self._warm:
                return
            if time.monotonic() - start > COOL_SECONDS:
                if throttled:
                    raise DeviceError(
                        f"{self.name} does not cool down",
                        f"it is throttled, at {heat.skin_c:.0f} C after {COOL_SECONDS:.0f} s",
                        "take it out of its case and out of the sun; then the same command again",
                    )
                # It is warm here, and not throttled: this is as cool as it gets.
                _log.warning("%s stays at %.0f C", self.name, heat.skin_c)
                self._baseline_c = heat.skin_c
                self._warm = False
                return
            time.sleep(_COOL_POLL_S)

    def close(self) -> None:
        """Remove the models from the phone, where it is there; the program stays."""
        self._link.tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AndroidModel:
    """A model file on a phone."""

    def __init__(self, device: AndroidDevice, artifact: Artifact, target: Target) -> None:
        self._device = device
        self._artifact = artifact
        self._target = target
        device.send_model(artifact)
        device.send_program(target.runtime)

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        """One latency in ms: the median of the runs, as the program gives it.

        Older builds give the mean alone, and so it is for the quickest models.

        Raises:
            MeasurementError: it could not be run, or a delegate fell back.
            DeviceError: the phone went away and did not come back.
        """
        return [self._device.time_ms(self._artifact, self._target, warmup=warmup, runs=runs)]

    def close(self) -> None:
        """The file stays until the device is closed."""


def _named_programs() -> dict[str, Path]:
    return {
        runtime: Path(named).expanduser()
        for runtime, tool in TOOLS.items()
        if (named := os.environ.get(tool.variable))
    }


def _patience() -> float:
    text = os.environ.get("LUTIER_ANDROID_PATIENCE", "")
    if not text:
        return PATIENCE_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InputError(f"LUTIER_ANDROID_PATIENCE={text[:40]!r}", "must be a number of seconds")
    return seconds
