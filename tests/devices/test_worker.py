"""The worker: any lines get replies, errors or a clean end; nothing else reaches its output."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import worker
from devices.artifact import Artifact, ArtifactFolder
from devices.base import ExecutableModel
from devices.environment import Environment
from devices.errors import MeasurementError
from devices.host import HostDevice
from devices.target import Target
from devices.wire import decode_line, encode_array, encode_bytes, encode_line
from devices.worker import serve
from profiler.jobs import Job, make_artifact
from profiler.ops import OpSpec

TARGET = "cpu/onnxruntime?threads=1"


class Clockwork(HostDevice):
    """A device that computes nothing: quick, and each run takes its number of ms."""

    def environment(self, target: Target) -> Environment:
        return Environment.of({"chip": "clockwork"})

    def load(self, artifact: Artifact, target: Target) -> ExecutableModel:
        return _Spring()


class _Spring:
    def time_ms(self, *, warmup: int, runs: int) -> list[float]:
        if runs == 13:
            raise MeasurementError("the spring broke", "of all numbers, 13")
        return [float(n + gc.isenabled()) for n in range(1, min(runs, 100) + 1)]

    def run(self, inputs: Any) -> Any:
        return inputs * 2

    def close(self) -> None:
        """Nothing to let go of."""


def answers(requests: Sequence[object], folder: Path) -> list[dict[str, Any]]:
    """What is answered to some requests, without the greeting; bytes are sent as they are."""
    lines = [r if isinstance(r, bytes) else encode_line(r) for r in requests]  # type: ignore[arg-type]
    replies = io.BytesIO()
    serve(io.BytesIO(b"".join(lines)), replies, Clockwork(), folder)
    greeting, *rest = replies.getvalue().splitlines(keepends=True)
    assert decode_line(greeting)["lutier_worker"] == 1
    return [decode_line(line) for line in rest]


def put(
    contents: bytes, number: int = 1, *, last: bool = True, **changed: object
) -> dict[str, Any]:
    digest = hashlib.sha256(contents).hexdigest()
    request = {"id": number, "call": "put", "sha256": digest, "data": encode_bytes(contents)}
    return {**request, "last": last, **changed}


def load(contents: bytes, number: int = 2, **changed: object) -> dict[str, Any]:
    request = {"id": number, "call": "load", "sha256": hashlib.sha256(contents).hexdigest()}
    request |= {"key": "a/key", "format": "onnx", "input_shape": [1, 2], "target": TARGET}
    return {**request, **changed}


# What it answers


def test_a_whole_visit(tmp_path: Path) -> None:
    replies = answers(
        [
            {"id": 1, "call": "environment", "target": TARGET},
            put(b"model", 2),
            load(b"model", 3),
            {"id": 4, "call": "time", "model": 1, "warmup": 2, "runs": 3},
            {"id": 5, "call": "run", "model": 1, **encode_array_of([[1.5, -2.0]])},
            {"id": 6, "call": "unload", "model": 1},
            {"id": 7, "call": "time", "model": 1, "warmup": 0, "runs": 1},
        ],
        tmp_path,
    )
    assert replies[:6] == [
        {"id": 1, "facts": {"chip": "clockwork"}},
        {"id": 2, "size_bytes": 5},
        {"id": 3, "model": 1},
        # Whole numbers: the collector is off while a model is timed.
        {"id": 4, "samples_ms": [1.0, 2.0, 3.0]},
        {"id": 5, **encode_array_of([[3.0, -4.0]])},
        {"id": 6},
    ]
    assert replies[6]["error"]["what"] == "no model 1 is loaded"
    assert gc.isenabled()


def encode_array_of(values: list[list[float]]) -> dict[str, Any]:
    import numpy as np

    return encode_array(np.array(values, dtype=np.float32))


def test_a_measurement_that_failed_is_an_error_and_the_next_is_answered(tmp_path: Path) -> None:
    replies = answers(
        [
            put(b"model"),
            load(b"model"),
            {"id": 3, "call": "time", "model": 1, "warmup": 0, "runs": 13},
            {"id": 4, "call": "time", "model": 1, "warmup": 0, "runs": 1},
        ],
        tmp_path,
    )
    assert replies[2]["error"]["kind"] == "MeasurementError"
    assert replies[3] == {"id": 4, "samples_ms": [1.0]}


def test_a_file_in_parts_is_put_together(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"model file").hexdigest()
    replies = answers(
        [put(b"model ", 1, last=False, sha256=digest), put(b"file", 2, sha256=digest)], tmp_path
    )
    assert [reply["size_bytes"] for reply in replies] == [6, 10]
    assert (tmp_path / digest).read_bytes() == b"model file"


def test_a_file_that_arrived_with_other_contents_is_not_kept(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"model").hexdigest()
    replies = answers([put(b"modem", sha256=digest), load(b"model"), put(b"model", 3)], tmp_path)
    assert replies[0]["error"]["kind"] == "ArtifactError"
    assert "was not put" in replies[1]["error"]["what"]
    assert replies[2] == {"id": 3, "size_bytes": 5}


@pytest.mark.parametrize("digest", ["../../etc/passwd", "/etc/passwd", "A" * 64, "a" * 63, ""])
def test_a_name_that_is_no_digest_never_becomes_a_path(digest: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    replies = answers([put(b"model", sha256=digest), load(b"model", sha256=digest)], folder)
    assert all("is not a SHA-256" in reply["error"]["what"] for reply in replies)
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_folder_that_takes_no_file_is_a_device_error(tmp_path: Path) -> None:
    (reply,) = answers([put(b"model")], tmp_path / "gone")
    assert reply["error"]["kind"] == "DeviceError"
    assert "TMPDIR" in reply["error"]["hint"]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (b"\n", "is not a line of JSON"),
        (b"[]\n", "is not a JSON object"),
        (b"[" * 99_999 + b"\n", "is not a line of JSON"),
        ({"call": "time"}, "id='None' is not of type int"),
        ({"id": True, "call": "time"}, "id='True' is not of type int"),
        ({"id": 1}, "call='None'"),
        ({"id": 1, "call": "tim"}, "unknown call 'tim'"),
        ({"id": 1, "call": "__init__"}, "unknown call"),
        ({"id": 1, "call": "environment", "target": "cpu"}, "is not a target"),
        ({"id": 1, "call": "time", "model": 0}, "no model 0"),
        ({"id": 1, "call": "unload", "model": -1}, "no model -1"),
        (put(b"x", data="é"), "base64"),
        (load(b"x", input_shape=[0]), "was not put"),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_with_what_is_wrong(
    request_: object, says: str, tmp_path: Path
) -> None:
    bad, good = answers([request_, {"id": 9, "call": "environment", "target": TARGET}], tmp_path)
    assert says in bad["error"]["what"]
    assert good == {"id": 9, "facts": {"chip": "clockwork"}}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"call": "time", "warmup": -1, "runs": 1}, "warmup"),
        ({"call": "time", "warmup": 0, "runs": 0}, "runs"),
        ({"call": "time", "warmup": 0, "runs": 10**9}, "runs"),
        ({"call": "time", "warmup": 0, "runs": 1.5}, "runs"),
        ({"call": "run", "shape": [2, 1], "data": ""}, "shape (2, 1)"),
        ({"call": "run", "shape": [1, 2], "data": "AAAA"}, "3 bytes"),
        ({"call": "run", "shape": [-1, -2], "data": ""}, "is not a shape"),
        ({"call": "run", "shape": [10**9, 10**9], "data": ""}, "is not a shape"),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    arguments: dict[str, object], says: str, tmp_path: Path
) -> None:
    *_, reply = answers([put(b"m"), load(b"m"), {"id": 3, "model": 1, **arguments}], tmp_path)
    assert says in reply["error"]["what"]


def test_a_line_that_is_too_long_is_answered_and_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_LINE_BYTES", 300)
    known = {"id": 1, "call": "environment", "target": TARGET}
    replies = answers([known, b"x" * 301 + b"\n", known], tmp_path)
    assert [reply["id"] for reply in replies] == [1, None]
    assert "more than 300 bytes" in replies[1]["error"]["what"]


def test_a_line_that_was_cut_off_is_not_answered(tmp_path: Path) -> None:
    known = encode_line({"id": 1, "call": "environment", "target": TARGET})
    assert len(answers([known, known[:-1]], tmp_path)) == 1


# Anything

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 5)
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([TARGET, "a" * 64, hashlib.sha256(b"").hexdigest(), "onnx", "AAAAAAAAAAA="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
CALLS = st.sampled_from(["environment", "put", "load", "time", "run", "unload", "boo"])
FIELDS = ("model", "warmup", "runs", "sha256", "data", "last", "key", "format", "input_shape")
REQUESTS = st.fixed_dictionaries(
    {"id": st.integers(0, 9) | VALUES, "call": CALLS | VALUES},
    optional=dict.fromkeys((*FIELDS, "shape", "target"), VALUES),
)
LINES = (
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"") + b"\n")
    | REQUESTS.map(lambda request: json.dumps(request).encode() + b"\n")
    | st.sampled_from([put(b""), load(b""), load(b"", input_shape=[2])]).map(encode_line)
)


@settings(max_examples=300)
@given(lines=st.lists(LINES, max_size=12), tail=st.binary(max_size=9))
def test_any_lines_are_answered_one_by_one(
    lines: list[bytes], tail: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    replies = answers([*lines, tail.replace(b"\n", b"")], folder)
    assert len(replies) == len(lines)
    for reply in replies:
        assert type(reply["id"]) is int or "error" in reply
        assert reply.get("error", {"what": "."})["what"]


# As a process


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    # A device whose models print, in Python and past it, and that reads what it is not given.
    (tmp_path / "loud_worker.py").write_text(
        "import os, sys\n"
        "from devices import worker\n"
        "from devices.host import HostDevice\n"
        "class Loud(HostDevice):\n"
        "    def environment(self, target):\n"
        "        print('hello')\n"
        "        os.write(1, b'good bye\\n')\n"
        "        os.system('echo from a child')\n"
        "        assert os.read(0, 10) == b''\n"
        "        return super().environment(target)\n"
        "worker.HostDevice = Loud\n"
        "worker.main()\n"
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "loud_worker.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        yield started
        started.kill()


def test_what_libraries_print_never_breaks_the_lines(process: subprocess.Popen[bytes]) -> None:
    request = {"id": 1, "call": "environment", "target": TARGET}
    out, err = process.communicate(encode_line(request), timeout=60)
    greeting, reply = out.splitlines()
    assert decode_line(greeting)["formats"]["onnxruntime"] == "onnx"
    facts = HostDevice().environment(Target.parse(TARGET)).to_dict()
    assert decode_line(reply) == {"id": 1, "facts": facts}
    for text in (b"hello", b"good bye", b"from a child"):
        assert text in err
    assert process.returncode == 0


def test_it_ends_without_a_word_when_nobody_listens(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(encode_line({"id": 1, "call": "boo"}))
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""
    assert not list(tmp_path.glob("lutier-worker-*"))


def test_a_real_model_is_timed(tmp_path: Path) -> None:
    job = Job.of_op(OpSpec.parse("linear/4/out=3"))
    artifact = make_artifact(job, "onnx", 1, ArtifactFolder(tmp_path))
    contents = artifact.path.read_bytes()
    requests = [put(contents), load(contents, input_shape=[1, 4])]
    requests += [{"id": 3, "call": "time", "model": 1, "warmup": 1, "runs": 4}]
    done = subprocess.run(
        [sys.executable, "-m", "devices.worker"],
        input=b"".join(map(encode_line, requests)),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    samples = decode_line(done.stdout.splitlines()[-1])["samples_ms"]
    assert len(samples) == 4
    assert all(sample > 0 for sample in samples)
