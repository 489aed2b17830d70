"""Programs that measure on phones: the wrong file is refused before it is sent, with what it is."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.errors import ArtifactError, InputError, LutierError, UnparsableOutputError
from devices.phone_tools import TOOLS, BenchmarkModel, PerfTest, check_binary, tool_in
from devices.target import Target

ARM64, ARM, X86, X86_64, RISCV64, MIPS = 183, 40, 3, 62, 243, 8
TFLITE = BenchmarkModel()
ORT = PerfTest()
TARGET = Target.make("android:a", "litert", {"threads": 2})
BENCHMARK_MODEL_SAID = """\
INFO: STARTING!
INFO: Loaded model /data/local/tmp/lutier/models/a.tflite
VERBOSE: Replacing 7 out of 7 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 \
partitions for subgraph 0.
INFO: Initialized session in 8.125ms.
INFO: Running benchmark for at least 5 iterations and at least 0 seconds but terminate if \
exceeding 300 seconds.
INFO: count=5 first=9120 curr=4310 min=4290 max=9120 avg=5127.5 std=1786 p5=4290 median=4322 \
p95=9120

INFO: Running benchmark for at least 20 iterations and at least 0 seconds but terminate if \
exceeding 300 seconds.
INFO: count=20 first=4302 curr=4288 min=4251 max=4977 avg=4321.65 std=104 p5=4257 median=4299 \
p95=4560

