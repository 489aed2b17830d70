"""PyTorch on this machine: exported programs, run op by op."""

from __future__ import annotations

import inspect
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from devices.artifact import Artifact
from devices.base import ExecutableModel, FloatArray
from devices.errors import ArtifactError, DeviceError, MeasurementError, MissingExtraError
from devices.runtimes.base import example_input, time_calls_ms
from devices.target import Target

Forward = Callable[[Any], Any]
"""One inference: a tensor in, the program's output out, in a tuple or list of one or as it is."""


class Place(Protocol):
    """Where tensors live, and how a call is timed there."""

    name: str
    """As torch writes it: ``cpu``, ``cuda:0``."""

    def current(self) -> AbstractContextManager[object]:
        """Make it the place where work is queued, for as long as the context lasts."""

    def time_calls_ms(self, call: Callable[[], object], *, warmup: int, runs: int) -> list[float]:
        """As :func:`devices.runtimes.base.time_calls_ms`, until the work of the call is done."""

    def captured(self, forward: Forward, example: Any) -> Forward:
        """The same inference, recorded once on an example input and replayed since."""


class Cpu:
    """The processor: a call has done its work when it returns."""

    name = "cpu"

    def current(self) -> AbstractContextManager[object]:
        """Nothing to make current."""
        return nullcontext()

    def time_calls_ms(self, call: Callable[[], object], *, warmup: int, runs: int) -> list[float]:
        """By the clock of the processor."""
        return time_calls_ms(call, warmup=warmup, runs=runs)

    def captured(self, forward: Forward, example: Any) -> Forward:
        """A processor replays nothing: its runtimes do not have the option."""
        raise NotImplementedError("graph=on is an option of GPUs")


class TorchRuntime:
    """Runs programs saved by ``torch.export.save``, eagerly, one ATen op after the other."""

    name = "torch"
    artifact_format = "torch-export"
    options: frozenset[str] = frozenset({"layout"})

    def version(self) -> str:
        """The installed version."""
        return str(torch_module().__version__)

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load a model; errors as in :meth:`devices.base.Device.load`."""
        return TorchModel(artifact, target)


Compiler = Callable[[Artifact, Any, Any, Target], Forward]
"""From a model file, its bare module, an example input and a target to an inference."""


class TorchModel:
    """An exported program in memory, its weights and input in the target's layout.

    Args:
        artifact: the program's file.
        target: threads, layout and graph are taken from it.
        place: where the program runs.
        compiler: makes the inference that is timed; None for the program's own ops.

    Raises:
        ArtifactError: the program cannot be loaded, compiled or captured.
        DeviceError: the place has no room for it.
    """

    def __init__(
        self,
        artifact: Artifact,
        target: Target,
        *,
        place: Place | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        torch = torch_module()
        program = read_program(artifact)
        self._place = place or Cpu()
        self._torch = torch
        self._target = target
        self._key = artifact.key
        self._is_checked = False
        try:
            with self._ready():
                if self._place.name != "cpu":
                    program = _moved(program, self._place.name)
                self._input = self._placed(example_input(artifact.input_shape))
                # With the checks of its input that the timed inference does without.
                self._model: Any = self._laid_out(program.module())
                bare = self._laid_out(_bare_module(torch, program))
                forward = bare.forward
                if compiler is not None:
                    forward = compiler(artifact, bare, self._input, target)
                if target.graph == "on":
                    forward = self._recorded(forward)
                self._call: Any = forward
        # Too little memory, or a GPU that does not start.
        except RuntimeError as error:
            raise DeviceError(
                f"{artifact.key} cannot be put on {self._place.name}",
                str(error).strip().partition("\n")[0][:300],
                "end what else uses its memory, or a smaller batch",
            ) from error
        self._computes_by_call = compiler is not None or target.graph == "on"

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """With the target's threads and place, and without gradients."""
        with _threads(self._target.threads), self._torch.inference_mode(), self._place.current():
            yield

    def _laid_out(self, value: Any) -> Any:
        """A module or tensor in the target's layout; what has not four dimensions stays."""
        if self._target.layout != "channels_last":
            return value
        channels_last = self._torch.channels_last
        if not isinstance(value, self._torch.Tensor):
            return value.to(memory_format=channels_last)
        return value.contiguous(memory_format=channels_last) if value.dim() == 4 else value

    def _placed(self, inputs: FloatArray) -> Any:
        return self._laid_out(self._torch.from_numpy(inputs).to(self._place.name))

    def _recorded(self, forward: Forward) -> Forward:
        try:
            return self._place.captured(forward, self._input)
        except (RuntimeError, AssertionError) as error:
            raise ArtifactError(
                f"{self._key} cannot be captured as a graph",
                " ".join(str(error).split())[:300],
                "graph=off",
            ) from error

    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        """Latencies; as in :meth:`devices.base.LoadedModel.time_ms`."""
        call, x = self._call, self._input
        try:
            with self._ready():
                if not self._is_checked:
                    # The one call with all checks of its input: what is timed has none.
                    self._model(x)
                    self._is_checked = True
                return self._place.time_calls_ms(lambda: call(x), warmup=warmup, runs=runs)
        # An input of a shape the program was not exported for fails an assertion.
        except (RuntimeError, AssertionError) as error:
            raise MeasurementError(
                f"{self._key} loaded but did not run", " ".join(str(error).split())[:300]
            ) from error

    def run(self, inputs: FloatArray) -> FloatArray:
        """The output for one batch of inputs, by what is timed where that was compiled."""
        forward = self._call if self._computes_by_call else self._model
        with self._ready():
            output = forward(self._placed(inputs))
            tensor = output[0] if isinstance(output, tuple | list) else output
            # A copy: the next inference may write to the same memory.
            array: FloatArray = tensor.cpu().contiguous().numpy().copy()
        return array

    def close(self) -> None:
        """Let go of the program; twice is fine."""
        self._model = self._call = None


