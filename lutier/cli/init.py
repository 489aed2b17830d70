"""``lutier init``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from lutier.cli.options import json_option, quiet_option


@click.command(epilog="Example: [bold]lutier init[/bold]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write."
    " [dim]\\[default: lutier.toml in this folder, where settings are looked for][/dim]",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there already.")
@quiet_option
@json_option
def init(output: Path | None, force: bool, as_json: bool) -> None:
    """Write a settings file that names every setting, its default, and what it does.

    All of it is commented out, so it changes nothing until a # is taken away.
    """
    from lutier.settings import FILE_NAME, Settings
    from lutier.settings_file import write_settings
    from lutier.terminal import err, out, print_json

    path = output or Path(FILE_NAME)
    write_settings(path, force=force)
    if as_json:
        print_json({"file": str(path), "settings": list(Settings.model_fields)})
        return
    out.print(f"wrote {path}: {len(Settings.model_fields)} settings with their defaults")
    if path.name != FILE_NAME:
        err.print(
            f"note: settings are read from {FILE_NAME} in the folder where a command is run",
            style="yellow",
            markup=False,
        )
