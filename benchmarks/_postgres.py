"""A PostgreSQL server for one benchmark, in a folder that is removed afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"


def find_programs() -> Path | None:
    """Folder of the newest server's programs, as Debian lays them out, or that on the path."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3])
    )
    anywhere = shutil.which("pg_ctl")
    if found:
        return found[-1].parent
    return Path(anywhere).parent if anywhere else None


@contextmanager
def throwaway_server(programs: Path) -> Iterator[str]:
    """A server of its own; gives the URL of an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="lutier-postgres-"))
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    prefix: list[str] = []
    if os.geteuid() == 0:
        # No server runs as root.
        shutil.chown(folder, "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        command = [*prefix, str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)

    try:
        run("initdb", "--auth=trust", "--username=postgres", "--no-sync")
        options = f"-p {port} -c listen_addresses={HOST} -c unix_socket_directories={folder}"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://postgres@{HOST}:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
