"""What a device is: a model file goes in, raw timings come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from devices.artifact import Artifact
from devices.environment import Environment
from devices.target import Target

FloatArray = npt.NDArray[np.float32]


@runtime_checkable
class LoadedModel(Protocol):
    """A model that a device has loaded and can run."""

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        """Run ``warmup`` times untimed, then ``runs`` times timed.

        The timed interval is one inference with its input already in place: no loading, no
        copying of inputs, no reading of outputs.

        Returns:
            ``runs`` latencies in ms, in order, each positive. Where what runs the model tells no
            single ones, as on a phone, the one figure that it gives for all of them.

        Raises:
            MeasurementError: the model could not be run.
        """

    def close(self) -> None:
        """Give back what the model holds on the device. Closing twice is fine."""


@runtime_checkable
class ExecutableModel(LoadedModel, Protocol):
    """A loaded model that also computes: recordings do not."""

    def run(self, inputs: FloatArray) -> FloatArray:
        """The output for one batch of inputs, shape as in the artifact."""


@runtime_checkable
class Device(Protocol):
    """A machine that runs model files.

    Contract, held by ``devices.testing.DeviceContract``:

    - ``load`` either returns a model that can be timed or raises; it never falls back to another
      runtime or option.
    - Several models may be loaded at once and timed in any order; one is timed at a time.
    - A device never changes a setting of the machine.
    - After ``close`` the device and its models are not used again.
    """

    @property
    def name(self) -> str:
        """As it is written in a target."""

    @property
    def runtimes(self) -> Sequence[str]:
        """Names of the runtimes that can be used here."""

    def artifact_format(self, runtime: str) -> str:
        """The model file format a runtime loads.

        Raises:
            UnknownNameError: the device has no such runtime.
        """

    def environment(self, target: Target) -> Environment:
        """The facts a latency on this target depends on."""

    def load(self, artifact: Artifact, target: Target) -> LoadedModel:
        """Load a model file.

        Raises:
            ArtifactError: a file the runtime cannot load.
            DeviceError: the device did not answer.
        """

    def close(self) -> None:
        """Let go of the device. Closing twice is fine."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


@dataclass(frozen=True)
class Tensor:
    """A tensor as it was when a model ran.

    Attributes:
        type_name: of its elements, in numpy's words: ``float32``.
        shape: as it lies in memory, in the runtime's own layout.
    """

    type_name: str
    shape: tuple[int, ...]


@runtime_checkable
class GraphDevice(Device, Protocol):
    """A device that shows what its runtime makes of a model before it runs it."""

    def optimised(self, contents: bytes, target: Target, name: str) -> bytes:
        """The graph that the runtime runs, as a file: nodes fused, tensors in its own layout.

        Args:
            contents: of a model file.
            target: how it is run.
            name: what errors call it.

        Raises:
            ArtifactError: a model that does not load.
            InputError: the runtime does not show it.
        """

    def observed(self, contents: bytes, target: Target, name: str) -> Mapping[str, Tensor]:
        """Run a model once as it stands: type and shape of each of its outputs, by name.

        Args:
            contents: of a model file whose inputs have fixed shapes.
            target: how it is run.
            name: what errors call it.

        Raises:
            ArtifactError: a model that does not load, or does not run.
            InputError: the runtime does not show it.
        """


@runtime_checkable
class Exclusive(Protocol):
    """A device that says whether only one process may measure on it at a time."""

    @property
    def is_exclusive(self) -> bool:
        """Whether two would disturb each other."""
