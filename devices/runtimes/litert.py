"""LiteRT (formerly TensorFlow Lite) on this machine's CPU, with XNNPACK as it comes."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from devices.artifact import Artifact
from devices.base import ExecutableModel, FloatArray
from devices.errors import ArtifactError, MeasurementError, MissingExtraError
from devices.runtimes.base import example_input, time_calls_ms
from devices.runtimes.quantised import INPUT_TYPES, Quantised, example_bytes
from devices.target import Target

# The maintained package first; the one before it where that is what is installed.
_PACKAGES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)
_IDENTIFIER = b"TFL3"


def _installed() -> tuple[str, Any]:
    """Name of the installed distribution, and its interpreter module."""
    for package, module in _PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            continue
        try:
            return package, import_module(module)
        except ImportError as error:
            raise MissingExtraError(
                f"{package} is installed but cannot be imported", str(error), _hint(package)
            ) from error
    raise MissingExtraError("LiteRT is not installed", hint="pip install 'lutier[litert]'")


def _hint(package: str) -> str:
    if package == "tflite-runtime":
        return "pip install 'numpy<2', or pip install ai-edge-litert in its place"
    return f"pip install --force-reinstall {package}"


class LiteRt:
    """Runs ``.tflite`` files."""

    name = "litert"
    artifact_format = "tflite"
    options: frozenset[str] = frozenset({"precision"})

    def version(self) -> str:
        """Distribution and version: two distributions hold this runtime."""
        package, _ = _installed()
        return f"{package} {version(package)}"

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model; errors as in :meth:`devices.base.Device.load`."""
        return _Model(artifact, target)


def as_written(contents: bytes, target: Target, name: str) -> bytes:
    """The graph that LiteRT runs, which is the file as it is, once LiteRT has loaded it.

    Args:
        contents: of a TFLite file.
        target: threads are taken from it.
        name: what errors call it.

    Raises:
        ArtifactError: a file that does not load.
        MissingExtraError: LiteRT cannot be used.
    """
    _open(contents, target, name)
    return contents


def _open(contents: bytes, target: Target, name: str) -> Any:
    """An interpreter with its tensors allocated; errors as in :func:`as_written`."""
    package, module = _installed()
    # A file of another kind makes some versions crash instead of raise.
    if contents[4:8] != _IDENTIFIER:
        raise ArtifactError(
            f"LiteRT cannot load {name}",
            "it is not a TFLite file",
            "check that the file is a whole, valid .tflite model",
        )
    try:
        interpreter = module.Interpreter(model_content=contents, num_threads=target.threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise _unloadable(name, error) from error
    except (AttributeError, ImportError, SystemError) as error:
        # tflite-runtime was built for numpy 1: under numpy 2 it imports, and fails here.
        raise MissingExtraError(
            f"{package} cannot run with numpy {np.__version__}",
            " ".join(str(error).split())[:200],
            _hint(package),
        ) from error
    return interpreter


class _Model:
    def __init__(self, artifact: Artifact, target: Target) -> None:
        name = f"{artifact.path.name} ({artifact.key})"
        try:
            # Held for as long as the interpreter lives: it does not copy.
            self._contents = artifact.path.read_bytes()
        except OSError as error:
            raise _unloadable(name, error) from error
        interpreter = _open(self._contents, target, name)
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        kinds = [np.dtype(entry["dtype"]).name for entry in inputs]
        allowed = INPUT_TYPES[target.precision]
        if len(kinds) != 1 or kinds[0] not in allowed or not outputs:
            raise ArtifactError(
                f"LiteRT cannot time {name}",
                f"its inputs are of type {', '.join(kinds)[:100] or 'none'}",
                f"a model with one {' or '.join(allowed)} input",
            )
        self._interpreter: Any = interpreter
        self._input = int(inputs[0]["index"])
        self._output = int(outputs[0]["index"])
        self._key = artifact.key
        self._ends: tuple[Quantised, Quantised] | None = None
        example: Any = example_input(artifact.input_shape)
        if target.precision == "int8":
            self._ends = (_quantised(inputs[0]), _quantised(outputs[0]))
            example = example_bytes(artifact.input_shape, kinds[0])
        try:
            interpreter.set_tensor(self._input, example)
        except ValueError as error:
            raise _unloadable(name, error) from error

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        try:
            return time_calls_ms(self._interpreter.invoke, warmup=warmup, runs=runs)
        except (RuntimeError, ValueError) as error:
            raise MeasurementError(
                f"{self._key} loaded but did not run", " ".join(str(error).split())[:300]
            ) from error

    def run(self, inputs: FloatArray) -> FloatArray:
        given: Any = inputs if self._ends is None else self._ends[0].to_bytes(inputs)
        self._interpreter.set_tensor(self._input, given)
        self._interpreter.invoke()
        output: Any = self._interpreter.get_tensor(self._output)
        result: FloatArray = output if self._ends is None else self._ends[1].to_floats(output)
        return result

    def close(self) -> None:
        self._interpreter = None


def _quantised(entry: Any) -> Quantised:
    """What the bytes of an input or output stand for."""
    scale, zero_point = entry["quantization"]
    return Quantised(float(scale), int(zero_point), np.dtype(entry["dtype"]).name)


def _unloadable(name: str, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"LiteRT cannot load {name}",
        " ".join(str(error).split())[:300],
        "check that the file is a whole, valid .tflite model",
    )
