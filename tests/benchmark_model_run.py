"""One run of ``benchmark_model``: a model timed in LiteRT, and told of as the real program does."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_model_text import Flags, figures, mean, number, parsed, table

OUT, ERR = b"1", b"2"
_NOTE = (
    "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE"
    " to the actual memory footprint of the model at runtime. Take the information at your"
    " discretion."
)


@dataclass(frozen=True)
class BenchmarkRun:
    """One run of the program.

    Attributes:
        arguments: that it was given.
        graph_sha256: of the model file; empty where there was none.
        num_runs: how many runs it was asked for at least.
        warmup: figures that were printed of the warm-up, in microseconds, as they were printed.
        stats: figures that were printed of the timed runs; empty where it came to none.
        status: that it ended with.
    """

    arguments: tuple[str, ...]
    graph_sha256: str
    num_runs: int
    warmup: dict[str, float]
    stats: dict[str, float]
    status: int


class KilledError(Exception):
    """A signal has ended the program."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


class Run:
    """One run, on its way.

    Args:
        here: folder that it runs in.
        arguments: of the command line.
        send: has something printed: :data:`OUT` or :data:`ERR`, and the text.
        stop: whether nobody is interested any more.
        old: whether it is of an old build.
        dies_by: signal that kills it before the timed runs; 0 for none.
    """

    def __init__(
        self,
        here: Path,
        arguments: Sequence[str],
        *,
        send: Callable[[bytes, str], None],
        stop: Callable[[], bool],
        old: bool,
        dies_by: int,
    ) -> None:
        self.here = here
        self.arguments = tuple(arguments)
        self.send = send
        self.stop = stop
        self.old = old
        self.dies_by = dies_by
        self.contents = b""
        self.num_runs = 0
        self.phases: list[list[int]] = []

    def record(self, status: int) -> BenchmarkRun:
        """What has come of it."""
        warmup, stats = (
            parsed(figures(phase, percentiles=not self.old)) if phase else {}
            for phase in [*self.phases, [], []][:2]
        )
        sha256 = hashlib.sha256(self.contents).hexdigest() if self.contents else ""
        return BenchmarkRun(self.arguments, sha256, self.num_runs, warmup, stats, status)

    def whole(self) -> int:
        """Run it; its status."""
        self.say("STARTING!")
        try:
            flags = Flags.parse(self.arguments)
        except (KeyError, ValueError):
            return self.fail("Failed to parse the command line")
        if flags.unknown:
            self.say(f"Unconsumed cmdline flags: {' '.join(flags.unknown)}", "WARN")
        if not flags.text("graph"):
            return self.fail("Please specify the name of your TF Lite input file with --graph")
        self.num_runs = int(flags.number("num_runs"))
        for line in flags.lines():
            self.say(line)
        nnapi = flags.on("use_nnapi")
        if nnapi:
            self.send(ERR, "\nnnapi error: unable to open library libneuralnetworks.so\n")
        wrong = self.open_graph(flags.text("graph"))
        if wrong:
            return self.fail(*wrong, f"Failed to load model {flags.text('graph')}")
        self.say(f"Loaded model {flags.text('graph')}")
        if flags.number("num_threads") < -1:
            return self.fail(
                "num_threads should be >= 0 or just -1 to let TFLite runtime set the value.",
                "Failed to set thread number",
            )
        self.log("Initialized TensorFlow Lite runtime.")
        if flags.text("external_delegate_path"):
            self.say("EXTERNAL delegate created.")
            raise KilledError(11)
        if flags.on("use_gpu"):
            return self.fail_on_gpu()
        if nnapi:
            self.say("NNAPI acceleration is unsupported on this platform.", "WARN")
        if flags.on("use_hexagon"):
            self.say(
                "Could not create Hexagon delegate: platform may not support delegate or required"
                " libraries are missing",
                "WARN",
            )
        return self.measure(flags)

    def open_graph(self, name: str) -> tuple[str, ...]:
        """Read the model file; what is wrong with it."""
        try:
            self.contents = (self.here / name).read_bytes()
        except OSError:
            return (f"Could not open '{name}'.", "The model allocation is null/empty")
        from ai_edge_litert.interpreter import Interpreter

        wrong = ("The model is not a valid Flatbuffer buffer",)
        # Of a file of another kind some versions crash.
        if self.contents[4:8] != b"TFL3":
            return wrong
        try:
            Interpreter(model_content=self.contents)
        except ValueError:
            return wrong
        return ()

    def measure(self, flags: Flags) -> int:
        """Load the model and time it."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        asked = flags.given.get("use_xnnpack")
        xnnpack = asked == "1" or (asked is None and not self.old)
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        peak_kb = _peak_kb()
        start = time.perf_counter_ns()
        interpreter = Interpreter(
            model_content=self.contents,
            num_threads=max(1, int(flags.number("num_threads"))),
            experimental_op_resolver_type=OpResolverType.AUTO if xnnpack else plain,
        )
        created = time.perf_counter_ns()
        interpreter.allocate_tensors()
        init_us, allocate_us = _us_since(start), _us_since(created)
        ready_kb = _peak_kb()
        if xnnpack:
            self.tell_of_xnnpack(interpreter, explicit=asked == "1")
        self.say(f"The input model file size (MB): {number(len(self.contents) / 1e6)}")
        self.say(f"Initialized session in {number(init_us / 1000)}ms.")
        max_secs = flags.number("max_secs")
        invoke = _invocation(interpreter)
        for runs, secs in (("warmup_runs", "warmup_min_secs"), ("num_runs", "min_secs")):
            if flags.on("dry_run"):
                self.phase(invoke, 0, -1, max_secs)
            else:
                self.phase(invoke, int(flags.number(runs)), flags.number(secs), max_secs)
        warmup, timed = self.phases
        self.say(
            f"Inference timings in us: Init: {init_us}, First inference: {[*warmup, 0][0]},"
            f" Warmup (avg): {number(mean(warmup))}, Inference (avg): {number(mean(timed))}"
        )
        self.say(_NOTE)
        init_mb, all_mb = ((kb - peak_kb) / 1024 for kb in (ready_kb, _peak_kb()))
        self.say(
            "Memory footprint delta from the start of the tool (MB):"
            f" init={number(init_mb)} overall={number(all_mb)}"
        )
        if flags.on("enable_op_profiling") and timed:
            self.say("Profiling Info for Benchmark Initialization:")
            self.send(OUT, table("AllocateTensors", "AllocateTensors/0", [allocate_us]) + "\n")
            self.say("Operator-wise Profiling Info for Regular Benchmark Runs:")
            self.send(OUT, table(*_whole_run(interpreter), timed) + "\n")
        return 0

    def phase(
        self, invoke: Callable[[], int], min_runs: int, min_secs: float, max_secs: float
    ) -> None:
        """Time runs until there are enough of them, for long enough."""
        self.say(
            f"Running benchmark for at least {min_runs} iterations and at least {number(min_secs)}"
            f" seconds but terminate if exceeding {number(max_secs)} seconds."
        )
        if self.dies_by and self.phases:
            raise KilledError(self.dies_by)
        samples: list[int] = []
        start = now = time.perf_counter()
        while (len(samples) < min_runs or now - start < min_secs) and now - start <= max_secs:
            samples.append(invoke())
            now = time.perf_counter()
            if self.stop():
                raise BrokenPipeError
        self.phases.append(samples)
        self.say(figures(samples, percentiles=not self.old) + "\n")

    def tell_of_xnnpack(self, interpreter: Any, *, explicit: bool) -> None:
        """Say how much of the model it runs."""
        covered, nodes, partitions = _coverage(interpreter)
        self.log("Created TensorFlow Lite XNNPACK delegate for CPU.")
        if explicit:
            self.say("XNNPACK delegate created.")
        if partitions and self.old:
            self.log(
                f"Replacing {covered} node(s) with delegate (TfLiteXNNPackDelegate) node, yielding"
                f" {partitions} partitions."
            )
        elif partitions:
            self.log(
                f"Replacing {covered} out of {nodes} node(s) with delegate (TfLiteXNNPackDelegate)"
                f" node, yielding {partitions} partitions for subgraph 0.",
                "VERBOSE",
            )
        if explicit and partitions:
            extent = "completely" if covered == nodes else "partially"
            self.say(
                f"Explicitly applied XNNPACK delegate, and the model graph will be {extent}"
                " executed by the delegate."
            )

    def fail_on_gpu(self) -> int:
        """What comes of asking for a GPU where there is no driver."""
        nodes = _coverage(_plain(self.contents))[1]
        self.log("Created TensorFlow Lite delegate for GPU.")
        self.say("GPU delegate created.")
        self.log(
            f"Replacing {nodes} out of {nodes} node(s) with delegate (TfLiteGpuDelegateV2) node,"
            " yielding 1 partitions for subgraph 0.",
            "VERBOSE",
        )
        for line in (
            "Can not open OpenCL library on this device - /data/local/tmp/benchmark_model:"
            " undefined symbol: clEnqueueReleaseEGLObjectsKHR",
            "Falling back to OpenGL",
            "TfLiteGpuDelegate Init: EGL error: 0: eglBindAPI in"
            " tensorflow/lite/delegates/gpu/gl/egl_environment.cc:68",
        ):
            self.log(line, "ERROR")
        self.log("Created 0 GPU delegate kernels.")
        self.log("TfLiteGpuDelegate Prepare: delegate is not initialized", "ERROR")
        self.log(f"Node number {nodes} (TfLiteGpuDelegateV2) failed to prepare.", "ERROR")
        restored = "Restored original execution plan after delegate application failure."
        self.log(restored, "ERROR")
        return self.fail("Failed to apply GPU delegate.")

    def fail(self, *lines: str) -> int:
        """Say why it does not work; the status."""
        for line in (*lines, "Benchmarking failed."):
            self.say(line, "ERROR")
        return 1

    def say(self, line: str, level: str = "INFO") -> None:
        """Print a line of the tool's own."""
        prefix = "" if self.old else f"{level}: "
        self.send(ERR if level == "ERROR" else OUT, f"{prefix}{line}\n")

    def log(self, line: str, level: str = "INFO") -> None:
        """Print a line of the runtime's, which always says how grave it is."""
        self.send(ERR, f"{level}: {line}\n")


