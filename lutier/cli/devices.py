"""``lutier devices``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.options import json_option

if TYPE_CHECKING:
    from devices.phone_status import PhoneStatus

_INDENT = 13
_BUILT_IN = ("android", "cpu", "cuda", "replay", "ssh")


@click.command(
    epilog="Example: [bold]lutier devices --json[/bold],"
    " [bold]lutier devices --connect 192.0.2.7:5555[/bold]"
)
@click.option(
    "--connect", "address", metavar="HOST:PORT", help="Connect to a phone over Wi-Fi first."
)
@click.option(
    "--pair",
    nargs=2,
    metavar="HOST:PORT CODE",
    help="Pair with a phone over Wi-Fi first, by the address and code that it shows.",
)
@json_option
def devices(address: str | None, pair: tuple[str, str] | None, as_json: bool) -> None:
    """List the devices that can be measured, and their runtimes."""
    from devices.cuda import gpu_names
    from devices.environment import host_facts
    from devices.errors import MissingExtraError
    from devices.host import HostDevice
    from devices.registry import device_names
    from lutier.terminal import out, print_hanging, print_json

    host = HostDevice()
    runtimes: dict[str, str | None] = {}
    for runtime in host.runtimes:
        try:
            runtimes[runtime] = host.runtime_version(runtime)
        except MissingExtraError:
            runtimes[runtime] = None
    facts = host_facts()
    gpus = gpu_names() if runtimes["torch"] else {}
    phones, trouble = _phones(address, pair)
    if as_json:
        print_json(
            {
                "devices": [{"device": "cpu", "facts": facts, "runtimes": runtimes}],
                "gpus": [{"device": device, "chip": name} for device, name in gpus.items()],
                "phones": [_as_json(phone) for phone in phones],
                "phones_trouble": trouble,
                "kinds": list(device_names()),
            }
        )
        return
    versions = ", ".join(
        f"{name} {version}" if version else f"{name} (not installed)"
        for name, version in runtimes.items()
    )
    print_hanging("[bold]cpu[/bold]          ", f"{facts['chip']}, {facts['cores']} cores", _INDENT)
    print_hanging(" " * _INDENT, f"runtimes: {versions}", _INDENT)
    for device, name in gpus.items():
        out.print(f"[bold]{device:12s}[/bold] {name}")
    for phone in phones:
        _print_phone(phone)
    if not phones:
        print_hanging("[bold]android[/bold]      ", trouble, _INDENT)
    if not gpus:
        out.print("[bold]cuda:N[/bold]       an NVIDIA GPU of this machine, by its number")
    out.print("[bold]replay:FILE[/bold]  answers from a recording (lutier table record)")
    out.print("[bold]ssh:HOST[/bold]     another Linux machine with Lutier on it, through OpenSSH")
    others = [name for name in device_names() if name not in _BUILT_IN]
    for name in others:
        out.print(f"[bold]{name}:...[/bold]  a plug-in", markup=True)
    out.print("\nMeasure one with: lutier profile --device cpu --space mobile-tiny")


def _phones(address: str | None, pair: tuple[str, str] | None) -> tuple[list[PhoneStatus], str]:
    """The phones that are attached; where there are none, why."""
    from devices.adb import Adb
    from devices.errors import MissingExtraError
    from devices.phone_status import look_at

    try:
        adb = Adb.find()
    except MissingExtraError as error:
        if address or pair:
            raise
        return [], f"phones need adb: {error.hint}"
    if pair:
        adb.pair(*pair)
    if address:
        adb.connect(address)
    found = [look_at(adb, phone) for phone in adb.devices()]
    hint = "none is attached: switch on USB debugging (Developer options) and plug one in"
    return found, "" if found else hint


def _as_json(phone: PhoneStatus) -> dict[str, Any]:
    return {
        "device": phone.device,
        "serial": phone.serial,
        "state": phone.state,
        "trouble": phone.trouble[0],
        "advice": phone.trouble[1],
        "facts": phone.facts,
        "battery_percent": phone.battery.percent if phone.battery else None,
        "battery_temperature_c": phone.battery.temperature_c if phone.battery else None,
        "temperature_c": phone.heat.skin_c if phone.heat else None,
        "thermal_status": phone.heat.status if phone.heat else None,
    }


def _print_phone(phone: PhoneStatus) -> None:
    from lutier.terminal import out, print_hanging

    facts = phone.facts
    words = [facts.get("model", "a phone"), facts.get("chip", "")]
    if "android" in facts:
        words.append(f"Android {facts['android']}")
    words.append(facts.get("abi", ""))
    head = f"[bold]android:[/bold]{phone.serial}  "
    print_hanging(head, ", ".join(word for word in words if word), _INDENT)
    state = [phone.state]
    if phone.heat and phone.heat.skin_c == phone.heat.skin_c:
        state.append(f"{phone.heat.skin_c:.0f} C")
    if phone.battery:
        state.append(f"battery {phone.battery.percent} %")
    state.append(f"kept as {phone.device}")
    print_hanging(" " * _INDENT, ", ".join(state), _INDENT)
    what, advice = phone.trouble
    if what:
        print_hanging(" " * _INDENT, f"in the way: {what}. {advice}", _INDENT)
    else:
        out.print(f"             next: lutier doctor --device android:{phone.serial}", markup=False)
