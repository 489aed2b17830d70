"""Exporting in int8: quantised with training images, and checked on test images."""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

from devices.errors import InputError
from lutier.exporting import CALIBRATION_IMAGES, export_network
from lutier.results import SearchResult
from search.data import open_data
from search.spaces.mobile import mobile_tiny
from search.train import TrainConfig, train

SPACE = mobile_tiny(width=0.25)
NETWORK = SPACE.architecture([0, 1, 6, 2, 3, 4, 5, 6, 0])


def result(target: str) -> SearchResult:
    values: dict[str, Any] = {
        "method": "knas",
        "architecture": NETWORK.id,
        "space": SPACE.name,
        "target": target,
        "environment_id": "0" * 12,
        "data": "digits",
        "budget_ms": 1.0,
        "predicted_ms": 0.9,
        "measured_ms": 0.95,
        "measured_interval_ms": (0.94, 0.96),
        "drift": None,
        "accuracy": 0.5,
        "validation_accuracy": 0.5,
        "seed": 0,
        "artifact_sha256": "0" * 64,
        "seconds": 1.0,
        "lutier_version": "0",
        "details": {},
    }
    return SearchResult(**values)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    network = SPACE.build(NETWORK)
    train(network, open_data("digits", SPACE.input_shape, 0), TrainConfig(epochs=3, seed=0))
    return network.eval()


@pytest.mark.parametrize(
    ("file_format", "target"),
    [
        ("onnx", "cpu/onnxruntime?threads=1"),
        ("tflite", "cpu/litert?threads=1"),
        ("onnx", "cpu/onnxruntime?threads=1&batch=48"),
    ],
)
def test_a_trained_network_classifies_in_int8_as_it_does_in_float(
    network: nn.Module, file_format: str, target: str
) -> None:
    exported = export_network(network, result(target), file_format, "int8")
    assert exported.accuracy is not None
    assert exported.float_accuracy is not None
    # Three epochs are enough to tell most digits apart: chance is one in ten.
    assert exported.float_accuracy > 0.5
    assert exported.accuracy > exported.float_accuracy - 0.05
    assert exported.relative_difference < 0.5
    again = export_network(network, result(target), file_format, "int8")
    assert exported.sha256 == again.sha256


def test_the_ranges_are_those_of_training_images(network: nn.Module) -> None:
    exported = export_network(network, result("cpu/onnxruntime?threads=1"), "onnx", "int8")
    session = onnxruntime.InferenceSession(exported.contents)
    metadata = session.get_modelmeta().custom_metadata_map
    scale = float(metadata["input_scale"])
    images = open_data("digits", SPACE.input_shape, 0).train[:CALIBRATION_IMAGES][0]
    width = float(images.max() - images.min())
    # Random normal inputs, which latencies are measured with, reach about 8 from end to end.
    assert scale * 255 == pytest.approx(width, rel=0.1)


def test_a_float_export_is_not_checked_on_images(network: nn.Module) -> None:
    exported = export_network(network, result("cpu/onnxruntime?threads=1"), "onnx")
    assert (exported.accuracy, exported.float_accuracy) == (None, None)
    assert exported.relative_difference < 1e-4


def test_torch_programs_are_not_written_in_int8(network: nn.Module) -> None:
    with pytest.raises(InputError, match="int8"):
        export_network(network, result("cpu/torch?threads=1"), "torch", "int8")
