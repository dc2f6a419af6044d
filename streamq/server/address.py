"""Where the server is: a URL taken apart, and shown without its password."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.exceptions import RedisError

from streamq.errors import ConfigError
from streamq.server.tls import SecureConnection, check_files
from streamq.text import printable

ENV_URL = "STREAMQ_URL"

_DATABASE = re.compile(r"/?|/[0-9]{1,9}")

_ANY = frozenset({"client_name", "db", "password", "username"})
_OPTIONS: Mapping[type[AbstractConnection], frozenset[str]] = {
    UnixDomainSocketConnection: _ANY | {"path"},
    Connection: _ANY | {"host", "port", "socket_keepalive"},
    SSLConnection: _ANY
    | {
        "host", "port", "socket_keepalive", "ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs",
        "ssl_certfile", "ssl_check_hostname", "ssl_keyfile", "ssl_min_version", "ssl_password",
    },
}  # fmt: skip


class Address:
    """A server's URL, checked.

    Args:
        url: ``redis://[user:password@]host[:port][/db]``, ``rediss://…`` for TLS,
            or ``unix:///path/to/socket[?db=N]``. TLS checks the server's certificate,
            unless an option of the URL says otherwise; docs/security.md lists them.

    Raises:
        ConfigError: the URL cannot be used, or a file that it names for TLS.
    """

    def __init__(self, url: str) -> None:
        try:
            options: dict[str, Any] = dict(parse_url(url))
            self.shown = _without_password(url, options)
            if "path" not in options and not _DATABASE.fullmatch(urlsplit(url).path):
                raise ValueError("what follows the host must be the number of a database")
        except ValueError:
            # What the library says of it may quote a piece of the password.
            raise ConfigError(
                "not a server's URL: give redis://HOST:PORT/DATABASE, rediss://HOST:PORT or "
                "unix:///PATH, and write '/', '#', '?' and '@' in a password as %2F, %23, %3F, %40"
            ) from None
        kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        unknown = sorted(set(options) - _OPTIONS[kind])
        if unknown:
            secure = unknown[0] in _OPTIONS[SSLConnection]
            raise ConfigError(
                f"the URL of {self.shown} has an option that "
                + ("is for rediss:// only" if secure else "streamq does not know")
                + f": {printable(unknown[0], 60)}"
            )
        self._kind = SecureConnection if kind is SSLConnection else kind
        if self._kind is SecureConnection:
            # Without one, OpenSSL asks the terminal for the password of an encrypted key.
            options.setdefault("ssl_password", "")
        self._options = options
        try:
            connection = self.connection()
        except RedisError as error:
            raise ConfigError(
                f"the URL of {self.shown} cannot be used: {printable(error, 200)}"
            ) from None
        if isinstance(connection, SecureConnection):
            check_files(connection.ssl_context, self.shown)

    def connection(self, name: str | None = None) -> AbstractConnection:
        """A new connection of redis-py's, not yet opened.

        Args:
            name: what ``CLIENT LIST`` shows.
        """
        named = {"client_name": name} if name else {}
        # Timeouts are the Link's own: redis-py's would start a task for every write.
        return self._kind(
            **{**self._options, **named},
            socket_timeout=None, socket_connect_timeout=None, protocol=2,
        )  # fmt: skip


def _without_password(url: str, options: dict[str, Any]) -> str:
    if "path" in options:
        return printable(options["path"], 300)
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    shown = f"[{host}]" if ":" in host else host
    return printable(f"{shown}:{parts.port or 6379}", 300)


def default_url() -> str | None:
    """The URL in the environment, or ``None`` for the embedded server."""
    return os.environ.get(ENV_URL) or None
