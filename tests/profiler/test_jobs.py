"""Jobs: the same job gives the same file, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from devices.artifact import ArtifactFolder
from devices.errors import InputError
from devices.host import HostDevice
from devices.runtimes.base import example_input
from devices.target import Target
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

SPEC = OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")
FORMATS = {"onnx": "onnxruntime", "torch-export": "torch"}


def test_the_job_of_an_op_is_stored_under_its_key() -> None:
    job = Job.of_op(SPEC)
    assert (job.key, job.role, job.input_shape) == (SPEC.key, "op", (4, 6, 6))
    assert isinstance(job.build(), nn.Module)


def test_a_free_op_has_nothing_to_time() -> None:
    with pytest.raises(InputError, match="identity/4x6x6/ has no latency"):
        Job.of_op(OpSpec.parse("identity/4x6x6/"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_same_job_gives_the_same_file(tmp_path: Path, file_format: str) -> None:
    folder = ArtifactFolder(tmp_path)
    torch.manual_seed(1)
    first = make_artifact(Job.of_op(SPEC), file_format, 2, folder)
    torch.manual_seed(2)
    again = make_artifact(Job.of_op(SPEC), file_format, 2, folder)
    assert first == again
    assert (first.key, first.format, first.input_shape) == (SPEC.key, file_format, (2, 4, 6, 6))


def test_jobs_of_other_keys_have_other_weights(tmp_path: Path) -> None:
    jobs = [Job(key, "network", lambda: nn.Linear(4, 3), (4,)) for key in ("one", "two")]
    digests = {make_artifact(job, "onnx", 1, ArtifactFolder(tmp_path)).sha256 for job in jobs}
    assert len(digests) == 2


@pytest.mark.parametrize("file_format", FORMATS)
def test_torchs_generator_is_left_as_it_was(tmp_path: Path, file_format: str) -> None:
    before = torch.get_rng_state()
    make_artifact(Job.of_op(SPEC), file_format, 1, ArtifactFolder(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
def test_the_generator_of_a_gpu_is_left_as_it_was(tmp_path: Path) -> None:
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    make_artifact(Job.of_op(SPEC), "onnx", 1, ArtifactFolder(tmp_path))
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize(("file_format", "runtime"), FORMATS.items())
def test_the_file_computes_what_the_module_computes(
    tmp_path: Path, file_format: str, runtime: str
) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    job = Job("net", "network", lambda: module, (4,))
    artifact = make_artifact(job, file_format, 5, ArtifactFolder(tmp_path))
    inputs = example_input((5, 4))
    with torch.no_grad():
        expected = module(torch.from_numpy(inputs)).numpy()
    model = HostDevice().load(artifact, Target.make("cpu", runtime, {"batch": 5}))
    assert np.allclose(model.run(inputs), expected, atol=1e-6)


def test_a_module_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    job = Job("net", "network", nn.Softplus, (4,))
    with pytest.raises(InputError, match="Softplus cannot be written"):
        make_artifact(job, "onnx", 1, ArtifactFolder(tmp_path))


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'coreml'"):
        make_artifact(Job.of_op(SPEC), "coreml", 1, ArtifactFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file_format", "runtime"), [("onnx", "onnxruntime"), ("tflite", "litert")]
)
def test_the_same_job_gives_the_same_int8_file(
    tmp_path: Path, file_format: str, runtime: str
) -> None:
    folder = ArtifactFolder(tmp_path)
    first, again = (
        make_artifact(Job.of_op(SPEC), file_format, 2, folder, "int8") for _ in range(2)
    )
    assert first == again
    # Channels last, as both runtimes convolve bytes.
    assert first.input_shape == (2, 6, 6, 4)
    options: dict[str, int | str] = {"batch": 2, "precision": "int8"}
    model = HostDevice().load(first, Target.make("cpu", runtime, options))
    assert len(model.time_ms(warmup=1, runs=2)) == 2


def test_the_samples_decide_what_the_bytes_stand_for(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path)
    digests = {
        make_artifact(Job.of_op(SPEC), "onnx", 1, folder, "int8", samples).sha256
        for samples in (None, [np.full((1, 4, 6, 6), 9, np.float32)])
    }
    assert len(digests) == 2


def test_a_format_without_int8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'torch-export' are not written in int8"):
        make_artifact(Job.of_op(SPEC), "torch-export", 1, ArtifactFolder(tmp_path), "int8")
    assert list(tmp_path.iterdir()) == []
