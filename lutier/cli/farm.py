"""``lutier profile --device android:all``."""

from __future__ import annotations

import sys

import click


def profile_every_phone(*, dry_run: bool, as_json: bool) -> None:
    """The same command once more for each phone that is ready, all at the same time.

    Exits with the code of the first phone that was not measured to the end.

    Raises:
        InputError: no phone is ready, or a dry run whose lines would be mixed up.
    """
    import json

    from devices.errors import DeviceError, InputError
    from lutier.farm import profile_all, worst
    from lutier.terminal import err, out, print_json

    if dry_run and not as_json:
        raise InputError("android:all with --dry-run", "the lines of several", "--dry-run --json")
    words = words_again(click.get_current_context())
    if out.quiet:
        words.append("--quiet")
    outcomes = profile_all(words, lambda line: err.print(line, markup=False))
    if as_json:
        print_json(
            {
                "devices": {
                    each.device: json.loads(each.output) if each.output.strip() else None
                    for each in outcomes
                },
                "statuses": {each.device: each.status for each in outcomes},
            }
        )
    else:
        for each in outcomes:
            out.print(f"[bold]{each.device}[/bold]")
            out.print(each.output.rstrip() or f"ended with {each.status}", markup=False)
    failed = [each.device for each in outcomes if each.status != 0]
    if failed:
        trouble = DeviceError(
            f"{len(failed)} of {len(outcomes)} phones were not measured to the end",
            ", ".join(failed),
            "the same command: it measures what is missing",
        )
        err.print(f"error: {trouble}", style="red", markup=False)
        sys.exit(worst(outcomes))


def words_again(context: click.Context) -> list[str]:
    """The words of a ``lutier profile`` as it was called, but for the device."""
    words = ["profile"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name == "device" or value is None or value is False:
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [parameter.opts[0]] if each is True else [parameter.opts[0], str(each)]
    return words
