"""Profiling: measure what a plan lacks, and store it as it comes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from devices.artifact import Artifact, ArtifactFolder
from devices.base import Device, Exclusive, LoadedModel
from devices.environment import Environment
from devices.errors import ArtifactError, MeasurementError, MissingEntryError
from devices.health import Counters, Disturbance, Watched
from devices.target import Target
from profiler.claims import CLAIM_SECONDS, Claims
from profiler.events import Event, Failed, Listener, Prepared, RoundEnded, ignore
from profiler.jobs import Job, make_artifact
from profiler.measure import measure_rounds
from profiler.plan import make_plan
from profiler.protocol import Protocol
from profiler.quality import Summary, split_half_error, summarise
from profiler.reference import load_reference
from profiler.renewal import load_renewed
from profiler.rules import Evidence, judge
from profiler.storage.database import Begun, MeasurementStore
from profiler.visit import Scale, Series, Visit

MAX_LOADED = 256
"""Models held loaded at once; more are measured in groups, ops and networks mixed in each."""


@dataclass(frozen=True)
class ProfileResult:
    """What a profiling run did.

    Attributes:
        target: what was measured on.
        environment: the machine's facts.
        planned: distinct ops and networks asked for.
        stored_before: of these, how many were in the store already.
        measured: summaries of what was measured now, by key.
        failed: reasons of what could not be measured, by key, earlier failures included.
        elsewhere: keys that other processes measured meanwhile.
    """

    target: Target
    environment: Environment
    planned: int
    stored_before: int
    measured: dict[str, Summary]
    failed: dict[str, str]
    elsewhere: tuple[str, ...] = ()

    @property
    def split_half_error(self) -> float:
        """Of what was measured now, relative; NaN where nothing was."""
        return split_half_error(summary.split_half for summary in self.measured.values())


def profile(
    jobs: Sequence[Job],
    device: Device,
    target: Target,
    store: MeasurementStore,
    protocol: Protocol,
    *,
    seed: int = 0,
    retry_failed: bool = False,
    on_event: Listener = ignore,
    claim_seconds: float = CLAIM_SECONDS,
) -> ProfileResult:
    """Measure what the store lacks of some jobs.

    Every visit is committed as soon as it is made. Killing this at any instant loses at most the
    visit in flight, and calling it again goes on where it was. Several processes may do this at
    once, each on a machine of its own with the same environment: each job is measured by one.

    Args:
        jobs: ops and networks; measured together, in the same shuffled rounds.
        device: opened.
        target: on that device.
        store: where measurements go.
        protocol: how to time.
        seed: of the order of visits.
        retry_failed: whether to try again what failed before.
        on_event: told what happens.
        claim_seconds: without a sign of life for this long, others take over what this measures.

    Raises:
        DeviceError: the device went away, or another process measures on a device that is for one
            at a time. What was measured is stored.
        StoreError: the store went away. What was measured is stored.
    """
    environment = device.environment(target)
    plan = make_plan(jobs, store, target, environment, protocol, retry_failed=retry_failed)
    generator = np.random.default_rng(seed)
    order = [plan.todo[i] for i in generator.permutation(len(plan.todo))]
    order.sort(key=lambda job: not job.is_first)
    claims = Claims(
        store,
        target,
        environment,
        protocol,
        seconds=claim_seconds,
        retry_failed=retry_failed,
        alone=isinstance(device, Exclusive) and device.is_exclusive,
    )
    run = _Run(device, target, environment, store, protocol, claims, on_event, len(order))
    if order:
        with claims:
            while batch := claims.take(run.left(order), MAX_LOADED, on_event):
                run.measure(batch, generator)
    others = [job.key for job in run.left(order)]
    failed = {**_failures([*plan.failed, *others], store, target, environment), **run.failed}
    elsewhere = tuple(key for key in others if key not in failed)
    return ProfileResult(
        target, environment, plan.planned, len(plan.stored), run.measured, failed, elsewhere
    )


def _failures(
    keys: Sequence[str], store: MeasurementStore, target: Target, environment: Environment
) -> dict[str, str]:
    """Reasons of those of some keys that have failed, earlier or elsewhere."""
    reasons = store.failures(target, environment.id) if keys else {}
    return {key: reasons[key] for key in keys if key in reasons}


class _Run:
    """The state of one call of :func:`profile`."""

    def __init__(
        self,
        device: Device,
        target: Target,
        environment: Environment,
        store: MeasurementStore,
        protocol: Protocol,
        claims: Claims,
        on_event: Listener,
        total: int,
    ) -> None:
        self.device = device
        self.target = target
        self.environment = environment
        self.store = store
        self.protocol = protocol
        self.claims = claims
        self.on_event = on_event
        self.total = total
        self.prepared = 0
        self.measured: dict[str, Summary] = {}
        self.failed: dict[str, str] = {}

    def left(self, jobs: Sequence[Job]) -> list[Job]:
        """Those jobs that this run has neither measured nor failed to measure."""
        return [job for job in jobs if job.key not in self.measured and job.key not in self.failed]

    def measure(self, jobs: Sequence[Job], generator: np.random.Generator) -> None:
        """Measure a group of jobs in common rounds."""
        with ExitStack() as stack:
            # Model files are written anew in a millisecond or so: keeping them is not worth disk.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lutier-"))
            artifacts = ArtifactFolder(Path(folder))
            models: dict[str, LoadedModel] = {}
            begun: dict[str, Begun] = {}
            for job in jobs:
                model = self._load(job, artifacts, begun)
                if model is not None:
                    stack.callback(model.close)
                    models[job.key] = self.claims.guard(job.key, model)
                self.prepared += 1
                self.on_event(Prepared(job.key, self.prepared, self.total))
            ids = self._begin([begun[key] for key in models])
            visits = self.store.visits_of(ids.values())
            series = {key: Series(visits[ids[key]]) for key in models}
            reference = load_reference(self.device, self.target, artifacts, stack)
            before = _counters(self.device)
            scale = measure_rounds(
                models,
                series,
                self.protocol,
                generator,
                reference=reference,
                nominal_ms=self.store.nominal_ms(self.target, self.environment, self.protocol),
                keep=self.claims.add_visit,
                on_failure=self._fail,
                on_event=lambda event: self._tell(event, list(models)),
            )
            after = _counters(self.device)
            disturbance = after.since(before) if before and after else None
            summaries = {
                key: _summary(series[key], scale, disturbance)
                for key in models
                if key not in self.failed and self.claims.holds(key)
            }
            kept = self.claims.finish(summaries)
            self.measured |= {key: each for key, each in summaries.items() if key in kept}

    def _tell(self, event: Event, keys: Sequence[str]) -> None:
        # Later than this it may be over any moment: handing over would cost more than it saves.
        if isinstance(event, RoundEnded) and event.round < self.protocol.min_rounds:
            self.claims.share(keys)
        self.on_event(event)

    def _load(
        self, job: Job, folder: ArtifactFolder, begun: dict[str, Begun]
    ) -> LoadedModel | None:
        file_format = self.device.artifact_format(self.target.runtime)
        artifact, refusal = self._write(job, file_format, folder)
        begun[job.key] = Begun(job.key, job.role, artifact.sha256 if artifact else None, job.ops)
        if artifact is not None:
            try:
                load = partial(self.device.load, artifact, self.target)
                return load_renewed(load, self.protocol)
            except (ArtifactError, MeasurementError, MissingEntryError) as error:
                refusal = str(error)
        self._begin([begun[job.key]])
        self._fail(job.key, refusal)
        return None

    def _begin(self, begun: Sequence[Begun]) -> dict[str, int]:
        return self.store.begin_all(begun, self.target, self.environment, self.protocol)

    def _write(
        self, job: Job, file_format: str, folder: ArtifactFolder
    ) -> tuple[Artifact | None, str]:
        """The model file of a job, or None and why there is none in the target's precision."""
        target = self.target
        try:
            return make_artifact(job, file_format, target.batch, folder, target.precision), ""
        except ArtifactError as error:
            return None, str(error)

    def _fail(self, key: str, reason: str) -> None:
        # What was handed or taken over is no failure: whoever holds it now says how it ends.
        if self.claims.fail(key, reason):
            self.failed[key] = reason
            self.on_event(Failed(key, reason))