def _invocation(interpreter: Any) -> Callable[[], int]:
    """Runs the model on random values; how many microseconds that took."""
    generator = np.random.default_rng(0)
    inputs = []
    for entry in interpreter.get_input_details():
        values = generator.uniform(-0.5, 0.5, tuple(entry["shape"]))
        if np.dtype(entry["dtype"]).kind in "iu":
            values = np.rint(values * 200 + (100 if np.dtype(entry["dtype"]).kind == "u" else 0))
        inputs.append((int(entry["index"]), values.astype(entry["dtype"])))

    def invoke() -> int:
        for index, values in inputs:
            interpreter.set_tensor(index, values)
        start = time.perf_counter_ns()
        interpreter.invoke()
        return _us_since(start)

    return invoke


def _us_since(start_ns: int) -> int:
    # The program reads a clock of whole microseconds, before and after.
    return time.perf_counter_ns() // 1000 - start_ns // 1000


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _plain(contents: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(model_content=contents, experimental_op_resolver_type=plain)


def _coverage(interpreter: Any) -> tuple[int, int, int]:
    """How many nodes a delegate runs, how many there are, and in how many parts."""
    ops = interpreter._get_ops_details()
    delegates = [op for op in ops if op["op_name"] == "DELEGATE"]
    nodes = [op for op in ops if op["op_name"] != "DELEGATE"]
    makers = {int(tensor): n for n, op in enumerate(nodes) for tensor in op["outputs"]}
    covered: set[int] = set()
    for delegate in delegates:
        given = set(map(int, delegate["inputs"]))
        todo = list(map(int, delegate["outputs"]))
        while todo:
            maker = makers.get(todo.pop())
            if maker is not None and maker not in covered:
                covered.add(maker)
                todo += [int(tensor) for tensor in nodes[maker]["inputs"] if tensor not in given]
    return len(covered), len(nodes), len(delegates)


def _whole_run(interpreter: Any) -> tuple[str, str]:
    """Type and name of the one thing in a run that can be timed from here: all of it."""
    covered, nodes, partitions = _coverage(interpreter)
    output = interpreter.get_output_details()[0]["name"]
    if covered == nodes and partitions == 1:
        return "TfLiteXNNPackDelegate", f"[{output}]:{nodes}"
    if nodes == 1:
        return str(interpreter._get_ops_details()[0]["op_name"]), f"[{output}]:0"
    return "Invoke", "Invoke/0"
