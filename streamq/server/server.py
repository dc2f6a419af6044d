"""The server, or the servers of a topology, reached through a pool of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from streamq.main_guard import check_main_guard
from streamq.server.address import default_url
from streamq.server.clock import Clock
from streamq.server.link import REPLY_TIMEOUT, Link
from streamq.server.listener import Listener
from streamq.server.packing import Arg, pack
from streamq.server.topology import topology_of
from streamq.server.version import ServerInfo, all_together, read_info

if TYPE_CHECKING:
    from streamq.lua import Call

MAX_IDLE_LINKS = 16


class Server:
    """The server, or the servers of a topology, reached through a pool of connections.

    Args:
        url: where it is; ``None`` takes ``STREAMQ_URL`` from the environment, and
            where that is not set, starts the embedded server or finds it running.

    Raises:
        ConfigError: the URL cannot be used.
        EmbeddedServerError: the embedded server cannot be started.
    """

    def __init__(self, url: str | None = None) -> None:
        check_main_guard()
        url = url or default_url()
        self.embedded = url is None
        if url is None:
            from streamq.server import embedded

            url = embedded.ensure_running()
        self.url = url
        self._topology = topology_of(url, embedded=self.embedded)
        self._name = "streamq"
        self._idle: list[Link] = []
        self._parts: dict[str, Server] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._info: ServerInfo | None = None
        self.clock = Clock()

    def separate(self, name: str) -> Server:
        """The same server through a pool of its own, for another event loop.

        Args:
            name: what ``CLIENT LIST`` shows.
        """
        other = copy(self)
        other._name, other._idle, other._parts, other._loop = name, [], {}, None
        other._topology = self._topology.separate()
        return other

    async def parts(self) -> Sequence[Server]:
        """The servers that have a part of the keys each: the primaries of a Cluster, or itself.

        What is not about one stream has to be asked of each of them: ``SCAN``, ``INFO``.

        Raises:
            ServerUnavailable: nobody tells which they are.
        """
        topologies = await self._topology.parts()
        if topologies == [self._topology]:
            return [self]
        parts = {}
        for topology in topologies:
            part = self._parts.pop(topology.where, None)
            if part is None:
                part = copy(self)
                part._idle, part._parts, part._topology = [], {}, topology
            parts[topology.where] = part
        gone, self._parts = self._parts, parts
        for part in gone.values():
            await part.close()
        return list(parts.values())

    @property
    def where(self) -> str:
        """The address as it may be shown: without user name and password."""
        return self._topology.where

    @property
    def peer(self) -> tuple[str, int | None]:
        """Host and port, or the path of its socket and ``None``; of several, those given first."""
        return self._topology.peer

    def link(self, name: str | None = None, timeout: float = REPLY_TIMEOUT) -> Link:
        """A connection of one's own, opened at its first use; the caller closes it.

        Args:
            name: what ``CLIENT LIST`` shows.
            timeout: seconds without a reply after which it counts as broken.
        """
        return self._topology.link(name, timeout)

    def listener(self, name: str) -> Listener:
        """A connection that hears what is published, opened with :meth:`Listener.open`.

        Args:
            name: what ``CLIENT LIST`` shows.
        """
        return self._topology.listener(name)

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[Link]:
        """A connection out of the pool, for the length of a ``with`` block."""
        link = self._take()
        try:
            yield link
        finally:
            await self._put_back(link)

    async def call(self, *args: Arg) -> Any:
        """One command over the pool; see :meth:`Link.call`."""
        return await self.send(pack(args))

    async def send(self, packed: bytes) -> Any:
        """One packed command over the pool; see :meth:`Link.call`."""
        link = self._take()
        try:
            return await link.send(packed)
        finally:
            await self._put_back(link)

    async def run(self, script: Call) -> Any:
        """One script over the pool; see :meth:`Link.run`."""
        async with self.borrowed() as link:
            return await link.run(script)

    def _take(self) -> Link:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # Connections belong to an event loop, and that one may have been closed: a program
            # may call asyncio.run() more than once.
            self._idle.clear()
            if self._loop is not None:
                self._topology = self._topology.separate()
            self._loop = loop
        return self._idle.pop() if self._idle else self.link(self._name)

    async def _put_back(self, link: Link) -> None:
        if len(self._idle) < MAX_IDLE_LINKS:
            self._idle.append(link)
        else:
            await link.close()

    async def info(self) -> ServerInfo:
        """What the server is, and what time it has; asked once, then remembered.

        Raises:
            ServerUnsupported: it is older than Redis 7.0 or Valkey 7.2.
        """
        if self._info is None:
            async with self.borrowed() as link:
                self._info = await read_info(link, self.where)
                seconds, micros = await link.call("TIME")
                self.clock.ahead = int(seconds) + int(micros) / 1e6 - time.time()
        return self._info

    async def info_now(self) -> ServerInfo:
        """As :meth:`info`, asked anew; of all servers that have a part of the keys, together."""
        infos = []
        for part in await self.parts():
            async with part.borrowed() as link:
                infos.append(await read_info(link, part.where))
        return infos[0] if len(infos) == 1 else all_together(infos)

    async def close(self) -> None:
        """Close the pool's connections."""
        self._topology.close()
        while self._parts:
            await self._parts.popitem()[1].close()
        while self._idle:
            await self._idle.pop().close()
