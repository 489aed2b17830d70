"""Job: one op or network to be measured, and how to make the file that is measured."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from devices.artifact import Artifact, ArtifactFolder
from devices.errors import InputError, MissingExtraError
from profiler.builders.export import onnx_bytes, torch_export_bytes
from profiler.builders.modules import build_op
from profiler.ops import OpSpec

Role = Literal["op", "network"]


@dataclass(frozen=True)
class Job:
    """One op or network to be measured.

    Attributes:
        key: an op's key, or a network's id; what the measurement is stored under.
        role: ``op`` or ``network``.
        build: makes the torch module.
        input_shape: ``(channels, height, width)`` or ``(features,)``, without the batch.
    """

    key: str
    role: Role
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]

    @classmethod
    def of_op(cls, spec: OpSpec) -> Job:
        """The job of measuring one op.

        Raises:
            InputError: a free op: a network has no node for it, so there is nothing to time.
        """
        if spec.is_free:
            raise InputError(f"{spec.key} has no latency", "a network has no node for it")
        return cls(spec.key, "op", lambda: build_op(spec), spec.input_shape)


def make_artifact(job: Job, file_format: str, batch: int, folder: ArtifactFolder) -> Artifact:
    """Write the model file of a job.

    Weights that the builder leaves to chance are drawn from a seed made of the key, so that the
    same job gives the same file.

    Args:
        job: what to write.
        file_format: ``onnx``, ``tflite`` or ``torch-export``.
        batch: fixed batch size.
        folder: where to write.

    Raises:
        InputError: a module that cannot be written in that format.
        MissingExtraError: the format's writer is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: it would seed the generators of GPUs too, which nobody puts back.
        torch.default_generator.manual_seed(zlib.crc32(job.key.encode()))
        module = job.build().eval()
    if file_format == "tflite":
        contents, input_shape = _tflite(module, job.input_shape, batch)
    else:
        writers = {"onnx": onnx_bytes, "torch-export": torch_export_bytes}
        if file_format not in writers:
            raise InputError(f"no writer for model files of format {file_format!r}")
        contents = writers[file_format](module, job.input_shape, batch)
        input_shape = (batch, *job.input_shape)
    return folder.add(contents, key=job.key, file_format=file_format, input_shape=input_shape)


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
