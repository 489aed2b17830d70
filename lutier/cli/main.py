"""The ``lutier`` command."""

from __future__ import annotations

import os
import sys

import rich_click as click

from devices.errors import LutierError
from lutier import __version__
from lutier.cli.demo import demo
from lutier.cli.devices import devices
from lutier.cli.doctor import doctor
from lutier.cli.export import export
from lutier.cli.fit import fit
from lutier.cli.plot import plot
from lutier.cli.predict import predict
from lutier.cli.profiling import profile
from lutier.cli.report import report
from lutier.cli.search import search
from lutier.cli.spaces import spaces
from lutier.cli.table import table
from lutier.cli.transfer import transfer
from lutier.cli.verify import verify

INTERRUPTED = 130
click.rich_click.TEXT_MARKUP = "rich"


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
        cli.main(args=words, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
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
