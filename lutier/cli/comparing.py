"""``lutier table coverage`` and ``lutier table diff``."""

from __future__ import annotations

import rich_click as click

from lutier.cli.completers import complete_target
from lutier.cli.options import db_option, json_option, space_option

_SHOWN = 10


@click.command(
    epilog=(
        "Example: [bold]lutier table coverage --space mobile-tiny "
        "--target 'cpu/onnxruntime?threads=1'[/bold]"
    )
)
@space_option
@click.option(
    "--target",
    required=True,
    metavar="TARGET",
    help="TARGET or TARGET@ENVIRONMENT_ID.",
    shell_complete=complete_target,
)
@db_option
@json_option
def coverage(space_name: str, target: str, db: str | None, as_json: bool) -> None:
    """Say which ops of a space are measured, and which only a regressor could answer for."""
    from lutier.coverage import cover
    from lutier.settings import load_settings
    from lutier.tables import TableName, find_table
    from lutier.terminal import out, print_json
    from search.spaces.registry import open_space

    space = open_space(space_name)
    name = TableName.parse(target)
    table = find_table(load_settings({"db": db}), target)
    found = cover(table, name.target, space)
    if as_json:
        print_json(found.to_dict())
        return
    out.print(
        f"{len(found.measured)} of {found.total} ops of {found.space} are in the table of"
        f" {found.target}, and {found.networks} of its networks",
        markup=False,
    )
    _list("only by regressor", list(found.regressed))
    _list("missing", [f"{key}: {reason}" for key, reason in found.missing.items()])
    if found.command:
        out.print(f"next: {found.command}", markup=False)


@click.command(
    epilog=(
        "Example: [bold]lutier table diff 'cpu/onnxruntime?threads=1' laptop-in-may.json[/bold]"
    )
)
@click.argument("first", metavar="A", shell_complete=complete_target)
@click.argument("second", metavar="B", shell_complete=complete_target)
@db_option
@click.option("--other-db", metavar="URL", help="Database of B, where it is another one.")
@json_option
def diff(first: str, second: str, db: str | None, other_db: str | None, as_json: bool) -> None:
    """Compare two tables: how much the whole machine differs, and which ops differ from that.

    A and B are each TARGET, TARGET@ENVIRONMENT_ID, or a file of lutier table export. An op is
    flagged where its intervals stay apart once the difference of the machine is taken out, and it
    differs from the others by more than 5 % and three times the split-half errors.
    """
    from devices.errors import InputError
    from lutier.settings import load_settings
    from lutier.tables import find_table
    from lutier.terminal import out, print_json
    from profiler.diff import diff_tables

    if first == second and other_db in (None, db):
        raise InputError(
            f"{first} and {second} are one and the same table",
            hint="TARGET@ENVIRONMENT_ID, or --other-db URL",
        )
    before = find_table(load_settings({"db": db}), first)
    after = find_table(load_settings({"db": other_db or db}), second)
    found = diff_tables(before, after)
    if as_json:
        print_json(found.to_dict())
        return
    out.print(f"{found.first}\n{found.second}", markup=False)
    for line in found.environment:
        out.print(f"  differs: {line}", markup=False)
    out.print(
        f"the second takes {found.ratio:.3f} times as long as the first"
        f" (median of {len(found.changes)} rows)"
    )
    if len(found.flagged) == 0:
        out.print("no op differs from that by more than the noise")
    for change in found.flagged:
        doubt = "" if change.apart else " (no interval is known)"
        out.print(
            f"  {change.change:+.1%} beside the others: {change.key},"
            f" {change.first_ms:.4f} -> {change.second_ms:.4f} ms{doubt}",
            markup=False,
        )
    _list("only in the first", list(found.only_first))
    _list("only in the second", list(found.only_second))


def _list(word: str, lines: list[str]) -> None:
    from lutier.terminal import out

    if lines:
        out.print(f"  {word}: {len(lines)}", markup=False)
    for line in lines[:_SHOWN]:
        out.print(f"    {line}", markup=False)
    if len(lines) > _SHOWN:
        out.print(f"    and {len(lines) - _SHOWN} more; --json lists all")
