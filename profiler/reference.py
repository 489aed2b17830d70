"""Reference: the small fixed model that shows how fast the machine is just now."""

from __future__ import annotations

from contextlib import ExitStack

from devices.artifact import ArtifactFolder
from devices.base import Device, LoadedModel
from devices.errors import ArtifactError, MeasurementError, MissingEntryError
from devices.target import Target
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

REFERENCE_OP = OpSpec.make("mbconv", (32, 14, 14), out=32, kernel=5, stride=1, expand=6)


def reference_job() -> Job:
    """The job of the reference: a block of a mobile network, a fraction of a millisecond."""
    job = Job.of_op(REFERENCE_OP)
    return Job("reference", "op", job.build, job.input_shape)


class Reference:
    """The reference, loaded.

    Args:
        model: of :func:`reference_job`.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def time_ms(self) -> float:
        """Its latency now: the faster of two runs after an untimed one.

        Raises:
            MeasurementError: it could not be run.
        """
        return min(self._model.time_ms(warmup=1, runs=2))


def load_reference(
    device: Device, target: Target, folder: ArtifactFolder, stack: ExitStack
) -> Reference | None:
    """The reference on a target; ``None`` where it cannot be run there, as on a recording.

    Args:
        device: opened.
        target: on that device.
        folder: for the model file.
        stack: what the model is closed with.
    """
    job = reference_job()
    try:
        file_format = device.artifact_format(target.runtime)
        artifact = make_artifact(job, file_format, target.batch, folder, target.precision)
        model = device.load(artifact, target)
    except (ArtifactError, MeasurementError, MissingEntryError):
        return None
    stack.callback(model.close)
    return Reference(model)
