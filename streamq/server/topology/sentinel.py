"""The primary of the moment, as Sentinels name it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from copy import copy
from urllib.parse import quote
from weakref import WeakSet

from streamq.errors import ServerRefused, ServerUnavailable, StreamqError
from streamq.retry import Backoff
from streamq.server.address import Address
from streamq.server.link import Link
from streamq.server.listener import REPLY, SILENCE, Listener
from streamq.server.opening import open_connection
from streamq.server.packing import pack
from streamq.server.protocol import Connection
from streamq.server.topology.topology import Topology
from streamq.server.topology.urls import SENTINEL_PORT, split_url, wrong_url
from streamq.text import printable

PATIENCE = 5.0
"""Seconds for which a connection waits for a primary: one that takes over may need that long."""

BACKOFF = Backoff(base=0.02, factor=2, cap=0.5)

_SWITCHED = ("+switch-master", "+promoted-slave")
"""The channels on which Sentinels tell that another server is the primary now. The one that makes
it so does so on the second, before the replicas follow; the first comes seconds later there, and
all the while the old primary would take writes that are then lost."""


class Sentinels(Topology):
    """The primary of the moment, as Sentinels name it.

    Every connection is asked whether it leads to a primary when it is opened. One of the
    Sentinels tells when another server takes over: connections to the old primary are closed
    then, for it may not have heard of it.

    Args:
        sentinels: where they are.
        name: what they call the primary.
        server: how a server is reached, wherever it is.
    """

    def __init__(self, sentinels: Sequence[Address], name: str, server: Address) -> None:
        shown = ",".join(sentinel.shown for sentinel in sentinels)
        self.where = f"{printable(name, 100)} ({shown})"
        self.peer = sentinels[0].host, sentinels[0].port
        self.sentinels = list(sentinels)
        self._name = name
        self.server = server
        self._open: WeakSet[Connection] = WeakSet()
        self._watch: asyncio.Task[None] | None = None
        self._switches = 0
        """How often another server may have become the primary."""

    @classmethod
    def of(cls, url: str) -> Sentinels:
        """The Sentinels that a URL names.

        Raises:
            ConfigError: the URL cannot be used.
        """
        hosts = split_url(url, "sentinel", SENTINEL_PORT)
        if not 1 <= len(hosts.path) <= 2:
            raise wrong_url("sentinel")
        name, *database = hosts.path
        options = dict(hosts.options)
        user, password = (options.pop(f"sentinel_{what}", "") for what in ("username", "password"))
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
        tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
        server = hosts._replace(options=options).address("".join(database))
        first = hosts._replace(options=tls, login=login).address("")
        return cls([first.at(*host) for host in hosts.hosts], name, server)

    def link(self, name: str | None, timeout: float) -> Link:
        """See :meth:`Topology.link`."""
        return Link(self.connect, name, timeout)

    def listener(self, name: str) -> Listener:
        """See :meth:`Topology.listener`."""
        return Listener(self.connect, name)

    def separate(self) -> Topology:
        """See :meth:`Topology.separate`."""
        other = copy(self)
        other._open, other._watch = WeakSet(), None
        return other

    def close(self) -> None:
        """See :meth:`Topology.close`."""
        watch, self._watch = self._watch, None
        if watch is not None and not watch.get_loop().is_closed():
            watch.cancel()

    async def connect(self, name: str | None) -> Connection:
        """Open a connection to the primary, and close it when another takes over.

        Raises:
            ServerUnavailable: no Sentinel answers, or none knows the primary, or that does not
                answer, or is none; and that has not changed in time.
            ServerRefused: the Sentinels know no primary of that name.
            StreamqError: as for a server of one's own.
        """
        end = time.monotonic() + PATIENCE
        attempt = 0
        while True:
            switches = self._switches
            address = await self._ask()
            try:
                connection = await open_connection(address, name, kind="primary")
                if switches == self._switches:
                    break
                connection.close()
            except ServerUnavailable:
                attempt += 1
                pause = BACKOFF.delay(attempt)
                if time.monotonic() + pause > end:
                    raise
                await asyncio.sleep(pause)
        self._open.add(connection)
        loop = asyncio.get_running_loop()
        if self._watch is None or self._watch.done() or self._watch.get_loop() is not loop:
            self._watch = loop.create_task(self._watch_over())
        return connection

    async def _ask(self) -> Address:
        """Where the primary is now."""
        errors: list[StreamqError] = []
        for sentinel in list(self.sentinels):
            try:
                connection = await self._reach(sentinel)
                try:
                    return await self._asked(connection)
                finally:
                    connection.close()
            except StreamqError as error:
                errors.append(error)
        raise self._nobody_knows(errors)

    async def _reach(self, sentinel: Address) -> Connection:
        try:
            return await open_connection(sentinel, kind="sentinel")
        except StreamqError:
            # The next time, the others come first.
            self.sentinels.remove(sentinel)
            self.sentinels.append(sentinel)
            raise

    async def _asked(self, connection: Connection) -> Address:
        connection.send(pack(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)))
        where = connection.address.shown
        try:
            [reply] = await connection.read(1, REPLY)
        except (OSError, EOFError):
            raise ServerUnavailable(f"the Sentinel at {where} does not answer") from None
        if isinstance(reply, Exception):
            raise reply
        if reply is None:
            raise ServerRefused(
                f"the Sentinel at {where} knows no primary called {printable(self._name, 100)}: "
                "check the name at the end of the URL"
            )
        host, port = reply
        return self.server.at(host.decode(), int(port))

    def _nobody_knows(self, errors: Sequence[StreamqError]) -> StreamqError:
        telling = [error for error in errors if not isinstance(error, ServerUnavailable)]
        if telling or len(errors) == 1:
            return [*telling, *errors][0]
        return ServerUnavailable(
            f"no Sentinel of {self.where} answers: check the addresses and that they are running"
        )

    # -- watching -------------------------------------------------------------

    async def _watch_over(self) -> None:
        """Close connections to one that is the primary no longer, as soon as a Sentinel tells."""
        attempt = 0
        while True:
            for sentinel in list(self.sentinels):
                try:
                    connection = await self._reach(sentinel)
                except StreamqError:
                    continue
                try:
                    await self._subscribe(connection)
                    attempt = 0
                    while True:
                        await self._hear(connection)
                except (OSError, EOFError, StreamqError):
                    break  # another one may be there
                finally:
                    connection.close()
            attempt += 1
            await asyncio.sleep(BACKOFF.delay(attempt))

    async def _subscribe(self, connection: Connection) -> None:
        connection.send(pack(("SUBSCRIBE", *_SWITCHED)))
        for reply in await connection.read(len(_SWITCHED), REPLY):
            if isinstance(reply, Exception):
                raise reply
        await self._leave_others()  # of what was before, it will not tell

    async def _hear(self, connection: Connection) -> None:
        try:
            replies = await connection.read_some(SILENCE)
        except TimeoutError:
            connection.send(pack(("PING",)))
            replies = await connection.read_some(REPLY)
        if any(isinstance(reply, list) and reply[0] == b"message" for reply in replies):
            await self._leave_others()

    async def _leave_others(self) -> None:
        self._switches += 1
        primary = await self._ask()
        for connection in list(self._open):
            address = connection.address
            if (address.host, address.port) != (primary.host, primary.port):
                connection.close()
