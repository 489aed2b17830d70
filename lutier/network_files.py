"""Networks that are given as files: what they are made of, and how long they will take."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.base import Device, GraphDevice
from devices.errors import InputError, MissingExtraError, MissingTableError
from devices.target import Target
from latency_models.kernel_model import KernelModel, NetworkPrediction
from lutier.architecture_files import read_architecture
from lutier.modelling import find_model
from lutier.settings import Settings
from profiler.jobs import Job
from profiler.kernels import KernelSpec
from profiler.kernels.graph import Kernel, take_apart
from profiler.kernels.jobs import file_job, kernel_jobs
from profiler.kernels.network_file import NetworkFile, read_network_file
from profiler.kernels.spec import LITERT, ONNXRUNTIME
from profiler.storage.database import MeasurementStore
from profiler.table import LatencyTable
from search.spaces.registry import open_space

SUFFIXES = {ONNXRUNTIME: ".onnx", LITERT: ".tflite"}
"""Of the files that a runtime loads."""


@dataclass(frozen=True)
class PredictedFile:
    """What a file is predicted to take.

    Attributes:
        path: as it was given.
        latency_ms: of the whole network; less than that where it is not complete.
        by_kernels: kernel by kernel; None for an architecture of a search space.
        measured_share: share of the time that comes from measured ops or kernels.
        regressed_share: share of it that comes from regressors.
        measured_ms: of the same file, where the table has it.
    """

    path: Path
    latency_ms: float
    by_kernels: NetworkPrediction | None
    measured_share: float
    regressed_share: float
    measured_ms: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every kernel has a price."""
        return self.by_kernels is None or self.by_kernels.is_complete


def graph_device(device: Device, target: Target) -> GraphDevice:
    """The device, if networks can be taken apart on it.

    Raises:
        InputError: they cannot.
    """
    here = target.runtime in SUFFIXES and target.device == "cpu"
    if not here or not isinstance(device, GraphDevice):
        raise InputError(
            f"networks in files cannot be taken apart on {target}",
            "only ONNX Runtime and LiteRT on this machine's CPU are known to run what is measured",
            "cpu/onnxruntime?threads=1 or cpu/litert?threads=1",
        )
    if target.precision != "float32":
        raise InputError(
            f"networks in files are not quantised for {target}",
            "they are measured as they are",
            "the quantised file, and a target without a precision"
            if target.runtime == ONNXRUNTIME
            else "a float32 file, and a target without a precision",
        )
    return device


def open_network(
    path: Path, device: GraphDevice, target: Target
) -> tuple[NetworkFile, list[Kernel]]:
    """Read a file that the target's runtime loads, and take it apart.

    Raises:
        InputError: no such file, a file of another format, or a batch that is not the target's.
        ArtifactError: a file that cannot be used.
        MissingExtraError: files of this format cannot be read.
    """
    wanted = SUFFIXES[target.runtime]
    if path.suffix.lower() != wanted:
        others = [each for each, suffix in SUFFIXES.items() if suffix == path.suffix.lower()]
        raise InputError(
            f"{path} is no {wanted} file by its name",
            f"{target.runtime} loads {wanted} files",
            f"the target {target.device}/{others[0]}?threads={target.threads}" if others else "",
        )
    if target.runtime == LITERT:
        try:
            from profiler.kernels.tflite_file import read_tflite_file
            from profiler.kernels.tflite_kernels import take_apart_tflite
        except ImportError as error:
            raise MissingExtraError(
                "TFLite files cannot be read", str(error), "pip install 'lutier[litert]'"
            ) from error
        read, apart = read_tflite_file, take_apart_tflite
    else:
        read, apart = read_network_file, take_apart
    network = read(path)
    for name, shape in network.inputs.items():
        if shape and shape[0] != target.batch:
            raise InputError(
                f"{path} takes batches of {shape[0]}",
                f"its input {name[:80]} is of shape {'x'.join(map(str, shape))}, and the target"
                f" {target} has batch {target.batch}",
                f"a target with batch={shape[0]}",
            )
    return network, apart(network, device, target)


def model_jobs(paths: Sequence[Path], device: Device, target: Target) -> list[Job]:
    """The jobs of measuring networks in files, and the kernels that they are made of.

    Raises:
        InputError: as :func:`open_network`; no kernel at all can be cut out.
    """
    if not paths:
        return []
    jobs: list[Job] = []
    specs: dict[KernelSpec, None] = {}
    shows = graph_device(device, target)
    for path in paths:
        network, kernels = open_network(path, shows, target)
        known = [kernel.spec for kernel in kernels if kernel.spec is not None]
        specs |= dict.fromkeys(known)
        # A network with kernels that cannot be cut out calibrates nothing.
        jobs.append(file_job(network, known if len(known) == len(kernels) else ()))
    return [*jobs, *kernel_jobs(specs, target.runtime)]


def table_of_kernels(
    store: MeasurementStore, target: Target, paths: Iterable[Path]
) -> LatencyTable:
    """The table of a target.

    Raises:
        MissingTableError: there is none, with the command that measures these files.
    """
    try:
        return LatencyTable.load(store, target)
    except MissingTableError as error:
        raise MissingTableError(error.what, error.why, measuring(target, paths)) from error


def measuring(target: Target, paths: Iterable[Path]) -> str:
    """The command that measures what files need."""
    files = " ".join(f"--model {shlex.quote(str(path))}" for path in paths)
    return f"lutier profile {target.flags} {files}"


def predict_file(
    path: Path, device: Device, target: Target, model: KernelModel, table: LatencyTable
) -> PredictedFile:
    """Predict a network in a file that the target's runtime loads.

    Raises:
        InputError: as :func:`open_network`.
    """
    network, kernels = open_network(path, graph_device(device, target), target)
    found = model.predict(kernels)
    return PredictedFile(
        path,
        found.latency_ms,
        found,
        found.share("measured"),
        found.share("regressed"),
        table.networks.get(network.key),
    )


def predict_result(
    path: Path, settings: Settings, target: Target, table: LatencyTable
) -> PredictedFile:
    """Predict a network of a space, by the model of that space.

    Args:
        path: a ``result.json``, the folder it lies in, or a file of ``lutier spaces -o``.
        settings: where models are.
        target: what to predict for.
        table: of that target.

    Raises:
        InputError: no such file, or no network in it.
        MissingModelError: no model was fitted to the space of the network.
        MissingEntryError: an op that was neither measured nor can be regressed.
    """
    architecture = read_architecture(path)
    space = open_space(architecture.space)
    model, _ = find_model(settings, table, target, space.name)
    ops = [op for op in space.ops(architecture) if not op.is_free]
    latency_ms = float(model.predict_ms([ops])[0])
    prices_ms = model.op_model.predict_ms(ops)
    measured = sum(ms for op, ms in zip(ops, prices_ms.tolist(), strict=True) if op in table)
    # Sums of the same numbers in another order may differ in the last digit.
    share = min(measured / float(prices_ms.sum()), 1.0)
    measured_ms = table.networks.get(architecture.id)
    return PredictedFile(path, latency_ms, None, share, 1 - share, measured_ms)
