"""ONNX Runtime on this machine's CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devices.artifact import Artifact
from devices.base import ExecutableModel, FloatArray
from devices.errors import (
    ArtifactError,
    DeviceError,
    InputError,
    MeasurementError,
    MissingExtraError,
)
from devices.runtimes.base import example_input, time_calls_ms
from devices.runtimes.quantised import INPUT_TYPES, Quantised, example_bytes
from devices.target import Target

_TYPES = {"tensor(float)": "float32", "tensor(int8)": "int8", "tensor(uint8)": "uint8"}

AS_IT_STANDS = "lutier-runs-as-it-stands"
"""Metadata key of a file whose graph is the runtime's own work: it is loaded without optimising."""
_TAIL = 256
"""Bytes at the end of a file that its metadata are looked for in: they come after the graph."""


@dataclass(frozen=True)
class Provider:
    """What runs the nodes of a model, and where its tensors are.

    Attributes:
        name: as ONNX Runtime calls the execution provider.
        settings: options of the provider.
        config: entries of the session's configuration.
        place: ``cpu`` or ``cuda``.
        index: number of the place.
    """

    name: str = "CPUExecutionProvider"
    settings: tuple[tuple[str, str], ...] = ()
    config: tuple[tuple[str, str], ...] = ()
    place: str = "cpu"
    index: int = 0


_CPU = Provider()


def ort_module() -> Any:
    """ONNX Runtime, imported when it is used.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "ONNX Runtime is not installed", str(error), "pip install onnxruntime"
        ) from error
    return onnxruntime


class OnnxRuntime:
    """Runs ``.onnx`` files with the CPU execution provider."""

    name = "onnxruntime"
    artifact_format = "onnx"
    options: frozenset[str] = frozenset({"precision"})

    def version(self) -> str:
        """The installed version."""
        return str(ort_module().__version__)

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model; errors as in :meth:`devices.base.Device.load`."""
        return OnnxSession(artifact, target)


class OnnxSession:
    """A model in memory, run by one execution provider and by no other.

    Args:
        artifact: the model's file.
        target: threads and precision are taken from it.
        provider: what runs it.

    Raises:
        ArtifactError: a file that cannot be loaded, or not by this provider alone.
        DeviceError: the provider did not start.
    """

    def __init__(self, artifact: Artifact, target: Target, provider: Provider = _CPU) -> None:
        ort = ort_module()
        state = ort.capi.onnxruntime_pybind11_state
        # A node that fails with its input bound raises a plain RuntimeError.
        self._run_error = (state.Fail, state.InvalidArgument, state.RuntimeException, RuntimeError)
        name = f"{artifact.path.name} ({artifact.key})"
        try:
            contents = artifact.path.read_bytes()
        except OSError as error:
            raise unloadable(name, provider, error) from error
        as_it_stands = AS_IT_STANDS.encode() in contents[-_TAIL:]
        session = open_session(
            contents,
            session_options(target, provider, optimise=not as_it_stands),
            name=name,
            provider=provider,
        )
        if session.get_providers()[0] != provider.name:
            raise DeviceError(
                f"{provider.name} of ONNX Runtime did not start",
                f"the model would have been run by {session.get_providers()[0]}",
                "docs/gpu.md says what it needs",
            )
        inputs = [(each.name, each.type) for each in session.get_inputs()]
        kinds = [_TYPES.get(kind, kind) for _, kind in inputs]
        precision = "float32" if as_it_stands else target.precision
        allowed = INPUT_TYPES[precision]
        if len(kinds) != 1 or kinds[0] not in allowed or not session.get_outputs():
            raise ArtifactError(
                f"ONNX Runtime cannot time {artifact.path.name} ({artifact.key})",
                f"its inputs are {', '.join(f'{n}: {k}' for n, k in inputs) or 'none'}"[:300],
                f"a model with one {' or '.join(allowed)} input",
            )
        self._session: Any = session
        self._input_name = inputs[0][0]
        self._output_name = session.get_outputs()[0].name
        # Bound once: what is timed is the model, not the copying of its input.
        self._binding: Any = session.io_binding()
        example: Any = (
            example_input(artifact.input_shape)
            if precision == "float32"
            else example_bytes(artifact.input_shape, kinds[0])
        )
        self._input = ort.OrtValue.ortvalue_from_numpy(example, provider.place, provider.index)
        self._binding.bind_ortvalue_input(self._input_name, self._input)
        self._binding.bind_output(self._output_name, provider.place, provider.index)
        self._key = artifact.key
        self._waits = provider.place != "cpu"
        self._is_quantised = precision == "int8"

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        """Latencies; as in :meth:`devices.base.LoadedModel.time_ms`."""
        run, binding = self._session.run_with_iobinding, self._binding

        def run_and_wait() -> None:
            run(binding)
            binding.synchronize_outputs()

        call = run_and_wait if self._waits else lambda: run(binding)
        try:
            return time_calls_ms(call, warmup=warmup, runs=runs)
        except self._run_error as error:
            raise MeasurementError(
                f"{self._key} loaded but did not run", " ".join(str(error).split())[:300]
            ) from error

    def run(self, inputs: FloatArray) -> FloatArray:
        """The output for one batch of inputs; of an int8 model, what its bytes stand for."""
        given: Any = inputs
        if self._is_quantised:
            given = self._end("input").to_bytes(inputs)
        output: Any = self._session.run([self._output_name], {self._input_name: given})[0]
        result: FloatArray = self._end("output").to_floats(output) if self._is_quantised else output
        return result

    def _end(self, end: str) -> Quantised:
        """What the bytes of an int8 model's ``input`` or ``output`` stand for."""
        values = (self._session.get_inputs if end == "input" else self._session.get_outputs)()
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            return Quantised(
                float(metadata[f"{end}_scale"]),
                int(metadata[f"{end}_zero_point"]),
                _TYPES.get(values[0].type, values[0].type),
            )
        except (KeyError, ValueError) as error:
            raise InputError(
                f"{self._key} can be timed, but not run on floats",
                f"its metadata do not say what the bytes of its {end} stand for",
            ) from error

    def close(self) -> None:
        """Let go of the model; twice is fine."""
        self._binding = None
        self._session = None


