"""torch-compile: computes what the module computes, and says what it needs to compile."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from devices.artifact import Artifact
from devices.errors import ArtifactError, DeviceError, MeasurementError, MissingExtraError
from devices.runtimes.base import example_input
from devices.runtimes.torch_compile import CompiledTorchRuntime
from devices.target import Target
from profiler.builders.export import torch_export_bytes
from profiler.builders.modules import build_op
from profiler.ops import OpSpec

SPEC = OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")
SHAPE = (2, 4, 6, 6)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache folder for this run of the tests: headers are compiled once, nothing is left."""
    base = tmp_path_factory.getbasetemp() / "inductor"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(base))


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_op(SPEC).eval()


@pytest.fixture(scope="module")
def whole() -> bytes:
    return torch_export_bytes(module(), SPEC.input_shape, batch=2)


def written(path: Path, contents: bytes, shape: tuple[int, ...] = SHAPE) -> Artifact:
    path.write_bytes(contents)
    return Artifact(path, "some/op", "torch-export", shape, "0" * 64)


def target(**options: str | int) -> Target:
    return Target.make("cpu", "torch-compile", {"batch": 2, **options})


def expected(inputs: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> object:
    with torch.no_grad():
        return module()(torch.from_numpy(inputs)).numpy()


def children() -> set[str]:
    """Ids of the processes that this one started and that still run."""
    answer = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in answer.stdout.splitlines() if not line.endswith(" ps")}


def test_a_compiled_program_computes_what_the_module_computes(
    tmp_path: Path, whole: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    before = children()
    model = CompiledTorchRuntime().load(written(tmp_path / "m.pt2", whole), target())
    inputs = example_input(SHAPE)
    assert np.allclose(model.run(inputs), expected(inputs), atol=1e-5)
    assert len(model.time_ms(warmup=1, runs=3)) == 3
    assert np.allclose(model.run(2 * inputs), expected(2 * inputs), atol=1e-5)
    assert children() == before
    assert not torch.is_inference_mode_enabled()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_any_threads_and_layout_compute_the_same(tmp_path: Path, whole: bytes, layout: str) -> None:
    artifact = written(tmp_path / "m.pt2", whole)
    inputs = example_input(SHAPE)
    for threads in (2, 1, 2):
        # The cache is shared on purpose: kernels of another number of threads must not be met.
        model = CompiledTorchRuntime().load(artifact, target(threads=threads, layout=layout))
        assert np.allclose(model.run(inputs), expected(inputs), atol=1e-4)
        assert len(model.time_ms(warmup=1, runs=2)) == 2
        model.close()
        model.close()


@pytest.mark.slow
def test_kernels_are_written_for_the_threads_of_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (1, 8, 64, 64)
    artifact = written(
        tmp_path / "m.pt2", torch_export_bytes(torch.nn.GELU().eval(), shape[1:]), shape
    )
    found = []
    for threads in (1, 2, 3):
        cache = tmp_path / f"cache-{threads}"
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(cache))
        asked = Target.make("cpu", "torch-compile", {"threads": threads})
        CompiledTorchRuntime().load(artifact, asked)
        sources = "".join(path.read_text() for path in cache.rglob("*.py"))
        found.append([n for n in (2, 3) if f"num_threads({n})" in sources])
    assert found == [[], [2], [3]]


@pytest.mark.slow
def test_each_of_many_models_is_compiled_and_keeps_its_own_weights(tmp_path: Path) -> None:
    shape = (1, 3, 5, 5)
    inputs = example_input(shape)
    models = []
    # More than torch.compile would compile of one function before it gives up (8).
    for seed in range(12):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, seed + 1, 3), torch.nn.ReLU6()).eval()
        contents = torch_export_bytes(net, shape[1:])
        model = CompiledTorchRuntime().load(
            written(tmp_path / f"{seed}.pt2", contents, shape),
            Target.make("cpu", "torch-compile", {}),
        )
        with torch.no_grad():
            models.append((model, net(torch.from_numpy(inputs)).numpy()))
    for model, output in models:
        assert np.allclose(model.run(inputs), output, atol=1e-5)


