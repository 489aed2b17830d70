"""What TensorFlow's ``benchmark_model`` prints: its lines, figures and tables, in two dialects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_PARAMETERS = """\
verbose|bool|0|Log parameter values verbosely
num_runs|int|50|Min num runs
min_secs|float|1|Min runs duration (seconds)
max_secs|float|150|Max runs duration (seconds)
run_delay|float|-1|Inter-run delay (seconds)
run_frequency|float|-1|Number of prorated runs per second
num_threads|int|-1|Num threads
use_caching|bool|0|Use caching
benchmark_name|str||Benchmark name
output_prefix|str||Output prefix
warmup_runs|int|1|Min warmup runs
warmup_min_secs|float|0.5|Min warmup runs duration (seconds)
dry_run|bool|0|Run w/o invoking kernels
report_peak_memory_footprint|bool|0|Report the peak memory footprint
memory_footprint_check_interval_ms|int|50|Memory footprint check interval (ms)
graph|str||Graph
signature_to_run_for|str||Signature to run
input_layer|str||Input layers
input_layer_shape|str||Input shapes
input_layer_value_range|str||Input value ranges
input_layer_value_files|str||Input value files
allow_fp16|bool|0|Allow fp16
require_full_delegation|bool|0|Require full delegation
enable_op_profiling|bool|0|Enable op profiling
op_profiling_output_mode|str|stdout|Op profiling output mode.
op_profiling_output_file|str||Op profiling output file.
max_profiling_buffer_entries|int|1024|Max initial profiling buffer entries
allow_dynamic_profiling_buffer_increase|bool|0|Allow dynamic increase on profiling buffer entries
profiling_output_csv_file|str||CSV File to export profiling data to
print_preinvoke_state|bool|0|Print pre-invoke interpreter state
print_postinvoke_state|bool|0|Print post-invoke interpreter state
release_dynamic_tensors|bool|0|Release dynamic tensor memory
optimize_memory_for_large_tensors|int|0|Optimize memory usage for large tensors
disable_delegate_clustering|bool|0|Disable delegate clustering
output_filepath|str||File path to export outputs layer to
help|bool|0|print out all supported flags
num_threads|int|-1|#threads used for CPU inference
max_delegated_partitions|int|0|Max number of delegated partitions
min_nodes_per_partition|int|0|Min nodes per partition
delegate_serialize_dir|str||Directory for delegate serialization
delegate_serialize_token|str||Model-specific token/key for delegate serialization.
external_delegate_path|str||External delegate path
external_delegate_options|str||External delegate options
use_gpu|bool|0|Use gpu
gpu_precision_loss_allowed|bool|1|Allow lower precision in gpu
gpu_experimental_enable_quant|bool|1|Enable running quant models in gpu
gpu_inference_for_sustained_speed|bool|0|Prefer maximizing the throughput in gpu
gpu_backend|str||GPU backend
use_hexagon|bool|0|Use Hexagon
hexagon_lib_path|str|/data/local/tmp|Hexagon lib path
hexagon_profiling|bool|0|Hexagon profiling
use_nnapi|bool|0|Use NNAPI
use_xnnpack|bool|0|Use xnnpack
xnnpack_force_fp16|bool|0|xnnpack_force_fp16
xnnpack_weight_cache_file_path|str||xnnpack_weight_cache_file_path
"""
"""Flag, type, default and what it is called, in the order in which they are listed."""

_ALWAYS = ("verbose", "graph", "signature_to_run_for")
"""Flags that are listed whether they were given or not."""


@dataclass(frozen=True)
class Flags:
    """The flags of one run.

    Attributes:
        given: value of each that was given and is known.
        unknown: arguments that are no known flag.
    """

    given: dict[str, str]
    unknown: tuple[str, ...]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Flags:
        """Read ``--name=value`` arguments.

        Raises:
            ValueError: a value is not of the flag's type.
        """
        types = {line.split("|")[0]: line.split("|")[1] for line in _PARAMETERS.splitlines()}
        given, unknown = {}, []
        for argument in arguments:
            name, _, value = argument.removeprefix("--").partition("=")
            if not argument.startswith("--") or name not in types:
                unknown.append(argument)
                continue
            if types[name] == "bool":
                value = {"true": "1", "1": "1", "": "1", "false": "0", "0": "0"}[value]
            elif types[name] == "int":
                value = str(int(value))
            elif types[name] == "float":
                value = number(float(value))
            given[name] = value
        return cls(given, tuple(unknown))

    def text(self, name: str) -> str:
        """Value of a flag, or its default."""
        if name in self.given:
            return self.given[name]
        return next(
            line.split("|")[2] for line in _PARAMETERS.splitlines() if line.startswith(f"{name}|")
        )

    def number(self, name: str) -> float:
        """The same as a number."""
        return float(self.text(name))

    def on(self, name: str) -> bool:
        """The same as a yes or no."""
        return self.text(name) == "1"

    def lines(self) -> list[str]:
        """How they are listed: those that were given, or all of them with ``--verbose``."""
        lines = []
        for line in _PARAMETERS.splitlines():
            name, _, _, label = line.split("|")
            if name in self.given or name in _ALWAYS or self.on("verbose"):
                lines.append(f"{label}: [{self.text(name)}]")
        return lines


def number(value: float) -> str:
    """A number as C++ streams print it: six digits."""
    return f"{value:g}"


def mean(samples: Sequence[int]) -> float:
    """Mean of some samples; 0 where there are none, as the program has it."""
    return sum(samples) / len(samples) if samples else 0.0


def figures(samples_us: Sequence[int], *, percentiles: bool) -> str:
    """The line of figures about some runs, in microseconds."""
    count = len(samples_us)
    if not count:
        return "count=0" + (" p5=0 median=0 p95=0" if percentiles else "")
    first, newest, least, most = samples_us[0], samples_us[-1], min(samples_us), max(samples_us)
    if least == most:
        text = f"count={count} curr={newest}" + ("(all same)" if count > 1 else "")
    else:
        average = mean(samples_us)
        variance = mean([sample * sample for sample in samples_us]) - average * average
        text = (
            f"count={count} first={first} curr={newest} min={least} max={most}"
            f" avg={number(average)} std={int(math.sqrt(max(variance, 0.0)))}"
        )
    if percentiles:
        ranked = sorted(samples_us)
        p5, median, p95 = (ranked[count * percent // 100] for percent in (5, 50, 95))
        text += f" p5={p5} median={median} p95={p95}"
    return text


def parsed(line: str) -> dict[str, float]:
    """The figures of such a line."""
    pairs = (word.split("=") for word in line.replace("(all same)", "").split())
    return {name: float(value) for name, value in pairs}


def table(kind: str, name: str, samples_us: Sequence[int]) -> str:
    """The tables of a profile in which only one thing was timed.

    Args:
        kind: of what was timed.
        name: of it.
        samples_us: of each time.
    """
    first, average = samples_us[0] / 1000, mean(samples_us) / 1000
    head = "\t".join(
        ["", f"{'[node type]':>40}", f"{'[first]':>9}", f"{'[avg ms]':>9}", f"{'[%]':>8}",
         f"{'[cdf%]':>8}", f"{'[mem KB]':>10}", "[times called]", "[Name]"]
    )  # fmt: skip
    row = "\t".join(
        ["", f"{kind:>40}", f"{first:>9.3f}", f"{average:>9.3f}", "100.000%", "100.000%",
         f"{0:>10.3f}", f"{1:>9}", name]
    )  # fmt: skip
    kinds = "\t".join(
        ["", f"{'[Node type]':>40}", f"{'[count]':>9}", f"{'[avg ms]':>10}", f"{'[avg %]':>11}",
         f"{'[cdf %]':>11}", f"{'[mem KB]':>10}", "[times called]"]
    )  # fmt: skip
    of_kind = "\t".join(
        ["", f"{kind:>40}", f"{1:>9}", f"{average:>10.3f}", f"{'100.000%':>11}",
         f"{'100.000%':>11}", f"{0:>10.3f}", f"{1:>9}"]
    )  # fmt: skip
    return "\n".join(
        [_title("Run Order"), head, row, "", _title("Top by Computation Time"), head, row, "",
         "Number of nodes executed: 1", _title("Summary by node type"), kinds, of_kind, "",
         f"Timings (microseconds): {figures(samples_us, percentiles=False)}",
         "Memory (bytes): count=0", "1 nodes observed", "", "", ""]
    )  # fmt: skip


def _title(words: str) -> str:
    return f"{'=' * 30} {words} {'=' * 30}"