def session_options(target: Target, provider: Provider = _CPU, *, optimise: bool = True) -> Any:
    """How a model is run on a target.

    Args:
        target: threads are taken from it.
        provider: what runs the nodes.
        optimise: whether the runtime may change the graph.
    """
    ort = ort_module()
    options = ort.SessionOptions()
    options.intra_op_num_threads = target.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads of one loaded model would take cores from the model being timed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for entry, value in provider.config:
        options.add_session_config_entry(entry, value)
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return options


def open_session(contents: bytes, options: Any, *, name: str, provider: Provider = _CPU) -> Any:
    """A session of a model.

    Args:
        contents: of the file.
        options: from :func:`session_options`.
        name: what errors call it.
        provider: what runs the nodes.

    Raises:
        ArtifactError: the model cannot be loaded, or not by this provider alone.
    """
    ort = ort_module()
    state = ort.capi.onnxruntime_pybind11_state
    try:
        return ort.InferenceSession(
            contents,
            options,
            providers=[(provider.name, dict(provider.settings))],
            # Without this, a provider that fails is replaced by the processor.
            enable_fallback=0,
        )
    except (
        OSError,
        ValueError,
        state.Fail,
        state.InvalidProtobuf,
        state.InvalidGraph,
        state.InvalidArgument,
        state.NotImplemented,
        state.NoModel,
        state.RuntimeException,
    ) as error:
        raise unloadable(name, provider, error) from error


def unloadable(name: str, provider: Provider, error: Exception) -> ArtifactError:
    """The error of a model that does not load, in one line."""
    first_line = str(error).strip().partition("\n")[0][:300]
    if "fallback to CPU" in first_line:
        return ArtifactError(
            f"{provider.name} cannot run all nodes of {name}",
            first_line,
            "the runtime torch, which runs everything on the GPU",
        )
    return ArtifactError(
        f"ONNX Runtime cannot load {name}",
        first_line,
        "check that the file is a whole, valid .onnx model",
    )
