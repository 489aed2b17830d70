"""Listening at an address until someone ends it."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from lutier.serve.guard import Door

PORT = 8421
LEAST_TOKEN = 16
MOST_CONNECTIONS = 100
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,200}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


def require_server() -> Any:
    """The server's package.

    Raises:
        MissingExtraError: it is not installed, or Starlette is not.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed",
            "pages are served by it",
            "pip install 'lutier[serve]'",
        ) from error
    return uvicorn


@dataclass(frozen=True)
class Listener:
    """A socket that listens.

    Attributes:
        host: as it was asked for.
        socket: bound.
    """

    host: str
    socket: socket.socket

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The numeric address it is bound to."""
        return ipaddress.ip_address(str(self.socket.getsockname()[0]).partition("%")[0])

    @property
    def port(self) -> int:
        """The port it is bound to."""
        return int(self.socket.getsockname()[1])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.address.is_loopback

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        host = socket.gethostname() if self.address.is_unspecified else self.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.port}/"


def listen(host: str, port: int) -> Listener:
    """Take a port.

    Args:
        host: a name or numeric address of this machine.
        port: from 0 to 65535; 0 takes any that is free.

    Raises:
        InputError: no such host, not one of this machine, or the port cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InputError(f"no host {host[:80]!r}", str(error)[:200], "--host 127.0.0.1") from error
    # Where a name stands for several addresses, the one that most programs try first.
    family, kind, protocol, _, place = min(found, key=lambda each: each[0] != socket.AF_INET)
    taken = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(place)
        # Bound alone, two could hold one port; the second is refused when it listens.
        taken.listen(128)
    except OSError as error:
        taken.close()
        raise _refused(host, port, error) from error
    return Listener(host, taken)


def _refused(host: str, port: int, error: OSError) -> InputError:
    what = f"cannot listen at {host}, port {port}"
    if error.errno == errno.EADDRINUSE:
        return InputError(what, "the port is taken", f"--port {port + 1}, or --port 0 for any")
    if error.errno in (errno.EACCES, errno.EPERM):
        return InputError(what, "this user may not", f"--port {PORT}")
    if error.errno == errno.EADDRNOTAVAIL:
        return InputError(
            what, "it is no address of this machine", "--host 127.0.0.1, or 0.0.0.0 for all"
        )
    return InputError(what, str(error)[:200])


def choose_token(given: str | None, *, is_loopback: bool) -> str | None:
    """The token that a browser has to bring; ``None`` where it needs none.

    Raises:
        InputError: one that is too short, or that cannot stand in an address.
    """
    if given is None:
        return None if is_loopback else secrets.token_urlsafe(32)
    if not _TOKEN.fullmatch(given):
        raise InputError(
            "this token cannot be used",
            f"it needs {LEAST_TOKEN} to 200 letters, digits or any of . _ ~ -",
            "lutier serve without --token on a public address makes one",
        )
    return given


def door_of(listener: Listener, token: str | None, more: Collection[str] = ()) -> Door:
    """Who may come in: by names of this machine only, since others could be anybody's.

    Args:
        listener: where it listens.
        token: what has to be brought.
        more: further names that browsers know this machine by.

    Raises:
        InputError: one of ``more`` is no name of a host.
    """
    from lutier.serve.guard import Door, is_address

    for name in more:
        if not (_NAME.fullmatch(name) or is_address(name)):
            raise InputError(f"--allow-host {name[:80]!r} is no name of a host")
    names = {"localhost", "127.0.0.1", "[::1]"}
    names |= {_as_host(name) for name in (listener.host, str(listener.address), *more)}
    is_everywhere = listener.address.is_unspecified
    if is_everywhere:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    # A cookie is for a host whatever the port: two servers must not overwrite each other's.
    return Door(frozenset(names), is_everywhere, token, f"lutier-{listener.port}")


def _as_host(name: str) -> str:
    return f"[{name}]".lower() if ":" in name else name.lower()


def run(app: ASGIApp, listener: Listener) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those under way.

    Raises:
        KeyboardInterrupt: after SIGINT.
    """
    uvicorn = require_server()
    config = uvicorn.Config(
        app,
        # No line for each request: what is in an address, a token too, stays out of files.
        access_log=False,
        log_config=None,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http="h11",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=32_768,
        timeout_graceful_shutdown=5,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener.socket])
    finally:
        listener.socket.close()


def check_folder(folder: Path) -> Path:
    """A folder of results, whole.

    Raises:
        InputError: it is none.
    """
    if not folder.is_dir():
        raise InputError(
            f"--runs {folder} is no folder", "a folder of results is served", "--runs runs"
        )
    return folder.resolve()
