"""``lutier predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.options import db_option, json_option, seed_option, target_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devices.target import Target
    from latency_models.kernel_model import KernelLatency
    from lutier.network_files import PredictedFile
    from lutier.settings import Settings
    from profiler.table import LatencyTable

_SHOWN = 5


@click.command(
    epilog=(
        "Example: [bold]lutier predict --target 'cpu/onnxruntime?threads=1' network.onnx[/bold]"
    )
)
@target_option
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option("--kernels", "show_kernels", is_flag=True, help="List every kernel with its price.")
@seed_option
@db_option
@json_option
def predict(
    target: str,
    files: tuple[Path, ...],
    show_kernels: bool,
    seed: int | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Predict how long networks take, without running them in full rounds.

    FILE is an ONNX file of any network (with LiteRT a TFLite file), which is taken apart into the
    kernels that the runtime makes of it; or the result.json of a search, priced by the model of its
    space. A kernel that was
    neither measured nor is near enough to measured ones has no price: the command then says what
    is missing, and exits with 3.
    """
    from devices.errors import InputError, MissingEntryError
    from devices.target import Target
    from lutier.network_files import SUFFIXES, measuring
    from lutier.settings import load_settings
    from lutier.terminal import print_json

    settings = load_settings({"db": db, "seed": seed})
    wanted = Target.parse(target)
    for path in files:
        if path.suffix.lower() not in (*SUFFIXES.values(), ".json") and not path.is_dir():
            raise InputError(
                f"{path} cannot be predicted",
                "what can be are .onnx and .tflite files and the result.json of a search",
                "export the network to ONNX or TFLite",
            )
    table, found = _predict_all(settings, wanted, files, quiet=as_json)
    if as_json:
        print_json(_document(table, found))
    else:
        _print(table, found, show_kernels=show_kernels)
    lacking = [each for each in found if not each.is_complete]
    if lacking:
        unknown = {
            f"{kernel.kind} ({kernel.objection})": None
            for each in lacking
            if each.by_kernels
            for kernel in each.by_kernels.unknown
        }
        more = f"; and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise MissingEntryError(
            f"{len(lacking)} of {len(found)} predictions lack kernels, and are too low",
            "; ".join(list(unknown)[:_SHOWN]) + more,
            measuring(wanted, [each.path for each in lacking]),
        )


def _predict_all(
    settings: Settings, target: Target, files: Sequence[Path], *, quiet: bool
) -> tuple[LatencyTable, list[PredictedFile]]:
    from contextlib import nullcontext

    from latency_models.kernel_model import KernelModel
    from lutier.network_files import SUFFIXES, predict_file, predict_result, table_of_kernels
    from lutier.opening import open_measured
    from lutier.progress import Bar
    from lutier.storage import open_store
    from lutier.terminal import err

    found = []
    with open_store(settings) as store:
        table = table_of_kernels(store, target, files)
    model = KernelModel.fit(table, settings.seed)
    # What a search found is priced without the device: a phone need not be attached.
    are_networks = [path.suffix.lower() in SUFFIXES.values() for path in files]
    with (
        open_measured(settings, target) if any(are_networks) else nullcontext() as device,
        Bar("predicting", len(files), quiet=quiet) as bar,
    ):
        if device is not None and device.environment(target).id != table.environment_id:
            err.print(
                "warning: the table was measured in another environment than this one"
                f" ({table.environment_id})",
                style="yellow",
                markup=False,
            )
        for done, (path, is_network) in enumerate(zip(files, are_networks, strict=True), start=1):
            if device is not None and is_network:
                found.append(predict_file(path, device, target, model, table))
            else:
                found.append(predict_result(path, settings, target, table))
            bar.update(done)
    return table, found


def _document(table: LatencyTable, found: Sequence[PredictedFile]) -> dict[str, Any]:
    return {
        "target": table.target,
        "environment_id": table.environment_id,
        "table_digest": table.digest,
        "networks": [
            {
                "file": str(each.path),
                "predicted_ms": each.latency_ms,
                "complete": each.is_complete,
                "measured_ms": each.measured_ms,
                "reservation": each.by_kernels.reservation if each.by_kernels else "",
                "share_measured": each.measured_share,
                "share_regressed": each.regressed_share,
                "kernels": [vars(kernel) for kernel in each.by_kernels.kernels]
                if each.by_kernels
                else None,
            }
            for each in found
        ],
    }


def _print(table: LatencyTable, found: Sequence[PredictedFile], *, show_kernels: bool) -> None:
    from lutier.terminal import out

    out.print(
        f"{'predicted':>13}  {'measured':>8} {'regressed':>9} {'unknown':>7}  network", markup=False
    )
    for each in found:
        unknown = len(each.by_kernels.unknown) if each.by_kernels else 0
        out.print(
            f"{'' if each.is_complete else '>':1}{each.latency_ms:9.4f} ms "
            f" {each.measured_share:8.0%} {each.regressed_share:9.0%} {unknown:7d}  {each.path}",
            markup=False,
        )
        if each.measured_ms is not None:
            out.print(f"{each.measured_ms:10.4f} ms  when it was measured itself", markup=False)
        if each.by_kernels and each.by_kernels.reservation:
            out.print(f"  uncertain: {each.by_kernels.reservation}", markup=False)
        if show_kernels and each.by_kernels:
            for kernel in each.by_kernels.kernels:
                out.print(_line(kernel), markup=False)
    if any(not each.is_complete for each in found):
        out.print("> lower bound: kernels without a price are left out", markup=False)


def _line(kernel: KernelLatency) -> str:
    price = "         ?" if kernel.latency_ms is None else f"{kernel.latency_ms:10.4f}"
    return f"  {price} ms  {kernel.source:9s}  {kernel.key or kernel.kind}"
