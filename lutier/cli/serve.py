"""``lutier serve``."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from lutier.cli.options import db_option, json_option


@click.command(epilog="Example: [bold]lutier serve --runs runs[/bold]")
@click.option(
    "--runs",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of results to show, e.g. runs after searches with --out runs/NAME.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen. Beyond this machine a token is needed.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8421,
    show_default=True,
    help="Port; 0 takes any that is free.",
)
@click.option(
    "--token",
    envvar="LUTIER_SERVE_TOKEN",
    help="What a browser has to bring. Made where it is needed and not given. "
    "[dim]Also: LUTIER_SERVE_TOKEN.[/dim]",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="A further name that browsers know this machine by; may be repeated.",
)
@db_option
@json_option
def serve(
    folder: Path | None,
    host: str,
    port: int,
    token: str | None,
    names: tuple[str, ...],
    db: str | None,
    as_json: bool,
) -> None:
    """Show the database in a browser: devices, tables, runs, what differs between two tables.

    Nothing can be changed from there. It listens on this machine alone until --host says
    otherwise. Ctrl-C ends it.
    """
    from lutier.serve.running import (
        check_folder,
        choose_token,
        door_of,
        listen,
        require_server,
        run,
    )
    from lutier.settings import load_settings
    from lutier.storage import open_reader
    from lutier.terminal import err, out, print_json

    require_server()
    from lutier.serve.app import Site, make_app
    from lutier.serve.runs import Results

    settings = load_settings({"db": db})
    results = None if folder is None else Results(check_folder(folder))
    with open_reader(settings) as store:
        listener = listen(host, port)
        with listener.socket:
            needed = choose_token(token, is_loopback=listener.is_loopback)
            door = door_of(listener, needed, names)
            app = make_app(Site(store, settings, db, results), door)
            # A token that was given is known to whoever gave it, and is shown to nobody.
            made = needed if token is None else None
            url = f"{listener.url}?token={made}" if made else listener.url
            if as_json:
                print_json({"url": url, "db": settings.shown_db, "needs_token": needed is not None})
                sys.stdout.flush()
            else:
                out.print(f"{settings.shown_db} at {url} (Ctrl-C ends it)", markup=False)
            if not listener.is_loopback:
                err.print(
                    "note: pages and token travel unencrypted; docs/serve.md says how they"
                    " need not",
                    style="yellow",
                    markup=False,
                )
            try:
                run(app, listener)
            except KeyboardInterrupt:
                err.print("stopped", markup=False)
