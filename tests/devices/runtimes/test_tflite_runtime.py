"""The older distribution of LiteRT, ``tflite-runtime``, in an environment of its own.

It was built for numpy 1, so it cannot share the environment of the other tests.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import devices
from devices.artifact import ArtifactFolder
from devices.runtimes.base import example_input
from profiler.builders.modules import build_op
from profiler.builders.tflite import nhwc
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

pytestmark = pytest.mark.slow

SPEC = OpSpec.parse("mbconv/4x6x6/out=4,kernel=3,expand=3")
SHAPE = nhwc(SPEC.input_shape, 1)
PROBE = """
import json, sys
from pathlib import Path
from devices.artifact import Artifact
from devices.errors import LutierError
from devices.host import HostDevice
from devices.runtimes.base import example_input
from devices.target import Target

path, precision, shape = sys.argv[1], sys.argv[2], tuple(json.loads(sys.argv[3]))
target = Target.make("cpu", "litert", {"precision": precision})
device = HostDevice()
said = {"version": device.environment(target).to_dict()["runtime_version"]}
try:
    model = device.load(Artifact(Path(path), "op", "tflite", shape, "0" * 64), target)
    said["latencies_ms"] = model.time_ms(warmup=1, runs=3)
    said["output"] = model.run(example_input(shape)).tolist()
except LutierError as error:
    said["error"] = [type(error).__name__, str(error)]
print(json.dumps(said))
"""


def install(python: Path, *packages: str) -> None:
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"needs {' and '.join(packages)} from PyPI: {reason[:200]}")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with tflite-runtime and what ``devices`` needs."""
    if sys.version_info[:2] != (3, 11) or (sys.platform, platform.machine()) not in {
        ("linux", "x86_64"),
        ("linux", "aarch64"),
    }:
        pytest.skip("needs Python 3.11 on Linux: the last for which there is a tflite-runtime")
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = folder / "bin" / "python"
    install(found, "tflite-runtime", "numpy<2", "lazy-loader")
    return found


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder for the path of imports in which ``devices`` is all there is."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "devices").symlink_to(Path(devices.__path__[0]).resolve())
    return tmp_path / "path"


def probe(python: Path, alone: Path, tmp_path: Path, precision: str) -> dict[str, Any]:
    artifact = make_artifact(Job.of_op(SPEC), "tflite", 1, ArtifactFolder(tmp_path), precision)
    words = [python, "-c", PROBE, artifact.path, precision, json.dumps(SHAPE)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(alone)},
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def expected() -> np.ndarray[Any, Any]:
    """What torch makes of the example input, with the weights that ``make_artifact`` draws."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(zlib.crc32(SPEC.key.encode()))
        module = build_op(SPEC).eval()
    x = torch.from_numpy(example_input(SHAPE)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return module(x).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("int8", 0.05)])
def test_a_file_written_elsewhere_is_timed_and_computed(
    python: Path, alone: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    install(python, "numpy<2")
    said = probe(python, alone, tmp_path, precision)
    assert said["version"].startswith("tflite-runtime ")
    assert len(said["latencies_ms"]) == 3
    assert min(said["latencies_ms"]) > 0
    wanted = expected()
    assert np.abs(np.array(said["output"]) - wanted).max() < tolerance * np.abs(wanted).max()


def test_under_numpy_2_the_error_says_what_to_install(
    python: Path, alone: Path, tmp_path: Path
) -> None:
    install(python, "numpy>=2")
    said = probe(python, alone, tmp_path, "float32")
    name, message = said["error"]
    assert name == "MissingExtraError"
    assert "pip install 'numpy<2'" in message
    assert "latencies_ms" not in said
