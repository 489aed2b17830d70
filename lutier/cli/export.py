"""``lutier export``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from lutier.cli.options import json_option, quiet_option

TOLERANCE = 1e-4


@click.command(
    epilog="Example: [bold]lutier export runs/first --format onnx -o network.onnx[/bold]"
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "tflite", "torch"]),
    default="onnx",
    show_default=True,
    help="onnx: for ONNX Runtime; tflite: for LiteRT, channels last; torch: torch.export.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "int8"]),
    help="int8: quantised with training images, channels last (onnx, tflite)."
    " [dim]\\[default: as it was measured][/dim]",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="File to write."
)
@quiet_option
@json_option
def export(
    folder: Path, file_format: str, precision: str | None, output: Path, as_json: bool
) -> None:
    """Write the trained network in FOLDER as a file, checked against the torch network."""
    from devices.errors import DeviceError
    from devices.files import write_at_once
    from lutier.exporting import export_network
    from lutier.results import load_network, load_result
    from lutier.terminal import out, print_json

    result = load_result(folder)
    precision = precision or result.load_target().precision
    exported = export_network(load_network(folder, result), result, file_format, precision)
    if precision == "float32" and exported.relative_difference > TOLERANCE:
        raise DeviceError(
            f"the exported network differs by {exported.relative_difference:.1e}",
            f"at most {TOLERANCE:.0e} of the largest output is allowed; nothing was written",
        )
    write_at_once(output, exported.contents)
    if as_json:
        print_json(
            {
                "output": str(output),
                "format": file_format,
                "precision": precision,
                "bytes": len(exported.contents),
                "sha256": exported.sha256,
                "is_the_measured_file": exported.sha256 == result.artifact_sha256,
                "relative_difference": exported.relative_difference,
                "accuracy": exported.accuracy,
                "float_accuracy": exported.float_accuracy,
            }
        )
        return
    out.print(
        f"wrote {output} ({len(exported.contents) / 1e6:.2f} MB), differs from the torch network"
        f" by {exported.relative_difference:.1e} of the largest output",
        markup=False,
    )
    if exported.accuracy is not None and exported.float_accuracy is not None:
        out.print(
            f"accuracy on test images: {exported.accuracy:.1%} in int8,"
            f" {exported.float_accuracy:.1%} in float32",
            markup=False,
        )
    if exported.sha256 == result.artifact_sha256:
        out.print("it is, byte for byte, the file whose latency was measured")
