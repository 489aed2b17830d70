"""``lutier doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from lutier.cli.completers import complete_device, complete_part
from lutier.cli.options import db_option, json_option, quiet_option

if TYPE_CHECKING:
    from lutier.checks import Finding

_SIGNS = {
    "ok": "[green]ok[/green]  ",
    "warn": "[yellow]warn[/yellow]",
    "none": "[dim]none[/dim]",
    "fail": "[red]fail[/red]",
}
_INDENT = 6


@click.command(
    epilog="Example: [bold]lutier doctor[/bold], [bold]lutier doctor --device android[/bold],"
    " [bold]lutier doctor --for report[/bold]"
)
@click.option(
    "--device",
    metavar="DEVICE",
    help="Look at this device: cpu, cuda:0, android:SERIAL (android where only one is attached),"
    " ssh:HOST, replay:FILE. [dim]\\[default: cpu][/dim]",
    shell_complete=complete_device,
)
@click.option(
    "--for",
    "parts",
    multiple=True,
    metavar="NAME",
    help="Look at this extra or runtime alone, e.g. report. Repeatable.",
    shell_complete=complete_part,
)
@db_option
@quiet_option
@json_option
def doctor(device: str | None, parts: tuple[str, ...], db: str | None, as_json: bool) -> None:
    """Check this machine or a device, and say what to type where something is missing.

    Of this machine: packages, settings, database, load, clocks, runtimes, GPU, programs, extras.
    Of a phone: adb, battery, heat, clocks, load, screen, and the programs that measure on it.

    Exits with 3 where what was asked for with --device or --for is missing, with 4 where something
    would keep Lutier from working, with 0 otherwise.
    """
    from devices.errors import DeviceError, MissingError
    from lutier.asked_checks import check_device, check_part
    from lutier.settings import load_settings
    from lutier.terminal import print_json

    settings = load_settings({"db": db})
    asked = [finding for part in parts for finding in check_part(settings, part)]
    findings = list(asked)
    if device is not None or not parts:
        findings += check_device(settings, device or "cpu")
        asked += [each for each in findings if each.name.startswith("device ")]
    if as_json:
        print_json({"checks": [finding.to_dict() for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    if missing := [finding for finding in asked if finding.verdict == "none"]:
        first = missing[0]
        others = f"; missing too: {', '.join(each.name for each in missing[1:])}"
        raise MissingError(
            f"{first.name} is missing",
            first.text + (others if missing[1:] else ""),
            "; ".join(finding.advice for finding in missing if finding.advice),
        )
    failed = [finding.name for finding in findings if finding.verdict == "fail"]
    if failed:
        raise DeviceError(f"{len(failed)} of {len(findings)} checks failed", ", ".join(failed))


def _print(finding: Finding) -> None:
    """One finding, and below it what to type, which stays in one piece."""
    from lutier.terminal import out, print_hanging

    sign = _SIGNS[finding.verdict]
    print_hanging(f"{sign}  ", f"{finding.name}: {finding.text}", _INDENT)
    if finding.advice:
        out.print(f"{' ' * _INDENT}{finding.advice}", markup=False)
