"""ONNX Runtime on this machine's CPU."""

from __future__ import annotations

from typing import Any

from devices.artifact import Artifact
from devices.base import ExecutableModel, FloatArray
from devices.errors import ArtifactError, MeasurementError, MissingExtraError
from devices.runtimes.base import example_input, time_calls_ms
from devices.target import Target


def _module() -> Any:
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

    def version(self) -> str:
        """The installed version."""
        return str(_module().__version__)

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model; errors as in :meth:`devices.base.Device.load`."""
        return _Session(artifact, target)


class _Session:
    def __init__(self, artifact: Artifact, target: Target) -> None:
        ort = _module()
        options = ort.SessionOptions()
        options.intra_op_num_threads = target.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Spinning threads of one loaded model would take cores from the model being timed.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        state = ort.capi.onnxruntime_pybind11_state
        # A node that fails with its input bound raises a plain RuntimeError.
        self._run_error = (state.Fail, state.InvalidArgument, state.RuntimeException, RuntimeError)
        try:
            contents = artifact.path.read_bytes()
            session = ort.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
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
            first_line = str(error).strip().partition("\n")[0]
            raise ArtifactError(
                f"ONNX Runtime cannot load {artifact.path.name} ({artifact.key})",
                first_line[:300],
                "check that the file is a whole, valid .onnx model",
            ) from error
        inputs = [(each.name, each.type) for each in session.get_inputs()]
        if [kind for _, kind in inputs] != ["tensor(float)"] or not session.get_outputs():
            raise ArtifactError(
                f"ONNX Runtime cannot time {artifact.path.name} ({artifact.key})",
                f"its inputs are {', '.join(f'{n}: {k}' for n, k in inputs) or 'none'}"[:300],
                "a model with one float32 input",
            )
        self._session: Any = session
        self._input_name = inputs[0][0]
        self._output_name = session.get_outputs()[0].name
        # Bound once: what is timed is the model, not the copying of its input.
        self._binding: Any = session.io_binding()
        self._input = ort.OrtValue.ortvalue_from_numpy(example_input(artifact.input_shape))
        self._binding.bind_ortvalue_input(self._input_name, self._input)
        self._binding.bind_output(self._output_name, "cpu")
        self._key = artifact.key

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        run, binding = self._session.run_with_iobinding, self._binding
        try:
            return time_calls_ms(lambda: run(binding), warmup=warmup, runs=runs)
        except self._run_error as error:
            raise MeasurementError(
                f"{self._key} loaded but did not run", " ".join(str(error).split())[:300]
            ) from error

    def run(self, inputs: FloatArray) -> FloatArray:
        output: FloatArray = self._session.run([self._output_name], {self._input_name: inputs})[0]
        return output

    def close(self) -> None:
        self._binding = None
        self._session = None
