"""Guard: who may see the pages, and what a browser may do with them."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from lutier.serve.query import address

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "token"  # noqa: S105 - the name of the parameter
ASSETS = "/assets/"
"""What is below it holds nothing of the store, and may be seen by anyone."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What a browser may run and load: files of this server, nothing within a page."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "vary": "Accept, Cookie, Authorization",
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
_MOST_QUERY = 20_000


@dataclass(frozen=True)
class Door:
    """Who may come in.

    Attributes:
        names: names that a browser may know this server by, in lower case.
        any_address: whether it may also know it by any numeric address. A page of somebody else
            that has its own name point here (DNS rebinding) cannot use one.
        token: what a browser has to know; ``None`` where nothing.
        cookie: name of the cookie that shows it knew.
    """

    names: frozenset[str]
    any_address: bool = False
    token: str | None = None
    cookie: str = "lutier"

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower()
        if name in self.names:
            return True
        return self.any_address and is_address(name)

    @property
    def pass_value(self) -> str:
        """The value of the cookie: the token cannot be told from it."""
        token = (self.token or "").encode()
        return hmac.new(token, b"lutier serve", hashlib.sha256).hexdigest()

    def takes(self, token: str) -> bool:
        """Whether this is the token; takes as long whatever is wrong with it."""
        return hmac.compare_digest(token.encode(), (self.token or "").encode())

    def takes_pass(self, value: str) -> bool:
        """Whether this is the value of the cookie."""
        return hmac.compare_digest(value.encode(), self.pass_value.encode())


def is_address(name: str) -> bool:
    """Whether a host is a numeric address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Guard:
    """Everything that comes in passes here, and every answer leaves with :data:`HEADERS`.

    Args:
        app: what answers those who may come in.
        door: who may.
        welcome: the page for who brought the token; told the address to go on to.
        refusal: the page for who did not.
    """

    def __init__(
        self,
        app: ASGIApp,
        door: Door,
        welcome: Callable[[str], Response],
        refusal: Callable[[], Response],
    ) -> None:
        self._app = app
        self._door = door
        self._welcome = welcome
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def leave(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._objection(scope) or self._app)(scope, receive, leave)

    def _objection(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._door.knows(hosts[0]):
            return PlainTextResponse(
                "This server is not known by that name. Use the address that lutier serve"
                " printed, or start it with --allow-host NAME.\n",
                421,
            )
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Nothing can be changed here.\n", 405, {"allow": "GET, HEAD"})
        if len(scope["query_string"]) > _MOST_QUERY:
            return PlainTextResponse("The address is too long.\n", 414)
        if self._door.token is None or scope["path"].startswith(ASSETS):
            return None
        return self._stranger(scope, headers)

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """What is said to who has not shown the token before; ``None`` to who has."""
        door = self._door
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in pairs if name == TOKEN]
        if tokens:
            if len(tokens) > 1 or not door.takes(tokens[0]):
                return self._refusal()
            others = {name: value for name, value in pairs if name != TOKEN}
            answer = self._welcome(address(scope["path"], **others))
            # A redirection would come from whatever page the link stood on, and a strict cookie
            # does not go along with it; the page that is shown instead is of this server.
            answer.set_cookie(door.cookie, door.pass_value, httponly=True, samesite="strict")
            return answer
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and door.takes(given.strip()):
            return None
        passes = _cookies(headers.getlist("cookie"), door.cookie)
        return None if any(map(door.takes_pass, passes)) else self._refusal()


def _cookies(lines: Sequence[str], name: str) -> list[str]:
    found = []
    for line in lines:
        for part in line.split(";"):
            try:
                cookie = SimpleCookie(part.strip())
            except CookieError:
                continue
            if name in cookie:
                found.append(cookie[name].value)
    return found
