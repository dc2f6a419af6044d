"""Where the server is: a URL taken apart, and shown without its password."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult, parse_qs, unquote, unquote_to_bytes, urlsplit

from streamq.errors import ConfigError
from streamq.text import printable

if TYPE_CHECKING:
    from ssl import SSLContext

ENV_URL = "STREAMQ_URL"
PORT = 6379

_DATABASE = re.compile(r"[0-9]{1,9}")
_SWITCH = {
    **dict.fromkeys(("1", "true", "yes"), True),
    **dict.fromkeys(("0", "false", "no"), False),
}

# The options of a URL, by its scheme.
_ANY = frozenset({"client_name", "db", "password", "username"})
_TCP = _ANY | {"socket_keepalive"}
_TLS = _TCP | {
    "ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname",
    "ssl_keyfile", "ssl_min_version", "ssl_password",
}  # fmt: skip
_OPTIONS = {"redis": _TCP, "rediss": _TLS, "unix": _ANY}


class NotAURL(ConfigError):
    """It is no URL, or none of a server."""


class Address:
    """A server's URL, checked.

    Args:
        url: ``redis://[user:password@]host[:port][/db]``, ``rediss://…`` for TLS,
            or ``unix:///path/to/socket[?db=N]``. TLS checks the server's certificate,
            unless an option of the URL says otherwise; docs/security.md lists them.
        embedded: whether it is that of the embedded server.

    Attributes:
        shown: the address as it may be shown: without user name and password.
        path: the unix socket, or ``None`` for TCP, which has ``host`` and ``port``.
        username: as it is sent, or ``None``.
        password: as it is sent, or ``None``.
        database: its number.
        client_name: what ``CLIENT LIST`` shows of connections without a name of their own.
        keepalive: whether TCP looks for a peer that is gone.
        tls: the context of TLS, or ``None`` for none.

    Raises:
        ConfigError: the URL cannot be used, or a file that it names for TLS.
    """

    def __init__(self, url: str, *, embedded: bool = False) -> None:
        self.embedded = embedded
        try:
            parts = urlsplit(url)
            given = {name: values[0] for name, values in parse_qs(parts.query).items()}
            known = _OPTIONS[parts.scheme]
            self.path = _socket(parts)
            self.host = unquote(parts.hostname or "localhost")
            self.port = parts.port or PORT
            self.database = _database(parts, given)
            if parts.fragment:
                raise ValueError("a '#' that was not escaped")
        except (ValueError, KeyError):
            # What the library says of it may quote a piece of the password.
            raise NotAURL(
                "not a server's URL: give redis://HOST:PORT/DATABASE, rediss://HOST:PORT or "
                "unix:///PATH (for a Cluster: docs/topologies.md), "
                "and write '/', '#', '?' and '@' in a password as %2F, %23, %3F, %40"
            ) from None
        self.shown = self._shown(parts)
        for name in sorted(set(given) - known):
            raise ConfigError(
                f"the URL of {self.shown} has an option that "
                + ("is for rediss:// only" if name in _TLS else "streamq does not know")
                + f": {printable(name, 60)}"
            )
        # Bytes: a password need not be text.
        self.username = unquote_to_bytes(parts.username or "") or _encoded(given.get("username"))
        self.password = unquote_to_bytes(parts.password or "") or _encoded(given.get("password"))
        self.client_name = given.get("client_name")
        self.keepalive = self._switch(given, "socket_keepalive")
        self.tls: SSLContext | None = None
        if parts.scheme == "rediss":
            from streamq.server.tls import make_context

            check_hostname = self._switch(given, "ssl_check_hostname")
            self.tls = make_context(given, self.shown, check_hostname=check_hostname)

    def at(self, host: str, port: int) -> Self:
        """Another server, reached in the same way: with the same credentials, and TLS or not."""
        other = copy(self)
        other.path, other.host, other.port = None, host, port
        other.shown = _host_and_port(host, port)
        return other

    def _shown(self, parts: SplitResult) -> str:
        if self.path is not None:
            return printable(os.fsencode(self.path), 300)
        return _host_and_port(parts.hostname or "localhost", self.port)

    def _switch(self, given: Mapping[str, str], name: str) -> bool:
        value = given.get(name, "true")
        if value.lower() not in _SWITCH:
            raise ConfigError(
                f"{name} in the URL of {self.shown} is {printable(value, 60)!r}: give true or false"
            )
        return _SWITCH[value.lower()]


def _host_and_port(host: str, port: int) -> str:
    return printable(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", 300)


def _socket(parts: SplitResult) -> str | None:
    if parts.scheme != "unix":
        return None
    if parts.hostname or not parts.path:
        raise ValueError("a socket is named by its path")
    return os.fsdecode(unquote_to_bytes(parts.path))


def _database(parts: SplitResult, given: Mapping[str, str]) -> int:
    path = "" if parts.scheme == "unix" else unquote(parts.path).removeprefix("/")
    for text in (path, given.get("db", "")):
        if text and not _DATABASE.fullmatch(text):
            raise ValueError("a database is a number")
    return int(given.get("db", path) or 0)


def _encoded(text: str | None) -> bytes | None:
    return text.encode() if text else None


def default_url() -> str | None:
    """The URL in the environment, or ``None`` for the embedded server."""
    return os.environ.get(ENV_URL) or None
