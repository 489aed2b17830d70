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
        options = ort.SessionOptions()
        options.intra_op_num_threads = target.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Spinning threads of one loaded model would take cores from the model being timed.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for entry, value in provider.config:
            options.add_session_config_entry(entry, value)
        options.log_severity_level = 4
        state = ort.capi.onnxruntime_pybind11_state
        # A node that fails with its input bound raises a plain RuntimeError.
        self._run_error = (state.Fail, state.InvalidArgument, state.RuntimeException, RuntimeError)
        try:
            contents = artifact.path.read_bytes()
            session = ort.InferenceSession(
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
            raise _unloadable(artifact, provider, error) from error
        if session.get_providers()[0] != provider.name:
            raise DeviceError(
                f"{provider.name} of ONNX Runtime did not start",
                f"the model would have been run by {session.get_providers()[0]}",
                "docs/gpu.md says what it needs",
            )
        inputs = [(each.name, each.type) for each in session.get_inputs()]
        kinds = [_TYPES.get(kind, kind) for _, kind in inputs]
        allowed = INPUT_TYPES[target.precision]
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
            if target.precision == "float32"
            else example_bytes(artifact.input_shape, kinds[0])
        )
        self._input = ort.OrtValue.ortvalue_from_numpy(example, provider.place, provider.index)
        self._binding.bind_ortvalue_input(self._input_name, self._input)
        self._binding.bind_output(self._output_name, provider.place, provider.index)
        self._key = artifact.key
        self._waits = provider.place != "cpu"
        self._is_quantised = target.precision == "int8"

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


def _unloadable(artifact: Artifact, provider: Provider, error: Exception) -> ArtifactError:
    first_line = str(error).strip().partition("\n")[0][:300]
    if "fallback to CPU" in first_line:
        return ArtifactError(
            f"{provider.name} cannot run all nodes of {artifact.path.name} ({artifact.key})",
            first_line,
            "the runtime torch, which runs everything on the GPU",
        )
    return ArtifactError(
        f"ONNX Runtime cannot load {artifact.path.name} ({artifact.key})",
        first_line,
        "check that the file is a whole, valid .onnx model",
    )
