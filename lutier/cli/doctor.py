"""``lutier doctor``."""

from __future__ import annotations

import rich_click as click

from lutier.cli.options import db_option, json_option

_SIGNS = {"ok": "[green]ok[/green]  ", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}


@click.command(
    epilog="Example: [bold]lutier doctor[/bold], [bold]lutier doctor --device android[/bold]"
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="This machine, or a phone: android:SERIAL, android where only one is attached.",
)
@db_option
@json_option
def doctor(device: str, db: str | None, as_json: bool) -> None:
    """Check this machine: packages, runtimes, load, clocks, the database; and say what to do.

    Of a phone: adb, battery, heat, clocks, load, screen, and the programs that measure on it.

    Exits with 4 where something would keep Lutier from working, with 0 otherwise.
    """
    from devices.errors import DeviceError, InputError
    from devices.phone_name import KIND
    from lutier.checks import run_checks
    from lutier.settings import load_settings
    from lutier.terminal import out, print_json

    settings = load_settings({"db": db})
    kind, _, address = device.partition(":")
    if kind == KIND:
        from lutier.phone_checks import check_phone

        findings = check_phone(settings, address)
    elif device == "cpu":
        findings = run_checks(settings)
    else:
        raise InputError(
            f"device {device!r}", "only this machine and phones are looked at", "cpu or android"
        )
    if as_json:
        print_json({"checks": [finding.to_dict() for finding in findings]})
    else:
        for finding in findings:
            out.print(f"{_SIGNS[finding.verdict]} [bold]{finding.name}[/bold]: ", end="")
            out.print(finding.text, markup=False)
            if finding.advice:
                out.print(f"       {finding.advice}", markup=False)
    failed = [finding.name for finding in findings if finding.verdict == "fail"]
    if failed:
        raise DeviceError(f"{len(failed)} of {len(findings)} checks failed", ", ".join(failed))
