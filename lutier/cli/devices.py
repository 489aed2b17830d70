"""``lutier devices``."""

from __future__ import annotations

import rich_click as click

from lutier.cli.options import json_option


@click.command(epilog="Example: [bold]lutier devices --json[/bold]")
@json_option
def devices(as_json: bool) -> None:
    """List the devices that can be measured, and their runtimes."""
    from devices.environment import host_facts
    from devices.errors import MissingExtraError
    from devices.host import HostDevice
    from devices.registry import device_names
    from lutier.terminal import out, print_json

    host = HostDevice()
    runtimes: dict[str, str | None] = {}
    for runtime in host.runtimes:
        try:
            runtimes[runtime] = host.runtime_version(runtime)
        except MissingExtraError:
            runtimes[runtime] = None
    facts = host_facts()
    if as_json:
        print_json(
            {
                "devices": [{"device": "cpu", "facts": facts, "runtimes": runtimes}],
                "kinds": list(device_names()),
            }
        )
        return
    versions = ", ".join(
        f"{name} {version}" if version else f"{name} (not installed)"
        for name, version in runtimes.items()
    )
    out.print(f"[bold]cpu[/bold]          {facts['chip']}, {facts['cores']} cores")
    out.print(f"             runtimes: {versions}")
    out.print("[bold]cuda:N[/bold]       an NVIDIA GPU of this machine, by its number")
    out.print("[bold]replay:FILE[/bold]  answers from a recording (lutier table record)")
    out.print("[bold]ssh:HOST[/bold]     another Linux machine with Lutier on it, through OpenSSH")
    others = [name for name in device_names() if name not in ("cpu", "cuda", "replay", "ssh")]
    for name in others:
        out.print(f"[bold]{name}:...[/bold]  a plug-in", markup=True)
    out.print("\nMeasure one with: lutier profile --device cpu --space mobile-tiny")
