"""A connection that hears what is published on sharded channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from streamq.errors import ServerUnavailable, StreamqError
from streamq.server.opening import Connect
from streamq.server.packing import pack
from streamq.server.protocol import Connection

SILENCE = 20.0
"""Seconds without a word after which the server is asked whether it is still there."""

REPLY = 10.0
"""Seconds that it has for the answer."""


class Heard(NamedTuple):
    """What a listener has heard.

    Attributes:
        channel: on which.
        message: what was published; ``None`` when the server tells that the channel is
            listened to from now on.
    """

    channel: str
    message: str | None


class Listener:
    """Hears what is published on the channels that it is subscribed to.

    Args:
        connect: opens a connection to the server.
        name: what ``CLIENT LIST`` shows.
    """

    def __init__(self, connect: Connect, name: str) -> None:
        self._connect = connect
        self._name = name
        self._connection: Connection | None = None
        self._leaving: Counter[str] = Counter()
        """The channels that it has asked to hear no more of, until that is confirmed."""

    async def open(self) -> None:
        """Connect, with no subscriptions; what was there before is closed.

        Raises:
            ServerUnavailable: there is no answer.
            AuthenticationFailed: the server does not accept the credentials.
            TLSFailed: the connection cannot be made secure.
        """
        self.close()
        self._leaving.clear()
        self._connection = await self._connect(self._name)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as this side knows."""
        return self._connection is not None

    def subscribe(self, channels: Iterable[str]) -> None:
        """Ask for what is published on these channels; :meth:`hear` tells when that begins."""
        self._send("SSUBSCRIBE", channels)

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Hear no more of these channels."""
        channels = list(channels)
        if self._connection is not None:
            self._leaving.update(channels)
        self._send("SUNSUBSCRIBE", channels)

    async def hear(self) -> list[Heard]:
        """What comes next; nothing, if nothing has come for a while and the server is there.

        Raises:
            ServerUnavailable: the connection is lost, or a channel has gone to another server.
            StreamqError: the server has refused a subscription.
        """
        connection = self._connection
        assert connection is not None
        try:
            try:
                replies = await connection.read_some(SILENCE)
            except TimeoutError:
                connection.send(pack(("PING",)))
                replies = await connection.read_some(REPLY)
        except (OSError, EOFError) as error:
            self.close()
            raise ServerUnavailable(f"connection lost from {connection.address.shown}") from error
        return [heard for reply in replies if (heard := self._heard(reply)) is not None]

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _send(self, command: str, channels: Iterable[str]) -> None:
        if self._connection is not None:
            # One command a channel: on a Cluster those of one command must share a slot.
            self._connection.send(b"".join(pack((command, channel)) for channel in channels))

    def _heard(self, reply: Any) -> Heard | None:
        if isinstance(reply, StreamqError):
            raise reply
        if not isinstance(reply, list):
            return None  # the answer to a PING, with no channel subscribed
        kind, channel = reply[0], reply[1].decode("utf-8", "backslashreplace")
        if kind == b"smessage":
            return Heard(channel, reply[2].decode("utf-8", "backslashreplace"))
        if kind == b"sunsubscribe":
            if not self._leaving[channel]:
                raise ServerUnavailable("the channel is heard at another server now")
            self._leaving[channel] -= 1
        return Heard(channel, None) if kind == b"ssubscribe" else None
