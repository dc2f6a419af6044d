"""A listener to a Cluster: a channel is heard at the node that has its slot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from streamq.errors import StreamqError
from streamq.server.address import Address
from streamq.server.listener import SILENCE, Heard, Listener
from streamq.server.replies import Redirected
from streamq.server.topology.cluster.slot_map import SlotMap, connect_to
from streamq.wire.slots import slot_of


class ClusterListener(Listener):
    """Listens to each node that has a channel to which it is subscribed.

    A node that is lost, or a channel that moves to another, counts as a lost connection: whoever
    listens opens it again, and is then at the right nodes.

    Args:
        slots: tells which node has which slot.
        name: what ``CLIENT LIST`` shows.
    """

    def __init__(self, slots: SlotMap, name: str) -> None:
        self._slots = slots
        self._name = name
        self._nodes: dict[Address, _Node] = {}
        self._channels: dict[str, None] = {}
        self._news: asyncio.Queue[list[Heard] | StreamqError] | None = None

    async def open(self) -> None:
        """See :meth:`Listener.open`."""
        self.close()
        self._channels.clear()
        await self._slots.owner(None)
        self._news = asyncio.Queue()

    @property
    def is_open(self) -> bool:
        """See :attr:`Listener.is_open`."""
        return self._news is not None

    async def hear(self) -> list[Heard]:
        """See :meth:`Listener.hear`."""
        assert self._news is not None
        try:
            async with asyncio.timeout(SILENCE):
                news = await self._news.get()
        except TimeoutError:
            return []
        if isinstance(news, Redirected):
            self._begin_again()
            return []
        if isinstance(news, StreamqError):
            self.close()
            raise news
        return news

    def subscribe(self, channels: Iterable[str]) -> None:
        """See :meth:`Listener.subscribe`."""
        wanted = dict.fromkeys(channels)
        self._channels |= wanted
        self._send("SSUBSCRIBE", wanted)

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """See :meth:`Listener.unsubscribe`."""
        left = dict.fromkeys(channels)
        for channel in left:
            self._channels.pop(channel, None)
        self._send("SUNSUBSCRIBE", left)

    def close(self) -> None:
        """See :meth:`Listener.close`."""
        self._close_nodes()
        self._news = None

    def _begin_again(self) -> None:
        """Subscribe anew, by what is known of the Cluster now."""
        self._close_nodes()
        self._news = asyncio.Queue()
        self._send("SSUBSCRIBE", self._channels)

    def _close_nodes(self) -> None:
        for node in self._nodes.values():
            node.close()
        self._nodes.clear()

    def _send(self, command: str, channels: Iterable[str]) -> None:
        if self._news is None:
            return
        for channel in channels:
            try:
                address = self._slots.known_owner(slot_of(channel.encode()))
            except StreamqError as error:
                self._news.put_nowait(error)
                return
            if address not in self._nodes:
                self._nodes[address] = _Node(self._slots, address, self._name, self._news)
            self._nodes[address].send(command, channel)


class _Node:
    """Listens to one node, and hands on what it hears."""

    def __init__(
        self, slots: SlotMap, address: Address, name: str,
        news: asyncio.Queue[list[Heard] | StreamqError],
    ) -> None:  # fmt: skip
        self._slots = slots
        self._address = address
        self._listener = Listener(connect_to(address), name)
        self._news = news
        self._waiting: list[tuple[str, str]] = []
        self._task = asyncio.get_running_loop().create_task(self._listen())

    def send(self, command: str, channel: str) -> None:
        """Send it now, or once there is a connection."""
        if self._listener.is_open:
            self._listener._send(command, (channel,))
        else:
            self._waiting.append((command, channel))

    def close(self) -> None:
        """Listen no more."""
        self._task.cancel()
        self._listener.close()

    async def _listen(self) -> None:
        try:
            await self._listener.open()
            for command, channel in self._waiting:
                self._listener._send(command, (channel,))
            while True:
                self._news.put_nowait(await self._listener.hear())
        except Redirected as error:
            self._slots.moved(error, self._address)
            self._news.put_nowait(error)
        except StreamqError as error:
            self._slots.doubt()
            self._news.put_nowait(error)
