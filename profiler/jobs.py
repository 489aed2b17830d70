"""Job: one op or network to be measured, and how to make the file that is measured."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from devices.artifact import Artifact, ArtifactFolder
from devices.errors import InputError, MissingExtraError
from profiler.builders.export import onnx_bytes, torch_export_bytes
from profiler.builders.modules import build_op
from profiler.ops import OpSpec

FloatArray = npt.NDArray[np.float32]
Role = Literal["op", "network", "carrier", "call", "kernel"]
"""What is measured; see :mod:`profiler.storage.schema`."""


@dataclass(frozen=True)
class Job:
    """One op or network to be measured.

    Attributes:
        key: an op's key, or a network's id; what the measurement is stored under.
        role: what it is measured for.
        build: makes the torch module.
        input_shape: ``(channels, height, width)`` or ``(features,)``, without the batch.
        ops: of a network, the keys of the ops it is made of, those without a node left out; or of
            the kernels it is made of.
        model_file: writes the file that is measured, where that is no module; ``build`` is not
            called then, and ``input_shape`` is that of the file, the batch included.
        is_first: whether it is measured in the first group of a run, with all others that are. What
            depends on a cache that the machine shares with others is compared best at one time.
        file_format: of ``model_file``.
    """

    key: str
    role: Role
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    ops: tuple[str, ...] = ()
    model_file: Callable[[], bytes] | None = None
    is_first: bool = False
    file_format: str = "onnx"

    @classmethod
    def of_op(cls, spec: OpSpec) -> Job:
        """The job of measuring one op.

        Raises:
            InputError: a free op: a network has no node for it, so there is nothing to time.
        """
        if spec.is_free:
            raise InputError(f"{spec.key} has no latency", "a network has no node for it")
        return cls(spec.key, "op", lambda: build_op(spec), spec.input_shape)

    @classmethod
    def of_call(cls) -> Job:
        """The job of the smallest model there is: what a call of the runtime costs."""
        job = cls.of_op(OpSpec.make("linear", (1,), out=1))
        return cls("call", "call", job.build, job.input_shape)

    @classmethod
    def of_file(
        cls,
        key: str,
        role: Role,
        model_file: Callable[[], bytes],
        input_shape: tuple[int, ...],
        ops: tuple[str, ...] = (),
        *,
        is_first: bool = False,
        file_format: str = "onnx",
    ) -> Job:
        """The job of measuring a model file; ``input_shape`` includes the batch."""
        return cls(key, role, nn.Identity, input_shape, ops, model_file, is_first, file_format)


def make_artifact(
    job: Job,
    file_format: str,
    batch: int,
    folder: ArtifactFolder,
    precision: str = "float32",
    samples: Sequence[FloatArray] | None = None,
) -> Artifact:
    """Write the model file of a job.

    Weights that the builder leaves to chance are drawn from a seed made of the key, so that the
    same job gives the same file.

    Args:
        job: what to write.
        file_format: ``onnx``, ``tflite`` or ``torch-export``.
        batch: fixed batch size.
        folder: where to write.
        precision: ``float32``, or ``int8`` (``onnx`` and ``tflite`` only).
        samples: for int8, inputs of shape ``(batch, *input_shape)`` from which the ranges of
            activations are taken; random ones where None, which is all that a latency needs.

    Raises:
        InputError: a module that cannot be written in that format, a format without int8, or a
            file where another format is wanted.
        ArtifactError: an op that cannot be quantised.
        MissingExtraError: the format's writer is not installed.
    """
    if job.model_file is not None:
        if file_format != job.file_format:
            raise InputError(
                f"{job.key[:80]} is a file of format {job.file_format}",
                f"the target loads model files of format {file_format}",
                f"the runtime {'onnxruntime' if job.file_format == 'onnx' else 'litert'}",
            )
        return folder.add(
            job.model_file(), key=job.key, file_format=file_format, input_shape=job.input_shape
        )
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: it would seed the generators of GPUs too, which nobody puts back.
        torch.default_generator.manual_seed(zlib.crc32(job.key.encode()))
        module = job.build().eval()
    if precision != "float32":
        if samples is None:
            samples = normal_samples((batch, *job.input_shape))
        contents, input_shape = _int8(module, job.input_shape, batch, file_format, samples)
    elif file_format == "tflite":
        contents, input_shape = _tflite(module, job.input_shape, batch)
    else:
        writers = {"onnx": onnx_bytes, "torch-export": torch_export_bytes}
        if file_format not in writers:
            raise InputError(f"no writer for model files of format {file_format!r}")
        contents = writers[file_format](module, job.input_shape, batch)
        input_shape = (batch, *job.input_shape)
    return folder.add(contents, key=job.key, file_format=file_format, input_shape=input_shape)


def normal_samples(shape: tuple[int, ...], count: int = 4) -> list[FloatArray]:
    """Seeded standard normal inputs to quantise a model with whose answers do not matter."""
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape, dtype=np.float32) for _ in range(count)]


def _int8(
    module: nn.Module,
    input_shape: tuple[int, ...],
    batch: int,
    file_format: str,
    samples: Sequence[FloatArray],
) -> tuple[bytes, tuple[int, ...]]:
    """An int8 file and its input shape."""
    if file_format == "onnx":
        from profiler.builders.quantise_onnx import int8_onnx_bytes

        return int8_onnx_bytes(onnx_bytes(module, input_shape, batch), samples)
    if file_format != "tflite":
        raise InputError(
            f"model files of format {file_format!r} are not written in int8",
            hint="runtime onnxruntime or litert",
        )
    contents, shape = _tflite(module, input_shape, batch)
    try:
        from profiler.builders.quantise_tflite import int8_tflite_bytes
    except ImportError as error:
        raise MissingExtraError(
            "TFLite files cannot be quantised", str(error), "pip install 'lutier[litert]'"
        ) from error
    if len(input_shape) == 3:
        samples = [np.ascontiguousarray(sample.transpose(0, 2, 3, 1)) for sample in samples]
    return int8_tflite_bytes(contents, samples), shape


def _tflite(
    module: nn.Module, input_shape: tuple[int, ...], batch: int
) -> tuple[bytes, tuple[int, ...]]:
    """A TFLite file and its input shape, the channels last; its writer needs an extra."""
    try:
        from profiler.builders.tflite import nhwc, tflite_bytes
    except ImportError as error:
        raise MissingExtraError(
            "TFLite files cannot be written", str(error), "pip install 'lutier[litert]'"
        ) from error
    return tflite_bytes(module, input_shape, batch), nhwc(input_shape, batch)
