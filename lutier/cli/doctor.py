"""``lutier doctor``."""

from __future__ import annotations

import rich_click as click

from lutier.cli.options import db_option, json_option

_SIGNS = {"ok": "[green]ok[/green]  ", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}


@click.command(epilog="Example: [bold]lutier doctor[/bold]")
@db_option
@json_option
def doctor(db: str | None, as_json: bool) -> None:
    """Check this machine: packages, runtimes, load, clocks, the database; and say what to do.

    Exits with 4 where something would keep Lutier from working, with 0 otherwise.
    """
    from devices.errors import DeviceError
    from lutier.checks import run_checks
    from lutier.settings import load_settings
    from lutier.terminal import out, print_json

    findings = run_checks(load_settings({"db": db}))
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
