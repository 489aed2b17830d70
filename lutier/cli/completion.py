"""``lutier completion``."""

from __future__ import annotations

import rich_click as click
from click.shell_completion import get_completion_class

VARIABLE = "_LUTIER_COMPLETE"
"""What a shell sets to ask for completions; click's name for the program ``lutier``."""


@click.command(
    epilog=(
        "Example: [bold]lutier completion bash > "
        "~/.local/share/bash-completion/completions/lutier[/bold]"
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete commands, options and names.

    Names are those of spaces, devices, runtimes, data and scores, and the targets that there is
    a table of.

    \b
    bash  > ~/.local/share/bash-completion/completions/lutier
    zsh   > a file _lutier in a folder of $fpath
    fish  > ~/.config/fish/completions/lutier.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"This version of click knows no completion for {shell}.")
    click.echo(kind(context.find_root().command, {}, "lutier", VARIABLE).source())
