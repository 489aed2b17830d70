"""``lutier spaces``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from lutier.cli.completers import complete_network
from lutier.cli.options import json_option

if TYPE_CHECKING:
    from lutier.spaces import NamedNetwork
    from search.spaces.base import SearchSpace

_INDENT = 23


@click.command(
    epilog=(
        "Example: [bold]lutier spaces[/bold],"
        " [bold]lutier spaces proxyless-mobile -o network.json[/bold]"
    )
)
@click.argument("name", required=False, metavar="[SPACE|NETWORK]", shell_complete=complete_network)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the network to this file, for lutier predict and lutier table price.",
)
@json_option
def spaces(name: str | None, output: Path | None, as_json: bool) -> None:
    """List the search spaces and the networks that have a name, or show one of them.

    SPACE may have parameters, 'mobile?resolution=96&depth=2-2-2-2-2-1'. NETWORK is a name, which
    may have a resolution and classes, 'proxyless-mobile?classes=10', or an id, SPACE:CODE.
    """
    from devices.errors import InputError
    from lutier.architecture_files import write_architecture
    from lutier.spaces import NamedNetwork, sizes
    from lutier.terminal import out, print_json
    from search.spaces.registry import open_architecture, open_space

    if name is None:
        if output is not None:
            raise InputError(f"-o {output} without a network", hint="lutier spaces NETWORK -o FILE")
        _list_all(as_json)
        return
    if not _is_network(name):
        space = open_space(name)
        if output is not None:
            raise InputError(
                f"{name} is a space, not a network",
                f"it has {_count(space.size)} of them",
                f"lutier spaces '{space.name}:CODE' -o {output}",
            )
        if as_json:
            print_json({"space": space.name, **sizes(space)})
        else:
            _show_space(space)
        return
    network = NamedNetwork.of(open_architecture(name), name.partition("?")[0])
    if output is not None:
        write_architecture(output, network.architecture)
    if as_json:
        space = open_space(network.architecture.space)
        ops = [op.key for op in space.ops(network.architecture) if not op.is_free]
        written = None if output is None else str(output)
        print_json({**network.to_dict(), "ops": ops, "output": written})
        return
    _show_network(network)
    if output is not None:
        out.print(f"written to {output}", markup=False)


def _is_network(name: str) -> bool:
    """Whether a name is one of a network.

    Raises:
        UnknownNameError: it is neither of a network nor of a space.
    """
    from devices.errors import UnknownNameError
    from search.spaces.registry import architecture_names, space_names

    bare = name.partition("?")[0]
    if ":" in name or bare in architecture_names():
        return True
    if bare not in space_names():
        known = (*space_names(), *architecture_names())
        raise UnknownNameError.of("space or network", bare[:80], known)
    return False


def _list_all(as_json: bool) -> None:
    from lutier.spaces import list_networks, list_spaces
    from lutier.terminal import out, print_hanging, print_json

    found, networks = list_spaces(), list_networks()
    if as_json:
        print_json(
            {
                "spaces": [each.to_dict() for each in found],
                "networks": [each.to_dict() for each in networks],
            }
        )
        return
    out.print("spaces")
    for each in found:
        print_hanging(f"  {each.name:20s} ", each.summary or each.trouble, _INDENT)
        if each.space is None:
            continue
        given = [f"{key}={value}" for key, value in each.parameters.items() if value != ""]
        free = [key for key, value in each.parameters.items() if value == ""]
        print_hanging(
            " " * _INDENT,
            f"{_count(each.space.size)} networks, {len(each.space.widths)} choices,"
            f" {len(each.space.all_ops())} ops; {' '.join([*given, *free])}",
            _INDENT,
        )
    out.print("networks")
    for network in networks:
        text = f"{_costs(network).strip()}; {network.summary}"
        print_hanging(f"  {network.name:20s} ", text, _INDENT)


def _show_space(space: SearchSpace) -> None:
    from lutier.terminal import out
    from search.spaces.base import ChainSpace

    out.print(
        f"{space.name}: {_count(space.size)} networks, {len(space.all_ops())} ops, input"
        f" {'x'.join(map(str, space.input_shape))}, {space.classes} classes",
        markup=False,
    )
    if not isinstance(space, ChainSpace):
        least, most = min(space.widths), max(space.widths)
        among = f"{most}" if least == most else f"{least} to {most}"
        out.print(f"  {len(space.widths)} choices among {among} each, of these ops:")
        for op in space.all_ops():
            out.print(f"  {op.key}", markup=False)
        return
    for op in space.stem:
        out.print(f"  {op.key}", markup=False)
    for i, block in enumerate(space.blocks):
        (c, h, w), (oc, oh, ow) = block[0].input_shape, block[0].output_shape
        skip = ", or skipped" if any(op.is_free for op in block) else ""
        costly = sum(not op.is_free for op in block)
        out.print(f"  block {i}: {c}x{h}x{w} to {oc}x{oh}x{ow}, {costly} candidates{skip}")
    for op in space.head:
        out.print(f"  {op.key}", markup=False)


def _show_network(network: NamedNetwork) -> None:
    from lutier.terminal import out
    from search.spaces.registry import open_space

    out.print(f"{network.architecture}", markup=False)
    out.print(f"{_costs(network).strip()}", markup=False)
    for op in open_space(network.architecture.space).ops(network.architecture):
        if not op.is_free:
            out.print(f"  {op.key}", markup=False)


def _costs(network: NamedNetwork) -> str:
    return f"{network.parameters / 1e6:6.2f} M parameters {network.mega_macs:7.1f} M MACs"


def _count(number: int) -> str:
    return f"{number:,}" if number < 1_000_000_000 else f"{number:.1e}"