def _counters(device: Device) -> Counters | None:
    return device.counters() if isinstance(device, Watched) else None


def _summary(series: Series, scale: Scale, disturbance: Disturbance | None) -> Summary:
    """The summary of some visits, with what the rules say of them."""
    values = series.values_ms(scale)
    evidence = Evidence(values, series.samples_ms, disturbance)
    return replace(
        summarise(series.samples_ms, values),
        exponent=scale.exponent,
        nominal_ms=None if math.isnan(scale.nominal_ms) else scale.nominal_ms,
        findings=judge(evidence),
    )


@dataclass(frozen=True)
class Measured:
    """A model measured now.

    Attributes:
        summary: its latency.
        artifact_sha256: of the model file, in hex.
    """

    summary: Summary
    artifact_sha256: str


def measure_now(
    jobs: Sequence[Job],
    device: Device,
    target: Target,
    protocol: Protocol,
    *,
    seed: int = 0,
    on_event: Listener = ignore,
) -> dict[str, Measured]:
    """Measure jobs together as the machine is now, whatever is stored, and store nothing.

    Args:
        jobs: ops and networks, at most :data:`MAX_LOADED`.
        device: opened.
        target: on that device.
        protocol: how to time.
        seed: of the order of visits.
        on_event: told what happens.

    Returns:
        What was measured, by key.

    Raises:
        DeviceError: one of them could not be measured, or the device went away.
        ArtifactError: one of them could not be loaded.
    """
    file_format = device.artifact_format(target.runtime)
    series: dict[str, Series] = {}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lutier-"))
        artifacts = ArtifactFolder(Path(folder))
        models: dict[str, LoadedModel] = {}
        digests: dict[str, str] = {}
        for job in jobs:
            artifact = make_artifact(job, file_format, target.batch, artifacts, target.precision)
            models[job.key] = load_renewed(partial(device.load, artifact, target), protocol)
            digests[job.key] = artifact.sha256
            stack.callback(models[job.key].close)
        measure_rounds(
            models,
            series,
            protocol,
            np.random.default_rng(seed),
            keep=_keep_nothing,
            on_failure=_raise_failure,
            on_event=on_event,
        )
    return {key: Measured(summarise(series[key].samples_ms), digests[key]) for key in models}


def _keep_nothing(key: str, number: int, visit: Visit) -> None:
    """The visits stay in memory."""


def _raise_failure(key: str, reason: str) -> None:
    raise MeasurementError(f"{key} could not be measured", reason)
