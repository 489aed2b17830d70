"""Replay: answers what was recorded, in order, and refuses everything else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.artifact import Artifact, ArtifactFolder
from devices.base import Device
from devices.environment import Environment
from devices.errors import InputError, MissingEntryError, UnknownNameError
from devices.registry import open_device
from devices.replay import ReplayDevice, write_recording
from devices.target import Target
from devices.testing import DeviceContract
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

KEYS = ("linear/4/out=3", "conv/2x4x4/activation=relu6,kernel=3,out=3,stride=1")
PHONE = Environment.of({"chip": "Tensor G3", "governor": "performance"})
TARGET = Target.make("cpu", "onnxruntime", {"threads": 2})
WHOLE: dict[str, Any] = {
    "lutier_recording": 1,
    "target": "cpu/onnxruntime?threads=2",
    "environment": {"chip": "A"},
    "samples_ms": {"one": [1.0, 2.0, 3.0], "two": [5]},
}


def device_of(path: Path, **samples_ms: Sequence[float]) -> ReplayDevice:
    write_recording(path / "recording.json", TARGET, PHONE, samples_ms)
    return ReplayDevice(str(path / "recording.json"))


def artifact(key: str) -> Artifact:
    return Artifact(Path("not looked at"), key, "onnx", (1, 4), "0" * 64)


def replay_of(path: Path, contents: str | bytes) -> ReplayDevice:
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return ReplayDevice(str(path))


class TestReplay(DeviceContract):
    def make_device(self, tmp_path: Path) -> Device:
        samples_ms = {key: [0.5 + i, 0.6 + i] for i, key in enumerate(KEYS)}
        write_recording(tmp_path / "recording.json", TARGET, PHONE, samples_ms)
        return open_device(f"replay:{tmp_path / 'recording.json'}")

    def make_target(self, device: Device) -> Target:
        return Target.make(device.name, "onnxruntime", {"threads": 2})

    def make_artifacts(self, tmp_path: Path) -> Sequence[Artifact]:
        jobs = [Job.of_op(OpSpec.parse(key)) for key in KEYS]
        return [make_artifact(job, "onnx", 1, ArtifactFolder(tmp_path)) for job in jobs]


def test_it_answers_in_the_recorded_order_over_and_over(tmp_path: Path) -> None:
    model = device_of(tmp_path, op=[1.0, 2.0, 3.0]).load(artifact("op"), TARGET)
    assert model.time_ms(warmup=0, runs=2) == [1.0, 2.0]
    assert model.time_ms(warmup=5, runs=5) == [3.0, 1.0, 2.0, 3.0, 1.0]


def test_each_loaded_model_begins_at_the_beginning(tmp_path: Path) -> None:
    device = device_of(tmp_path, op=[1.0, 2.0])
    first, second = (device.load(artifact("op"), TARGET) for _ in range(2))
    assert first.time_ms(warmup=0, runs=1) == [1.0]
    assert second.time_ms(warmup=0, runs=1) == [1.0]


def test_the_environment_is_that_of_the_recorded_machine(tmp_path: Path) -> None:
    device = device_of(tmp_path, op=[1.0])
    assert device.environment(TARGET) == PHONE
    assert device.recorded_target == TARGET
    assert device.name == f"replay:{tmp_path / 'recording.json'}"


def test_what_was_not_recorded_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingEntryError, match=r"other is not in the recording .*holds 1 others"):
        device_of(tmp_path, op=[1.0]).load(artifact("other"), TARGET)


def test_other_options_than_the_recorded_are_refused(tmp_path: Path) -> None:
    device = device_of(tmp_path, op=[1.0])
    for options in ({"threads": 1}, {"threads": 2, "batch": 8}):
        target = Target.make(device.name, "onnxruntime", options)
        with pytest.raises(InputError, match=r"recorded on cpu/onnxruntime\?threads=2"):
            device.load(artifact("op"), target)
        with pytest.raises(InputError):
            device.environment(target)


def test_another_runtime_than_the_recorded_is_refused(tmp_path: Path) -> None:
    device = device_of(tmp_path, op=[1.0])
    with pytest.raises(UnknownNameError, match="onnxruntime"):
        device.load(artifact("op"), Target.make(device.name, "torch", {"threads": 2}))


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=4),
        max_size=4,
    )
)
def test_what_is_recorded_is_answered(
    tmp_path_factory: pytest.TempPathFactory, samples_ms: dict[str, list[float]]
) -> None:
    path = tmp_path_factory.mktemp("replay") / "recording.json"
    write_recording(path, TARGET, PHONE, samples_ms)
    device = ReplayDevice(str(path))
    for key, values in samples_ms.items():
        model = device.load(artifact(key), TARGET)
        assert model.time_ms(warmup=0, runs=len(values)) == values


def test_a_whole_recording_by_hand_is_read(tmp_path: Path) -> None:
    device = replay_of(tmp_path / "r.json", json.dumps(WHOLE))
    assert device.load(artifact("two"), TARGET).time_ms(warmup=0, runs=1) == [5]


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"lutier_recording": 2}, "a recording of format 2: this version of Lutier reads format 1"),
        ({"lutier_recording": "1"}, "a recording of format '1'"),
        ({"lutier_recording": True}, "a recording of format True"),
        ({"target": None}, "not a whole recording"),
        ({"target": 3}, "not a whole recording"),
        ({"target": "cpu"}, "'cpu' is not a target"),
        ({"target": "cpu/onnxruntime?threads=0"}, "threads='0'"),
        ({"environment": []}, "not a whole recording"),
        ({"environment": {"cores": 2}}, "a fact is not text"),
        ({"samples_ms": []}, "not a whole recording"),
        ({"samples_ms": {"op": []}}, "no usable latencies for 'op'"),
        ({"samples_ms": {"op": 1.0}}, "no usable latencies for 'op'"),
        ({"samples_ms": {"op": "1.0"}}, "no usable latencies"),
        ({"samples_ms": {"op": ["1.0"]}}, "no usable latencies"),
        ({"samples_ms": {"op": [None]}}, "no usable latencies"),
        ({"samples_ms": {"op": [True]}}, "no usable latencies"),
        ({"samples_ms": {"op": [0.0]}}, "no usable latencies"),
        ({"samples_ms": {"op": [1.0, -1.0]}}, "no usable latencies"),
        ({"samples_ms": {"op": [math.nan]}}, "no usable latencies"),
        ({"samples_ms": {"op": [math.inf]}}, "no usable latencies"),
        ({"samples_ms": {"op": [10**400]}}, "no usable latencies"),
        ({"samples_ms": {"two\nlines": [0]}}, r"no usable latencies for 'two\nlines'"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_recording_is_said(
    tmp_path: Path, change: dict[str, Any], fragment: str
) -> None:
    with pytest.raises(InputError) as caught:
        replay_of(tmp_path / "r.json", json.dumps({**WHOLE, **change}))
    assert fragment in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", WHOLE)
def test_a_recording_that_lacks_a_part_is_refused(tmp_path: Path, key: str) -> None:
    rest = {name: value for name, value in WHOLE.items() if name != key}
    with pytest.raises(InputError, match=r"is not a (whole )?recording"):
        replay_of(tmp_path / "r.json", json.dumps(rest))


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"{",
        b"hello",
        b"null",
        b"[1]",
        b"\xff\xfe\x00",
        b"\x80",
        b"[" * 200_000,
        json.dumps(WHOLE)[:-1].encode(),
        json.dumps(WHOLE).encode("utf-16"),
        b"9" * 5000,
    ],
    ids=lambda contents: repr(contents[:8]),
)
def test_a_file_that_is_not_a_recording_is_refused(tmp_path: Path, contents: bytes) -> None:
    with pytest.raises(InputError, match="is not a recording") as caught:
        replay_of(tmp_path / "r.json", contents)
    assert len(str(caught.value).splitlines()) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={key: JSON | st.just(WHOLE[key]) for key in WHOLE}))
def test_any_document_is_a_recording_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("replay") / "r.json"
    path.write_text(json.dumps(document))
    try:
        device = ReplayDevice(str(path))
    except InputError:
        return
    for key in document["samples_ms"]:
        (latency_ms,) = device.load(artifact(key), device.recorded_target).time_ms(warmup=0, runs=1)
        assert latency_ms > 0


@pytest.mark.parametrize("address", ["", "/no/such/file.json", "x" * 5000, "a\x00b", "\ud800"])
def test_a_recording_that_is_not_there_is_said(address: str) -> None:
    with pytest.raises(InputError) as caught:
        ReplayDevice(address)
    assert len(str(caught.value).splitlines()) == 1


def test_a_folder_is_not_a_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recording at"):
        ReplayDevice(str(tmp_path))