def torch_module() -> Any:
    """PyTorch, imported when it is used.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            "PyTorch is not installed", str(error), "pip install torch"
        ) from error
    return torch


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads; the process's own number comes back afterwards."""
    torch = torch_module()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_whole_archive(path: Path) -> bool:
    """Whether a file is a zip archive all of whose members are as they were written."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


def read_program(artifact: Artifact) -> Any:
    """The exported program of a file.

    Raises:
        ArtifactError: the file is not a whole exported program.
        DeviceError: there is no place to unpack it to.
    """
    torch = torch_module()
    # torch.export.load blames all sorts of things on a file that is not a whole zip archive.
    if not _is_whole_archive(artifact.path):
        raise ArtifactError(
            f"PyTorch cannot load {artifact.path.name} ({artifact.key})",
            "it is not a whole exported program",
            "export it again with torch.export.save",
        )
    try:
        with warnings.catch_warnings():
            # PyTorch 2.11 warns of how it reads weights; nobody writes to those bytes.
            warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
            return torch.export.load(artifact.path)
    except OSError as error:
        if error.filename is None or Path(error.filename) == artifact.path:
            raise _unloadable(artifact, error) from error
        # torch.export.load unpacks to a cache folder: that one may be full or not be there.
        raise DeviceError(
            f"PyTorch cannot unpack {artifact.path.name} ({artifact.key})",
            " ".join(str(error).split())[:300],
            "TORCHINDUCTOR_CACHE_DIR=FOLDER, a folder with room in it",
        ) from error
    except (
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        raise _unloadable(artifact, error) from error


def _unloadable(artifact: Artifact, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"PyTorch cannot load {artifact.path.name} ({artifact.key})",
        str(error).strip().partition("\n")[0][:300],
        "export it again with torch.export.save",
    )


def _moved(program: Any, place: str) -> Any:
    """The program with its weights, constants and the tensors it makes at another place."""
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, place)


def _bare_module(torch: Any, program: Any) -> Any:
    """The program's ATen calls and nothing else.

    Called as a module, an exported program checks its input and flattens it in each call: some
    40 us that no eager network pays, and that a sum of ops would count once an op.
    """
    unguarded = "check_guards" in inspect.signature(program.module).parameters
    module = program.module(check_guards=False) if unguarded else program.module()
    module.graph.set_codegen(torch.fx.graph.CodeGen())
    module.recompile()
    return module
