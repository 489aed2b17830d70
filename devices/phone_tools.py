"""The programs that measure on a phone: one for each runtime, given by whoever owns the phone."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from devices import benchmark_model, perf_test
from devices.errors import ArtifactError, InputError
from devices.target import Target

MOST_SECONDS = 300.0
"""Longest time for the timed runs of one visit."""
_ELF = b"\x7fELF"
_MACHINES = {
    3: ("x86",),
    40: ("armeabi-v7a", "armeabi"),
    62: ("x86_64",),
    183: ("arm64-v8a",),
    243: ("riscv64",),
}


class Figure(Protocol):
    """What one run of a tool tells."""

    @property
    def figure_ms(self) -> float:
        """The latency in ms."""

    @property
    def mean_ms(self) -> float:
        """Their mean in ms."""

    @property
    def statistic(self) -> str:
        """What the latency is of the timed inferences: their median, or their mean."""


class Tool(Protocol):
    """A program that times a model file on a phone."""

    @property
    def name(self) -> str:
        """Of the program."""

    @property
    def artifact_format(self) -> str:
        """Of the files it loads."""

    @property
    def variable(self) -> str:
        """Environment variable that names its file on this machine."""

    @property
    def source(self) -> str:
        """Where to get it."""

    @property
    def delegates(self) -> Sequence[str]:
        """Names of those it can be asked for."""

    def flags(
        self, model: str, target: Target, *, warmup: int, runs: int, profiling: bool = False
    ) -> list[str]:
        """Arguments of one run of a model on the phone; with each operation timed, if asked."""

    def parse(self, text: str, target: Target, *, runs: int, status: int) -> Figure:
        """The figures of one run; errors as of the parsers."""


@dataclass(frozen=True)
class BenchmarkModel:
    """TFLite's and LiteRT's ``benchmark_model``.

    Args:
        dialect: which of the two programs it is.
    """

    dialect: benchmark_model.Dialect = "tflite"
    name: str = "benchmark_model"
    artifact_format: str = "tflite"
    variable: str = "LUTIER_BENCHMARK_MODEL"
    source: str = (
        "https://www.tensorflow.org/lite/performance/measurement: the native benchmark binary,"
        " android_aarch64_benchmark_model"
    )
    delegates: tuple[str, ...] = ("xnnpack", "none", "gpu", "nnapi", "hexagon")

    def flags(
        self, model: str, target: Target, *, warmup: int, runs: int, profiling: bool = False
    ) -> list[str]:
        """Arguments of one run."""
        if profiling:
            return benchmark_model.profiling_flags(
                model,
                threads=target.threads,
                warmup=warmup,
                runs=runs,
                delegate=target.delegate,
                max_seconds=MOST_SECONDS,
            )
        return benchmark_model.measuring_flags(
            model,
            threads=target.threads,
            warmup=warmup,
            runs=runs,
            delegate=target.delegate,
            max_seconds=MOST_SECONDS,
            dialect=self.dialect,
        )

    def parse(self, text: str, target: Target, *, runs: int, status: int) -> Figure:
        """The figures of one run."""
        return benchmark_model.parse_run(text, delegate=target.delegate, status=status, runs=runs)


@dataclass(frozen=True)
class PerfTest:
    """ONNX Runtime's ``onnxruntime_perf_test``, on the CPU."""

    name: str = "onnxruntime_perf_test"
    artifact_format: str = "onnx"
    variable: str = "LUTIER_PERF_TEST"
    source: str = (
        "build ONNX Runtime with --android (https://onnxruntime.ai/docs/build/android.html): it is"
        " among what is built"
    )
    delegates: tuple[str, ...] = ("xnnpack",)

    def flags(
        self, model: str, target: Target, *, warmup: int, runs: int, profiling: bool = False
    ) -> list[str]:
        """Arguments of one run. It warms up once, however often it is asked to.

        Raises:
            InputError: it is to time operations, which it does not.
        """
        if profiling:
            raise InputError(f"{self.name} does not time single operations", hint="runtime litert")
        return perf_test.measuring_flags(model, threads=target.threads, runs=runs)

    def parse(self, text: str, target: Target, *, runs: int, status: int) -> Figure:
        """The figures of one run."""
        return perf_test.parse_run(text, runs=runs, status=status)


TOOLS: Mapping[str, Tool] = MappingProxyType(
    {"litert": BenchmarkModel(), "onnxruntime": PerfTest()}
)
"""The tool of each runtime."""


def tool_in(path: Path, tool: Tool) -> Tool:
    """The tool that a file is: two programs are called ``benchmark_model``, told by their flags."""
    if isinstance(tool, BenchmarkModel):
        contents = path.read_bytes()
        if b"require_full_delegation" in contents and b"use_xnnpack" not in contents:
            return BenchmarkModel(dialect="litert", delegates=("xnnpack", "gpu"))
    return tool


def check_binary(path: Path, abi: str, tool: Tool) -> None:
    """Refuse a file that the phone cannot run, before it is sent there.

    Args:
        path: on this machine.
        abi: of the phone, such as ``arm64-v8a``.
        tool: what it is taken for.

    Raises:
        InputError: no such file.
        ArtifactError: not a program, or of another kind of processor.
    """
    try:
        with path.open("rb") as file:
            start = file.read(20)
    except OSError as error:
        raise InputError(
            f"cannot read {tool.name} at {path}", error.strerror or str(error), tool.source
        ) from error
    if not start.startswith(_ELF) or len(start) < 20:
        raise ArtifactError(f"{path} is no program", _what_it_is(path, start), tool.source)
    machine = int.from_bytes(start[18:20], "little" if start[5] == 1 else "big")
    built_for = _MACHINES.get(machine, (f"processor number {machine}",))
    if abi not in built_for:
        raise ArtifactError(
            f"{path} is built for {built_for[0]}", f"the phone is {abi}", tool.source
        )


def _what_it_is(path: Path, start: bytes) -> str:
    if not start:
        return "it is empty"
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                is_apk = "AndroidManifest.xml" in archive.namelist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            return "it is a damaged zip"
        return "it is an app (APK), not a native binary" if is_apk else "it is a zip: unpack it"
    if start.startswith(b"#!"):
        return "it is a script"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return "it is a text, perhaps a web page saved in its place"
    return "it has not the form of a Linux program"