@pytest.mark.slow
def test_the_process_keeps_its_threads(tmp_path: Path, whole: bytes) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        model = CompiledTorchRuntime().load(written(tmp_path / "m.pt2", whole), target())
        model.time_ms(warmup=0, runs=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_an_input_of_another_shape_is_refused(tmp_path: Path, whole: bytes) -> None:
    artifact = written(tmp_path / "m.pt2", whole, (2, 5, 6, 6))
    with pytest.raises((ArtifactError, MeasurementError), match="some/op") as caught:
        CompiledTorchRuntime().load(artifact, target()).time_ms(warmup=0, runs=1)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="it is not a whole exported program"):
        CompiledTorchRuntime().load(written(tmp_path / "m.pt2", b"hello"), target())


def test_the_version_names_pytorch_and_the_compiler() -> None:
    pytorch, compiler = CompiledTorchRuntime().version().split(" with ")
    assert pytorch == torch.__version__
    assert compiler.split()[1].split(".")[0].isdigit()


@pytest.mark.parametrize("named", ["no-such-compiler", "false"])
def test_a_missing_compiler_is_named_with_the_package_that_has_one(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", named)
    with pytest.raises(MissingExtraError, match=rf"{named} is not there.*apt-get install g\+\+"):
        CompiledTorchRuntime().version()


# Inductor looks for its compiler once in a process, so each case has a process of its own.
_LOAD = """
import sys
from pathlib import Path
from devices.artifact import Artifact
from devices.errors import LutierError
from devices.runtimes.torch_compile import CompiledTorchRuntime
from devices.target import Target
artifact = Artifact(Path(sys.argv[1]), "some/op", "torch-export", (2, 4, 6, 6), "0" * 64)
try:
    CompiledTorchRuntime().load(artifact, Target.make("cpu", "torch-compile", {"batch": 2}))
except LutierError as error:
    print(type(error).__name__, error)
"""


def outcome(file: Path, cache: Path, **environment: str) -> str:
    """The last line of a process that loads a model in a cache folder of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", _LOAD, str(file)],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_loading_without_a_compiler_says_what_to_install(tmp_path: Path, whole: bytes) -> None:
    file = written(tmp_path / "m.pt2", whole).path
    said = outcome(file, tmp_path / "cache", CXX="no-such-compiler")
    assert said.startswith("MissingExtraError torch-compile needs a C++ compiler")
    assert "apt-get install g++" in said


def failing_compiler(path: Path, complaint: str) -> str:
    """A compiler that answers for its version, and fails at everything it is to compile."""
    path.write_text(
        "#!/bin/sh\n"
        'for word in "$@"; do case "$word" in *.cpp|*.h) '
        f"echo 'x.cpp:1:2: {complaint}' >&2; exit 1;; esac; done\n"
        'exec g++ "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("complaint", "kind", "advice"),
    [
        ("error: the sky is falling", "ArtifactError", "error: the sky is falling"),
        ("fatal error: Python.h: No such file", "MissingExtraError", "apt-get install python3-dev"),
    ],
)
def test_a_compiler_that_fails_is_quoted_in_one_line(
    tmp_path: Path, whole: bytes, complaint: str, kind: str, advice: str
) -> None:
    file = written(tmp_path / "m.pt2", whole).path
    compiler = failing_compiler(tmp_path / "compiler", complaint)
    said = outcome(file, tmp_path / "cache", CXX=compiler)
    assert said.startswith(kind)
    assert advice in said


@pytest.mark.slow
def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    file = written(tmp_path / "m.pt2", whole).path
    said = outcome(file, tmp_path / "cache")
    assert said.startswith(DeviceError.__name__)
    assert "TORCHINDUCTOR_CACHE_DIR" in said


def test_hints_of_pytorch_about_its_own_work_are_not_passed_on(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = ["The given buffer is not writable, and", "TensorFloat32 tensor cores for float32"]
    load = torch.export.load

    def noisy_load(path: Path) -> object:
        warnings.warn(hints[0], UserWarning, stacklevel=2)
        return load(path)

    def noisy_compile(module: torch.nn.Module, inputs: object, options: object) -> object:
        warnings.warn(hints[1], UserWarning, stacklevel=2)
        warnings.warn("something else", UserWarning, stacklevel=2)
        return module.forward

    monkeypatch.setattr("torch.export.load", noisy_load)
    monkeypatch.setattr("torch._inductor.compile", noisy_compile)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        CompiledTorchRuntime().load(written(tmp_path / "m.pt2", whole), target())
    said = [str(warning.message) for warning in seen]
    assert "something else" in said
    assert not set(hints) & set(said)
