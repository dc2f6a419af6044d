"""Who may come in over HTTP, and what they may do."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import os
import re
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from streamq.errors import ConfigError
from streamq.text import printable
from streamq.ui.http.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

ENV_TOKEN = "STREAMQ_TOKEN"
ENV_BASIC_AUTH = "STREAMQ_BASIC_AUTH"

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""

CHALLENGES = ('Bearer realm="streamq"', 'Basic realm="streamq", charset="UTF-8"')

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What may stand in a header as a bearer token (RFC 6750)."""


@dataclass(frozen=True)
class Access:
    """Who may come in, and what they may do.

    Attributes:
        token: comes in as ``Authorization: Bearer TOKEN``, or in a browser as the password,
            whatever the name.
        login: a name and a password, for browsers.
        read_only: nobody may change anything.
    """

    token: str | None = field(default=None, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    read_only: bool = False

    @property
    def asks(self) -> bool:
        """Whether anybody is asked who they are."""
        return self.token is not None or self.login is not None

    def admits(self, authorization: str | None) -> bool:
        """Whether the one with this ``Authorization`` header may come in."""
        if not self.asks:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        match scheme.lower():
            case "bearer":
                return self.token is not None and _same(given.strip(), self.token)
            case "basic":
                return self._knows(*_login(given.strip()))
        return False

    def _knows(self, name: str, password: str) -> bool:
        # All is compared, whatever the first comparison says: the time tells nothing.
        known = self.token is not None and _same(password, self.token)
        if self.login is not None:
            right_name, right_password = self.login
            known |= _same(name, right_name) & _same(password, right_password)
        return known


def access(
    token: str | None = None, basic_auth: str | None = None, *, read_only: bool = False
) -> Access:
    """Access by what was given, or else by ``STREAMQ_TOKEN`` and ``STREAMQ_BASIC_AUTH``.

    Args:
        token: such as 32 random characters.
        basic_auth: ``NAME:PASSWORD``.
        read_only: nobody may change anything.

    Raises:
        ConfigError: one of them cannot be used.
    """
    if token is None and basic_auth is None:
        token = os.environ.get(ENV_TOKEN) or None
        basic_auth = os.environ.get(ENV_BASIC_AUTH) or None
    if token is not None and not _TOKEN.fullmatch(token):
        raise ConfigError(
            "the token cannot be used: give letters, digits and -._~+/ without spaces, such as "
            "what openssl rand -hex 32 prints"
        )
    if basic_auth is None:
        return Access(token, None, read_only)
    name, colon, password = basic_auth.partition(":")
    if not (colon and name and password):
        raise ConfigError("the login for basic auth cannot be used: give NAME:PASSWORD")
    return Access(token, (name, password), read_only)


def check_binding(host: str, access: Access) -> None:
    """Make sure that not everybody may come in at an address that others reach.

    Raises:
        ConfigError: nobody is asked who they are, and the address is no loopback one; or
            there is no such address.
    """
    if not access.asks and not is_loopback(host):
        raise ConfigError(
            f"whoever reaches {printable(host, 100)} could read and change all jobs: set "
            f"{ENV_TOKEN} or give --token, or listen on --host 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    Raises:
        ConfigError: there is no such address.
    """
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConfigError(
            f"--host {printable(host, 100)}: there is no such address; give 127.0.0.1 for this "
            "machine alone, 0.0.0.0 for all"
        ) from None
    return all(ipaddress.ip_address(address[4][0]).is_loopback for address in found)


class Guard:
    """ASGI middleware: lets in whom :class:`Access` admits, to do what they may do.

    It also refuses what a browser sends on behalf of another site: requests to a host name that
    is not ours (DNS rebinding), where nobody is asked who they are; and changes that another
    site's page asks for (CSRF).

    Args:
        app: what is guarded.
        access: who may come in.
        hosts: names under which the server is known, beside ``localhost`` and addresses;
            ``None`` for an app that is mounted in another one, which has names of its own.
        open_paths: what anybody may look at, such as ``/healthz``.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        *,
        hosts: Iterable[str] | None,
        open_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._access = access
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        match scope["type"]:
            case "lifespan":
                await self._app(scope, receive, send)
            case "http":
                problem = self._refusal(scope)
                await (self._app if problem is None else problem.response())(scope, receive, send)
            case _:  # there are no web sockets here
                await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", "")):
            return Problem(
                421, "wrong_host", "Not a name of this server",
                f"this server does not answer to {printable(headers.get('host', ''), 100)!r}: "
                "ask for localhost, name it with --allow-host, or give the server a --token",
            )  # fmt: skip
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in self._open and scope["method"] in SAFE:
            return None
        authorization = headers.get("authorization")
        if not self._access.admits(authorization):
            return _unknown(given=authorization is not None)
        if scope["method"] in SAFE:
            return None
        if self._access.read_only:
            return Problem(
                403, "read_only", "Read-only",
                "this server was started with --read-only: it shows, and changes nothing",
            )  # fmt: skip
        if _is_from_another_site(headers):
            return Problem(
                403, "other_site", "From another site",
                "a page of another site has asked for this change; only pages of this server may",
            )  # fmt: skip
        return None

    def _is_ours(self, host: str) -> bool:
        if self._hosts is None or self._access.asks:
            return True
        name = urlsplit(f"//{host}").hostname or ""
        # An address is never the name of another site; only names can be made to lead here.
        return (
            name == "localhost"
            or name.endswith(".localhost")
            or name in self._hosts
            or _is_address(name)
        )


def _is_from_another_site(headers: Headers) -> bool:
    """Whether a browser says that another site's page has asked.

    Browsers send ``Sec-Fetch-Site`` to https and to localhost, and ``Origin`` with every
    change; programs send neither. A bearer token is sent by no browser unasked.
    """
    if headers.get("authorization", "").lower().startswith("bearer "):
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def _unknown(*, given: bool) -> Problem:
    told = (
        "the token or the login is not the right one"
        if given
        else "send the token as 'Authorization: Bearer TOKEN', or log in"
    )
    headers = [("www-authenticate", challenge) for challenge in CHALLENGES]
    return Problem(401, "not_authenticated", "Who are you?", told, headers=tuple(headers))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _login(encoded: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password


def _same(given: str, right: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode("utf-8", "replace"))
