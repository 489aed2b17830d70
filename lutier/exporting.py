"""Writing a trained network as a file, and checking that it still computes the same."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from devices.artifact import ArtifactFolder
from devices.base import ExecutableModel
from devices.host import HostDevice
from devices.target import Target
from lutier.results import SearchResult
from profiler.jobs import FloatArray, Job, make_artifact
from search.data import DataSource, batches, open_data

_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "torch": "torch"}
CALIBRATION_IMAGES = 64
CHECKED_IMAGES = 1000


@dataclass(frozen=True)
class Exported:
    """A network as a file.

    Attributes:
        contents: of the file.
        sha256: of the contents, in hex.
        relative_difference: largest difference from the torch network's outputs, relative to the
            largest output: over 16 random inputs, or over the test images where in int8.
        accuracy: share of the test images that the file classifies correctly; int8 only.
        float_accuracy: the same of the torch network, on the same images; int8 only.
    """

    contents: bytes
    sha256: str
    relative_difference: float
    accuracy: float | None = None
    float_accuracy: float | None = None


def export_network(
    network: nn.Module, result: SearchResult, file_format: str, precision: str = "float32"
) -> Exported:
    """Write a network and run the file beside the network.

    Args:
        network: in evaluation mode.
        result: what the network is.
        file_format: ``onnx``, ``tflite`` or ``torch``.
        precision: ``float32``, or ``int8``: quantised with the ranges that activations have on 64
            training images, and checked on at most 1000 test images.

    Raises:
        InputError: a format that is not written in that precision.
        ArtifactError: a network that cannot be quantised.
    """
    runtime = _RUNTIMES[file_format]
    space = result.load_space()
    batch = result.load_target().batch
    target = Target.make("cpu", runtime, {"batch": batch, "precision": precision})
    job = Job(result.architecture, "network", lambda: network, space.input_shape)
    data = samples = None
    if precision == "int8":
        data = open_data(result.data, space.input_shape, result.seed)
        samples = _calibration_samples(data, batch, result.seed)
    with HostDevice() as device, tempfile.TemporaryDirectory(prefix="lutier-") as folder:
        artifact = make_artifact(
            job,
            device.artifact_format(runtime),
            batch,
            ArtifactFolder(Path(folder)),
            precision,
            samples,
        )
        contents = artifact.path.read_bytes()
        model = device.load(artifact, target)
        # TFLite takes the channels last, and so does int8; outputs are logits, alike everywhere.
        turned = file_format == "tflite" or precision == "int8"
        given = _random_images(batch, space.input_shape) if data is None else _images(data, batch)
        check = _Check()
        for images, labels in given:
            check.add(network, model, images, labels, turned=turned)
        model.close()
    digest = hashlib.sha256(contents).hexdigest()
    if data is None:
        return Exported(contents, digest, check.relative_difference)
    accuracy, float_accuracy = check.right / check.images, check.float_right / check.images
    return Exported(contents, digest, check.relative_difference, accuracy, float_accuracy)


def _calibration_samples(data: DataSource, batch: int, seed: int) -> list[FloatArray]:
    """Training images, in whole batches of the file's size."""
    generator = torch.Generator().manual_seed(seed)
    drawn = batches(data.train, batch, generator, drop_last=True)
    wanted = -(-CALIBRATION_IMAGES // batch)
    return [
        np.ascontiguousarray(_filled(images, batch).numpy())
        for images, _ in itertools.islice(drawn, wanted)
    ]


def _filled(rows: Tensor, batch: int) -> Tensor:
    """A whole batch: fewer images than that are taken again from the first."""
    return rows[torch.arange(batch) % len(rows)] if len(rows) < batch else rows


def _random_images(batch: int, shape: tuple[int, ...]) -> Iterator[tuple[Tensor, None]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(16):
        yield torch.randn(batch, *shape, generator=generator), None


def _images(data: DataSource, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Test images, in whole batches of the file's size."""
    given = batches(data.test, batch, drop_last=True)
    for images, labels in itertools.islice(given, max(CHECKED_IMAGES // batch, 1)):
        yield _filled(images, batch), _filled(labels, batch)


class _Check:
    """The file's outputs beside the network's."""

    def __init__(self) -> None:
        self.images = self.right = self.float_right = 0
        self._largest = self._difference = 0.0

    @property
    def relative_difference(self) -> float:
        """Largest difference, relative to the largest output."""
        return self._difference / self._largest

    def add(
        self,
        network: nn.Module,
        model: ExecutableModel,
        images: Tensor,
        labels: Tensor | None,
        *,
        turned: bool,
    ) -> None:
        """Run a batch through both; the file takes the channels last where ``turned``."""
        with torch.inference_mode():
            expected = network(images)
        laid_out = images.permute(0, 2, 3, 1) if turned else images
        given = torch.from_numpy(model.run(laid_out.contiguous().numpy()))
        self._largest = max(self._largest, float(expected.abs().max()))
        self._difference = max(self._difference, float((expected - given).abs().max()))
        self.images += len(images)
        if labels is not None:
            self.right += int((given.argmax(1) == labels).sum())
            self.float_right += int((expected.argmax(1) == labels).sum())
