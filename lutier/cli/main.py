"""The ``lutier`` command."""

from __future__ import annotations

import os
import sys

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from devices.errors import LutierError
from lutier import __version__
from lutier.cli.completion import completion
from lutier.cli.demo import demo
from lutier.cli.devices import devices
from lutier.cli.doctor import doctor
from lutier.cli.export import export
from lutier.cli.fit import fit
from lutier.cli.init import init
from lutier.cli.plot import plot
from lutier.cli.predict import predict
from lutier.cli.profiling import profile
from lutier.cli.report import report
from lutier.cli.search import search
from lutier.cli.serve import serve
from lutier.cli.spaces import spaces
from lutier.cli.table import table
from lutier.cli.transfer import transfer
from lutier.cli.verify import verify

INTERRUPTED = 130
click.rich_click.TEXT_MARKUP = "rich"
# Two columns: long names and what they mean fit beside each other in 80 characters.
click.rich_click.OPTIONS_TABLE_COLUMN_TYPES = ["required", "opt_all", "help"]
click.rich_click.OPTIONS_TABLE_HELP_SECTIONS = [
    "help",
    "default",
    "required",
    "envvar",
    "metavar",
    "deprecated",
]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with [bold]lutier demo[/bold].",
)
@click.version_option(__version__, prog_name="lutier")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Measure a device, model its latency, and find the most accurate network within a budget.

    The usual order: [bold]profile[/bold] the device, [bold]fit[/bold] the model,
    [bold]search[/bold] under a budget, [bold]verify[/bold] and [bold]export[/bold] the result.

    \b
    Exit codes: 0 done, 2 usage, 3 something needed is missing, 4 device trouble,
    5 no network meets the budget, 6 measurements not trustworthy, 130 interrupted.
    """


for _command in (
    init,
    completion,
    devices,
    doctor,
    spaces,
    profile,
    table,
    fit,
    predict,
    transfer,
    search,
    verify,
    export,
    report,
    plot,
    serve,
    demo,
):
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    words = sys.argv[1:] if arguments is None else arguments
    # Training threads that spin while they wait take the core from whoever else needs it: beside
    # one busy process a step of training takes many times as long. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in words
    try:
        cli.main(args=words, prog_name="lutier", standalone_mode=False)
        sys.stdout.flush()
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        from lutier.terminal import err

        err.print(f"error: {_in_one_line(error)}", style="red", markup=False)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read the output has seen enough: nothing more goes there, and click says 1 too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        from lutier.terminal import err

        err.print("interrupted; what was measured is stored, the same command goes on")
        sys.exit(INTERRUPTED)
    except LutierError as error:
        from lutier.terminal import err

        if debug:
            err.print_exception()
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(error.exit_code)


def _in_one_line(error: click.ClickException) -> str:
    """What click says of what was typed, and where it is explained."""
    said = " ".join(error.format_message().split())
    said += "" if said.endswith((".", "?")) else "."
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{said} Try: {context.command_path} --help" if context else said