INFO: Inference timings in us: Init: 8125, First inference: 9120, Warmup (avg): 5127.5, \
Inference (avg): 4321.65
"""
PERF_TEST_SAID = """\
Session creation time cost: 0.0213125 s
First inference time cost: 3 ms
Total inference time cost: 0.049364 s
Total inference requests: 20
Average inference time cost: 2.4682 ms
Total inference run time: 0.0494 s
Number of inferences per second: 404.852
Avg CPU usage: 45 %
Min Latency: 0.00231 s
Max Latency: 0.00412 s
P50 Latency: 0.00243 s
P90 Latency: 0.00262 s
P95 Latency: 0.0028 s
P99 Latency: 0.00412 s
P999 Latency: 0.00412 s
"""


def elf(
    machine: int, *, bits: int = 64, order: Literal["little", "big"] = "little", rest: bytes = b""
) -> bytes:
    """The header of a Linux program for a kind of processor, and what comes behind it."""
    identity = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1 if order == "little" else 2, 1])
    shared_object = (3).to_bytes(2, order)
    return identity.ljust(16, b"\0") + shared_object + machine.to_bytes(2, order) + rest


def write(folder: Path, data: bytes) -> Path:
    path = folder / "benchmark_model"
    path.write_bytes(data)
    return path


def archive(folder: Path, *names: str) -> Path:
    path = folder / "benchmark_model"
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return path


# The file


@pytest.mark.parametrize(
    ("data", "abi"),
    [
        (elf(ARM64), "arm64-v8a"),
        (elf(ARM, bits=32), "armeabi-v7a"),
        (elf(ARM, bits=32), "armeabi"),
        (elf(X86, bits=32), "x86"),
        (elf(X86_64), "x86_64"),
        (elf(RISCV64), "riscv64"),
        (elf(ARM64, order="big"), "arm64-v8a"),
        (elf(ARM64, rest=b"\0" * 999), "arm64-v8a"),
    ],
)
def test_a_program_for_the_phone_is_taken(tmp_path: Path, data: bytes, abi: str) -> None:
    check_binary(write(tmp_path, data), abi, TFLITE)


@pytest.mark.parametrize(
    ("machine", "abi", "built_for"),
    [
        (X86_64, "arm64-v8a", "x86_64"),
        (ARM, "arm64-v8a", "armeabi-v7a"),
        (ARM64, "armeabi-v7a", "arm64-v8a"),
        (ARM64, "x86_64", "arm64-v8a"),
        (MIPS, "arm64-v8a", "processor number 8"),
        (ARM64, "unknown", "arm64-v8a"),
    ],
)
def test_a_program_for_another_processor_is_refused(
    tmp_path: Path, machine: int, abi: str, built_for: str
) -> None:
    with pytest.raises(ArtifactError, match=f"is built for {built_for}: the phone is {abi}"):
        check_binary(write(tmp_path, elf(machine)), abi, TFLITE)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it is empty"),
        (b"#!/system/bin/sh\nexit 0\n", "it is a script"),
        (b"Not Found\n", "it is a text, perhaps a web page"),
        (b"<!DOCTYPE html>\r\n<html><body>Sign in</body></html>", "perhaps a web page"),
        (b"\xcf\xfa\xed\xfe" + b"\0" * 60, "it has not the form of a Linux program"),
        (elf(ARM64)[:19], "it has not the form of a Linux program"),
        (b"PK\x03\x04" + b"\0" * 60, "it has not the form of a Linux program"),
    ],
    ids=["empty", "script", "text", "html", "program of a Mac", "cut program", "cut zip"],
)
def test_what_is_no_program_is_refused_with_what_it_is(
    tmp_path: Path, data: bytes, what: str
) -> None:
    path = write(tmp_path, data)
    with pytest.raises(ArtifactError, match=what) as caught:
        check_binary(path, "arm64-v8a", TFLITE)
    assert str(path) in caught.value.what


def test_a_zip_is_to_be_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="it is a zip: unpack it"):
        check_binary(archive(tmp_path, "benchmark_model"), "arm64-v8a", TFLITE)


def test_an_app_is_no_program(tmp_path: Path) -> None:
    path = archive(tmp_path, "classes.dex", "AndroidManifest.xml", "lib/arm64-v8a/libx.so")
    with pytest.raises(ArtifactError, match=r"it is an app \(APK\), not a native binary"):
        check_binary(path, "arm64-v8a", TFLITE)


def test_a_damaged_zip_is_refused_like_any_other(tmp_path: Path) -> None:
    path = archive(tmp_path, "benchmark_model")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02")] = 0
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="is no program"):
        check_binary(path, "arm64-v8a", TFLITE)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_file_that_is_not_there_is_refused_with_where_to_get_it(
    tmp_path: Path, tool: BenchmarkModel | PerfTest
) -> None:
    path = tmp_path / "gone"
    with pytest.raises(InputError, match=f"cannot read {tool.name} at .*gone") as caught:
        check_binary(path, "arm64-v8a", tool)
    assert caught.value.hint == tool.source


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read benchmark_model"):
        check_binary(tmp_path, "arm64-v8a", TFLITE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=64)
    | st.builds(elf, st.just(ARM64) | st.integers(0, 65535), rest=st.binary(max_size=9))
    | st.integers(0, 20).map(lambda size: elf(ARM64)[:size])
)
def test_any_file_is_taken_or_refused(tmp_path: Path, data: bytes) -> None:
    taken = True
    try:
        check_binary(write(tmp_path, data), "arm64-v8a", TFLITE)
    except ArtifactError:
        taken = False
    assert taken == (
        data[:4] == b"\x7fELF"
        and len(data) >= 20
        and int.from_bytes(data[18:20], "little") == ARM64
    )


# Which program it is


def test_the_program_of_litert_is_told_by_its_flags(tmp_path: Path) -> None:
    data = elf(ARM64, rest=b"\0use_cpu\0use_gpu\0require_full_delegation\0gpu_backend\0")
    tool = tool_in(write(tmp_path, data), TFLITE)
    assert tool.flags("m", TARGET, warmup=5, runs=20)[-1] == "--use_cpu=true"
    assert tuple(tool.delegates) == ("xnnpack", "gpu")


@pytest.mark.parametrize(
    "flags",
    [
        b"\0use_xnnpack\0use_gpu\0use_nnapi\0require_full_delegation\0",
        b"\0use_xnnpack\0use_nnapi\0",
        b"\0use_nnapi\0",
    ],
    ids=["new", "without full delegation", "old"],
)
def test_the_program_of_tensorflow_is_told_by_its_flags(tmp_path: Path, flags: bytes) -> None:
    tool = tool_in(write(tmp_path, elf(ARM64, rest=flags)), TFLITE)
    assert tool.flags("m", TARGET, warmup=5, runs=20)[-1] == "--use_xnnpack=true"
    assert "nnapi" in tool.delegates


def test_a_program_of_which_there_is_one_is_what_it_is_taken_for(tmp_path: Path) -> None:
    path = write(tmp_path, elf(ARM64, rest=b"require_full_delegation"))
    assert tool_in(path, ORT) is ORT


@pytest.mark.parametrize("delegate", ["none", "nnapi", "hexagon"])
def test_the_program_of_litert_is_not_asked_for_what_it_does_not_have(
    tmp_path: Path, delegate: str
) -> None:
    tool = tool_in(write(tmp_path, elf(ARM64, rest=b"require_full_delegation")), TFLITE)
    assert delegate not in tool.delegates
    target = Target.make("android:a", "litert", {"delegate": delegate})
    with pytest.raises(InputError, match=f"LiteRT has no delegate {delegate}"):
        tool.flags("m", target, warmup=1, runs=1)


# What is asked and what is answered


@pytest.mark.parametrize(
    ("runtime", "file_format", "variable"),
    [
        ("litert", "tflite", "LUTIER_BENCHMARK_MODEL"),
        ("onnxruntime", "onnx", "LUTIER_PERF_TEST"),
    ],
)
def test_each_runtime_has_its_program(runtime: str, file_format: str, variable: str) -> None:
    tool = TOOLS[runtime]
    assert (tool.artifact_format, tool.variable) == (file_format, variable)
    assert tool.source.partition("https://")[1]


def test_benchmark_model_is_asked_for_what_the_target_says() -> None:
    target = Target.make("android:a", "litert", {"threads": 3, "delegate": "none"})
    assert TFLITE.flags("/data/a.tflite", target, warmup=5, runs=20) == [
        "--graph=/data/a.tflite",
        "--num_threads=3",
        "--warmup_runs=5",
        "--warmup_min_secs=0",
        "--num_runs=20",
        "--min_secs=0",
        "--max_secs=300.0",
        "--use_xnnpack=false",
    ]


@pytest.mark.parametrize("delegate", TFLITE.delegates)
def test_benchmark_model_can_be_asked_for_each_of_its_delegates(delegate: str) -> None:
    target = Target.make("android:a", "litert", {"delegate": delegate})
    assert TFLITE.flags("m", target, warmup=0, runs=1)[-1].startswith("--use_")


def test_perf_test_is_asked_for_what_the_target_says() -> None:
    target = Target.make("android:a", "onnxruntime", {"threads": 3})
    flags = ORT.flags("/data/a.onnx", target, warmup=5, runs=20)
    assert flags[flags.index("-x") + 1] == "3"
    assert flags[flags.index("-r") + 1] == "20"
    assert flags[-1] == "/data/a.onnx"


@pytest.mark.parametrize(
    ("tool", "said", "figure_ms"),
    [(TFLITE, BENCHMARK_MODEL_SAID, 4.299), (ORT, PERF_TEST_SAID, 2.43)],
    ids=["benchmark_model", "perf_test"],
)
def test_the_figure_of_a_run_is_its_median(
    tool: BenchmarkModel | PerfTest, said: str, figure_ms: float
) -> None:
    figure = tool.parse(said, TARGET, runs=20, status=0)
    assert figure.figure_ms == pytest.approx(figure_ms)
    assert figure.statistic == "median"


@pytest.mark.parametrize(
    ("tool", "said"),
    [(TFLITE, BENCHMARK_MODEL_SAID), (ORT, PERF_TEST_SAID)],
    ids=["benchmark_model", "perf_test"],
)
class TestNoFigure:
    def test_of_a_run_that_failed(self, tool: BenchmarkModel | PerfTest, said: str) -> None:
        with pytest.raises(LutierError, match="exit status 1"):
            tool.parse(said, TARGET, runs=20, status=1)

    def test_of_other_runs_than_were_asked_for(
        self, tool: BenchmarkModel | PerfTest, said: str
    ) -> None:
        with pytest.raises(UnparsableOutputError, match="20"):
            tool.parse(said, TARGET, runs=21, status=0)

    def test_of_half_an_output(self, tool: BenchmarkModel | PerfTest, said: str) -> None:
        with pytest.raises(UnparsableOutputError):
            tool.parse(said[: len(said) // 2], TARGET, runs=20, status=0)


def test_a_run_of_another_delegate_is_no_figure() -> None:
    target = Target.make("android:a", "litert", {"delegate": "gpu"})
    with pytest.raises(LutierError, match="delegate gpu fell back"):
        TFLITE.parse(BENCHMARK_MODEL_SAID, target, runs=20, status=0)
