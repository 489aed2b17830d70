"""What ONNX Runtime makes of a graph before it runs it, and the shapes of what flows in it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from devices.base import Tensor
from devices.errors import ArtifactError
from devices.runtimes.onnxruntime import open_session, ort_module, session_options
from devices.target import Target

_NUMPY = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{
        f"tensor({sign}int{bits})": f"{sign}int{bits}"
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


def optimised_graph(contents: bytes, target: Target, name: str) -> bytes:
    """The graph that ONNX Runtime runs on this machine, as an ONNX file.

    Nodes are fused and tensors laid out as for this processor, under the settings that models are
    timed with.

    Args:
        contents: of an ONNX file that holds its weights.
        target: threads are taken from it.
        name: what errors call it.

    Raises:
        ArtifactError: a model that does not load, or that cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="lutier-") as folder:
        path = Path(folder) / "optimised.onnx"
        options = session_options(target)
        options.optimized_model_filepath = str(path)
        open_session(contents, options, name=name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise ArtifactError(
                f"ONNX Runtime did not write what it made of {name}", str(error)[:200]
            ) from error


def observed_tensors(contents: bytes, target: Target, name: str) -> Mapping[str, Tensor]:
    """Run a model once as it stands: type and shape of each of its outputs, by name.

    Outputs that are no tensors are left out.

    Args:
        contents: of an ONNX file whose inputs have fixed shapes.
        target: threads are taken from it.
        name: what errors call it.

    Raises:
        ArtifactError: a model that does not load, or does not run on random inputs.
    """
    state = ort_module().capi.onnxruntime_pybind11_state
    session = open_session(contents, session_options(target, optimise=False), name=name)
    names = [each.name for each in session.get_outputs()]
    feeds = {each.name: _example(each, name) for each in session.get_inputs()}
    try:
        values = session.run(names, feeds)
    except (state.Fail, state.InvalidArgument, state.RuntimeException, RuntimeError) as error:
        raise ArtifactError(
            f"{name} loaded but did not run", " ".join(str(error).split())[:300]
        ) from error
    return {
        key: Tensor(value.dtype.name, value.shape)
        for key, value in zip(names, values, strict=True)
        if isinstance(value, np.ndarray)
    }


def _example(value: Any, name: str) -> Any:
    """A value for an input: normal floats, and zeros of other types, which are indices mostly."""
    type_name = _NUMPY.get(value.type)
    if type_name is None or not all(isinstance(size, int) for size in value.shape):
        raise ArtifactError(
            f"{name} cannot be run",
            f"its input {value.name} is of type {value.type}, {value.shape}",
        )
    if type_name.startswith("float"):
        return np.random.default_rng(0).standard_normal(value.shape).astype(type_name)
    return np.zeros(value.shape, type_name)
