"""TorchInductor, the compiler behind ``torch.compile``, on exported programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices.artifact import Artifact
from devices.base import ExecutableModel
from devices.errors import ArtifactError, DeviceError, LutierError, MissingExtraError
from devices.runtimes.torch import Forward, TorchModel, torch_module
from devices.target import Target


class CompiledTorchRuntime:
    """Compiles each program when it is loaded, and runs what came out.

    TorchInductor is given the program's own graph. ``torch.compile`` would trace it again, check
    its guards in each call, and give up compiling after some number of models in one process.
    """

    name = "torch-compile"
    artifact_format = "torch-export"
    options: frozenset[str] = frozenset({"layout"})

    def version(self) -> str:
        """Versions of PyTorch and of the C++ compiler: both decide what is run.

        Raises:
            MissingExtraError: one of them is not installed.
        """
        return f"{torch_module().__version__} with {_compiler_version()}"

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        """Load and compile a model: seconds, the first time in a cache folder half a minute.

        Raises:
            ArtifactError: a program that cannot be loaded or compiled.
            MissingExtraError: there is no C++ compiler.
            DeviceError: what is compiled cannot be written to the cache folder.
        """
        return TorchModel(artifact, target, compiler=compile_forward)


def compile_forward(artifact: Artifact, module: Any, example: Any, target: Target) -> Forward:
    """Compile a graph for one input shape and layout, and run it once.

    Args:
        artifact: for messages.
        module: graph of the program, its weights where they are to be used.
        example: an input, of the shape and layout of all later ones.
        target: kernels are generated for its threads.

    Raises:
        ArtifactError, MissingExtraError, DeviceError: as in :meth:`CompiledTorchRuntime.load`.
    """
    from torch._inductor import compile as inductor_compile

    options = {
        # Written into the kernels, so it must be part of the key of Inductor's own cache.
        "cpp.threads": target.threads,
        # In this process: a pool of compiler workers would stay beside what is timed.
        "compile_threads": 1,
    }
    try:
        with warnings.catch_warnings():
            # On a GPU. It is measured as it is configured, which the environment says.
            warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
            forward: Callable[[Any], Any] = inductor_compile(module, [example], options=options)
            forward(example)
    except OSError as error:
        raise DeviceError(
            f"what torch-compile makes of {artifact.key} cannot be written",
            " ".join(str(error).split())[:300],
            "TORCHINDUCTOR_CACHE_DIR=FOLDER, a folder with room in it",
        ) from error
    # Compilers of many kinds at work: Inductor wraps most of what they raise, not all.
    except (
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
        subprocess.SubprocessError,
    ) as error:
        raise _explained(artifact, error) from error
    return forward


def _explained(artifact: Artifact, error: Exception) -> LutierError:
    """What a failed compilation means to a person."""
    cause = getattr(error, "inner_exception", error)
    kind, text = type(cause).__name__, str(cause)
    if kind == "InvalidCxxCompiler":
        return _no_compiler(_compiler())
    if kind == "TritonMissing":
        return MissingExtraError(
            "torch-compile needs Triton to compile for a GPU", "it is missing", "pip install triton"
        )
    if "Python.h" in text:
        return MissingExtraError(
            "torch-compile needs the C headers of Python",
            "the C++ compiler finds no Python.h",
            "apt-get install python3-dev",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # The report of a C++ compiler starts with its command line: its first error says more.
    telling = [line for line in lines if "error:" in line] or lines or [kind]
    return ArtifactError(
        f"torch-compile cannot compile {artifact.path.name} ({artifact.key})",
        telling[0][:300],
        "the runtime torch, which runs the same file without compiling it",
    )


def _compiler() -> str:
    """Name of the C++ compiler that Inductor would call."""
    return os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")


def _no_compiler(name: str) -> MissingExtraError:
    return MissingExtraError(
        "torch-compile needs a C++ compiler",
        f"{name} is not there or does not run",
        "apt-get install g++ (or name another one in CXX)",
    )


def _compiler_version() -> str:
    name = _compiler()
    path = shutil.which(name)
    if path is None:
        raise _no_compiler(name)
    try:
        answer = subprocess.run(  # noqa: S603 - the compiler that the person chose, no shell
            [path, "-dumpfullversion", "-dumpversion"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _no_compiler(name) from error
    return f"{Path(path).name} {answer.stdout.strip()}"
