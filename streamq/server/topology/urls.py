"""URLs that name several servers."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from streamq.errors import ConfigError
from streamq.server.address import PORT, Address, NotAURL

SENTINEL_PORT = 26379

_FORMS = {
    "cluster": "redis+cluster://HOST:PORT,HOST:PORT",
    "sentinel": "redis+sentinel://HOST:PORT,HOST:PORT/NAME/DATABASE, with the NAME that the "
    "Sentinels have for the primary",
}


class Hosts(NamedTuple):
    """A URL that names several servers, taken apart.

    Attributes:
        kind: ``cluster`` or ``sentinel``.
        scheme: ``redis`` or ``rediss``.
        login: user name and password, as they stand in the URL, up to and with the ``@``.
        hosts: host and port of each server.
        path: the parts of the path, without what makes them safe in a URL.
        options: name and value of each option.
    """

    kind: str
    scheme: str
    login: str
    hosts: tuple[tuple[str, int], ...]
    path: tuple[str, ...]
    options: dict[str, str]

    def address(self, database: str) -> Address:
        """The address of the first server.

        Raises:
            ConfigError: there can be no such address.
        """
        host, port = self.hosts[0]
        host = f"[{host}]" if ":" in host else host
        query = urlencode(self.options)
        try:
            return Address(f"{self.scheme}://{self.login}{host}:{port}/{database}?{query}")
        except NotAURL:
            raise wrong_url(self.kind) from None


def split_url(url: str, kind: str, port: int = PORT) -> Hosts:
    """Take a URL apart that may name several servers.

    Args:
        kind: ``cluster`` or ``sentinel``.
        port: that of a server without one.

    Raises:
        ConfigError: the URL cannot be used.
    """
    try:
        parts = urlsplit(url)
        if parts.fragment:
            raise ValueError("a '#' that was not escaped")
        login, at, hosts = parts.netloc.rpartition("@")
        return Hosts(
            kind,
            parts.scheme.partition("+")[0],
            login + at,
            tuple(_host(one, port) for one in hosts.split(",")),
            tuple(map(unquote, filter(None, parts.path.split("/")))),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
        )
    except ValueError:
        raise wrong_url(kind) from None


def wrong_url(kind: str) -> ConfigError:
    """The error for a URL that cannot be used; it says nothing of the URL, nor of a password."""
    return ConfigError(
        f"not a URL of a {kind.capitalize()}: give {_FORMS[kind]}, "
        "and write ',', '/', '#', '?' and '@' in a password as %2C, %2F, %23, %3F, %40"
    )


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path:
        raise ValueError("no host")
    return unquote(parts.hostname), parts.port or port
