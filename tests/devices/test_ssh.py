"""Another machine, played by an sshd on loopback: the contract, and all that can be in the way."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from sshd_server import SshServer, command_line, descendants, fake_worker, free_port, kill

from devices.artifact import Artifact, ArtifactFolder
from devices.base import Device, ExecutableModel
from devices.errors import (
    ArtifactError,
    DeviceError,
    InputError,
    LutierError,
    MissingExtraError,
    UnknownNameError,
)
from devices.host import HostDevice
from devices.registry import open_device, open_target
from devices.ssh import SshDevice
from devices.target import Target
from devices.testing import DeviceContract
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

KEYS = ("linear/4/out=3", "conv/2x4x4/out=3,kernel=3")
TARGET = Target.make("ssh:far", "onnxruntime", {})


pytestmark = pytest.mark.usefixtures("far")


@pytest.fixture
def device() -> Iterator[SshDevice]:
    with SshDevice("far") as opened:
        yield opened


def artifacts(folder: Path, file_format: str) -> list[Artifact]:
    jobs = [Job.of_op(OpSpec.parse(key)) for key in KEYS]
    return [make_artifact(job, file_format, 1, ArtifactFolder(folder)) for job in jobs]


def worker_of(server: SshServer) -> int:
    """The far process that measures."""
    (pid,) = (pid for pid in descendants(server.pid) if "devices.worker" in command_line(pid))
    return pid


class TestOnnxRuntime(DeviceContract):
    def make_device(self, tmp_path: Path) -> Device:
        return open_device("ssh:far")

    def make_target(self, device: Device) -> Target:
        return TARGET

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        return artifacts(tmp_path, "onnx")


class TestTorch(DeviceContract):
    def make_device(self, tmp_path: Path) -> Device:
        return open_device("ssh:far")

    def make_target(self, device: Device) -> Target:
        return Target.make("ssh:far", "torch", {})

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        return artifacts(tmp_path, "torch-export")


# What it does


def test_a_target_names_it_and_is_read_back() -> None:
    for name in (
        "ssh:far",
        "ssh:pi@raspberrypi",
        "ssh:pi@192.0.2.7:2222",
        "ssh:pi@[2001:db8::7]:22",
    ):
        target = Target.parse(f"{name}/onnxruntime?threads=2")
        assert target.device == name
        assert Target.parse(str(target)) == target


def test_it_is_called_as_it_was_written() -> None:
    with open_target(TARGET) as device:
        assert device.name == "ssh:far"


def test_user_and_port_are_handed_to_ssh(far: SshServer) -> None:
    # What stands on the command line wins over the configuration: nobody listens there.
    with pytest.raises(DeviceError, match="Connection refused") as caught:
        SshDevice(f"somebody@far:{free_port()}")
    assert "somebody@far" in str(caught.value)
    with SshDevice(f"far:{far.port}") as device:
        assert device.environment(TARGET).facts


def test_the_environment_is_that_of_the_machine_whoever_asks(device: SshDevice) -> None:
    for runtime in ("onnxruntime", "torch"):
        here = HostDevice().environment(Target.make("cpu", runtime, {}))
        assert device.environment(Target.make("ssh:far", runtime, {})) == here


def test_its_models_compute_what_they_compute_here(device: SshDevice, tmp_path: Path) -> None:
    for artifact in artifacts(tmp_path, "onnx"):
        far_model = device.load(artifact, TARGET)
        assert isinstance(far_model, ExecutableModel)
        here = HostDevice().load(artifact, Target.make("cpu", "onnxruntime", {}))
        shape = artifact.input_shape
        inputs = np.linspace(-1, 1, math.prod(shape), dtype=np.float32).reshape(shape)
        np.testing.assert_array_equal(far_model.run(inputs), here.run(inputs))


def test_an_input_of_another_shape_is_refused_and_nothing_breaks(
    device: SshDevice, tmp_path: Path
) -> None:
    model = device.load(artifacts(tmp_path, "onnx")[0], TARGET)
    with pytest.raises(InputError, match=r"takes \(1, 4\)"):
        model.run(np.zeros((2, 4), dtype=np.float32))
    assert model.run(np.zeros((1, 4), dtype=np.float32)).shape == (1, 3)


def test_a_model_file_is_sent_once(device: SshDevice, tmp_path: Path) -> None:
    artifact = artifacts(tmp_path, "onnx")[0]
    device.load(artifact, TARGET).close()
    artifact.path.unlink()
    assert len(device.load(artifact, TARGET).time_ms(warmup=0, runs=3)) == 3


def test_a_file_of_several_parts_arrives_whole(
    device: SshDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.ssh.CHUNK_BYTES", 7)
    model = device.load(artifacts(tmp_path, "onnx")[0], TARGET)
    assert len(model.time_ms(warmup=0, runs=2)) == 2


def test_a_file_that_changed_since_it_was_written_is_refused(
    device: SshDevice, tmp_path: Path
) -> None:
    artifact = artifacts(tmp_path, "onnx")[0]
    artifact.path.write_bytes(b"something else")
    with pytest.raises(ArtifactError, match="not what it was"):
        device.load(artifact, TARGET)


def test_what_a_login_script_prints_is_passed_over(
    start_far: Callable[..., SshServer],
) -> None:
    start_far("ForceCommand echo welcome; echo; echo '{}'; eval \"$SSH_ORIGINAL_COMMAND\"")
    with SshDevice("far") as device:
        assert device.environment(TARGET).facts


def test_the_worker_and_its_files_are_gone_after_close(
    start_far: Callable[..., SshServer], tmp_path: Path
) -> None:
    server = start_far()
    artifact = artifacts(tmp_path, "onnx")[0]
    with SshDevice("far") as device:
        device.load(artifact, TARGET)
        pid = worker_of(server)
        (file,) = (server.folder / "tmp").glob(f"lutier-worker-*/{artifact.sha256}")
    deadline = time.monotonic() + 30
    while command_line(pid) or file.parent.exists():
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.05)
    device.close()


# What is refused


@pytest.mark.parametrize(
    "address",
    [
        "",
        "-oProxyCommand=date",
        "pi@-oProxyCommand=date",
        "pi@",
        "@far",
        "far:",
        "far:0",
        "far:65536",
        "far:ssh",
        "a b",
        "far;date",
        "$(date)",
        "far\n",
        "pi@far@other",
        "[::1",
    ],
)
def test_an_address_that_is_none_never_reaches_ssh(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.ssh.Link", None)
    with pytest.raises(InputError, match="names no machine"):
        open_device(f"ssh:{address}")


def test_options_that_cannot_be_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTIER_SSH_OPTIONS", "-F 'half")
    with pytest.raises(InputError, match="LUTIER_SSH_OPTIONS"):
        SshDevice("far")


def test_an_unknown_runtime_is_answered_with_the_nearest(device: SshDevice) -> None:
    with pytest.raises(UnknownNameError, match=r"runtime of ssh:far 'touch'\. Try: torch"):
        device.environment(Target.make("ssh:far", "touch", {}))


def test_more_threads_than_that_machine_has_cores_are_refused(device: SshDevice) -> None:
    threads = (os.cpu_count() or 1) + 1
    with pytest.raises(InputError, match=f"threads={threads}: .*said by ssh:far"):
        device.environment(Target.make("ssh:far", "onnxruntime", {"threads": threads}))


def test_a_file_that_is_no_model_is_the_error_it_would_be_here(
    device: SshDevice, tmp_path: Path
) -> None:
    artifact = ArtifactFolder(tmp_path).add(
        b"no model", key="broken", file_format="onnx", input_shape=(1, 4)
    )
    with pytest.raises(ArtifactError, match="broken"):
        device.load(artifact, TARGET)
    assert len(device.load(artifacts(tmp_path, "onnx")[0], TARGET).time_ms(warmup=0, runs=1)) == 1


# What it answers


def test_a_runtime_that_is_not_installed_there(
    tmp_path: Path, start_far: Callable[..., SshServer]
) -> None:
    reply = (
        '{"id": 1, "error": {"kind": "MissingExtraError", "what": "ONNX Runtime is not installed",'
        ' "why": "", "hint": "pip install onnxruntime"}}'
    )
    lines = f"sys.stdin.readline()\nprint({reply!r}, flush=True)\nsys.stdin.read()\n"
    start_far(fake_worker(tmp_path, lines))
    with SshDevice("far") as device, pytest.raises(MissingExtraError) as caught:
        device.environment(TARGET)
    assert str(caught.value).endswith("and there /there/python -m pip install onnxruntime")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "no JSON",
        '{"id": 7, "facts": {}}',
        '{"id": 1}',
        '{"id": 1, "facts": [1]}',
        '{"id": 1, "error": 3}',
        '{"id": 1, "error": {"what": "two\\nlines \\u001b[2J"}}',
        "[" * 100_000,
    ],
)
def test_an_answer_that_no_worker_gives_is_an_error_of_one_line(
    reply: str, tmp_path: Path, start_far: Callable[..., SshServer]
) -> None:
    lines = f"sys.stdin.readline()\nprint({reply!r}, flush=True)\nsys.stdin.read()\n"
    start_far(fake_worker(tmp_path, lines))
    with SshDevice("far") as device:
        with pytest.raises(LutierError) as caught:
            device.environment(TARGET)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "samples", ["[1.0]", "[1.0, 0.0]", "[1.0, -2.0]", "[1.0, 1e999]", "7", "[1.0, true]"]
)
def test_timings_that_are_none_never_become_a_figure(
    samples: str, tmp_path: Path, start_far: Callable[..., SshServer]
) -> None:
    lines = (
        "for n, line in enumerate(sys.stdin, 1):\n"
        '    value = \'"model": 1\' if \'"load"\' in line else \'"samples_ms": ' + samples + "'\n"
        "    print('{\"id\": %d, %s}' % (n, value), flush=True)\n"
    )
    start_far(fake_worker(tmp_path, lines))
    with SshDevice("far") as device:
        model = device.load(artifacts(tmp_path, "onnx")[0], TARGET)
        with pytest.raises(DeviceError, match="samples_ms"):
            model.time_ms(warmup=0, runs=2)


# The connection is cut


@pytest.mark.parametrize("victim", ["ssh", "sshd", "worker"])
def test_a_connection_that_is_cut_is_one_clear_error(
    victim: str, far: SshServer, device: SshDevice, tmp_path: Path
) -> None:
    model = device.load(artifacts(tmp_path, "onnx")[0], TARGET)
    assert len(model.time_ms(warmup=0, runs=1)) == 1
    worker = worker_of(far)
    kill({"ssh": device.pid, "sshd": descendants(far.pid)[0], "worker": worker}[victim])
    with pytest.raises(DeviceError) as caught:
        model.time_ms(warmup=0, runs=1)
    text = str(caught.value)
    assert text.startswith("ssh:far went away while it was to time linear/4/out=3")
    assert text.endswith("Try: the same command again: what was measured is stored")
    assert len(text.splitlines()) == 1
    with pytest.raises(DeviceError, match="ssh:far is closed"):
        model.time_ms(warmup=0, runs=1)
    model.close()


def test_a_worker_that_hangs_is_not_waited_for_for_ever(far: SshServer, tmp_path: Path) -> None:
    with SshDevice("far", answer_seconds=20) as device:
        model = device.load(artifacts(tmp_path, "onnx")[0], TARGET)
    with SshDevice("far", answer_seconds=1) as device:
        worker = worker_of(far)
        os.kill(worker, signal.SIGSTOP)
        try:
            with pytest.raises(DeviceError, match="did not tell what machine it is within 1 s"):
                device.environment(TARGET)
        finally:
            kill(worker)
    with pytest.raises(DeviceError, match="ssh:far is closed"):
        model.time_ms(warmup=0, runs=1)
