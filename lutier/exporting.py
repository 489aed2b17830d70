"""Writing a trained network as a file, and checking that it still computes the same."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from devices.artifact import ArtifactFolder
from devices.host import HostDevice
from devices.target import Target
from lutier.results import SearchResult
from profiler.jobs import Job, make_artifact

_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "torch": "torch"}


@dataclass(frozen=True)
class Exported:
    """A network as a file.

    Attributes:
        contents: of the file.
        sha256: of the contents, in hex.
        relative_difference: largest difference from the torch network's outputs, relative to the
            largest output, over 16 random inputs.
    """

    contents: bytes
    sha256: str
    relative_difference: float


def export_network(network: nn.Module, result: SearchResult, file_format: str) -> Exported:
    """Write a network and run the file beside the network.

    Args:
        network: in evaluation mode.
        result: what the network is.
        file_format: ``onnx``, ``tflite`` or ``torch``.
    """
    runtime = _RUNTIMES[file_format]
    space = result.load_space()
    batch = result.load_target().batch
    target = Target.make("cpu", runtime, {"batch": batch})
    job = Job(result.architecture, "network", lambda: network, space.input_shape)
    with HostDevice() as device, tempfile.TemporaryDirectory(prefix="lutier-") as folder:
        artifact = make_artifact(
            job, device.artifact_format(runtime), batch, ArtifactFolder(Path(folder))
        )
        contents = artifact.path.read_bytes()
        model = device.load(artifact, target)
        largest, difference = 0.0, 0.0
        generator = torch.Generator().manual_seed(0)
        for _ in range(16):
            inputs = torch.randn(batch, *space.input_shape, generator=generator)
            with torch.inference_mode():
                expected = network(inputs)
            # TFLite takes the channels last; outputs are logits, alike everywhere.
            laid_out = inputs.permute(0, 2, 3, 1) if file_format == "tflite" else inputs
            given = torch.from_numpy(model.run(laid_out.contiguous().numpy()))
            largest = max(largest, float(expected.abs().max()))
            difference = max(difference, float((expected - given).abs().max()))
        model.close()
    return Exported(contents, hashlib.sha256(contents).hexdigest(), difference / largest)
