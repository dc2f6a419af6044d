"""A link into a Cluster: each command goes to the node that has its key."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Any, NamedTuple

from streamq.errors import OutcomeUnknown, ServerUnavailable
from streamq.retry import Backoff
from streamq.server.address import Address
from streamq.server.link import Link
from streamq.server.packing import pack
from streamq.server.replies import Redirected, Unstable
from streamq.server.topology.cluster.packed import first_slot, split
from streamq.server.topology.cluster.slot_map import SlotMap, connect_to

PATIENCE = 5.0
"""Seconds for which a command waits that the Cluster cannot carry out: a replica takes over, or
keys are on their way to another node."""

BACKOFF = Backoff(base=0.02, factor=2, cap=0.5)

HOPS = 16
"""How often a command may be sent on."""

_ELSEWHERE = (Redirected, Unstable)
_ASKING, _MULTI, _EXEC = pack(("ASKING",)), pack(("MULTI",)), pack(("EXEC",))


class ClusterLink(Link):
    """A connection to each node that it has had a command for, opened at the first of them.

    One call's commands go where the first key of them is: they are mostly of one stream, and so
    in one slot. Those that another node has are sent to it then.

    Args:
        slots: tells which node has which slot.
        name: what ``CLIENT LIST`` shows.
        timeout: seconds without a reply after which a connection counts as broken.
    """

    def __init__(self, slots: SlotMap, name: str | None, timeout: float) -> None:
        self._slots = slots
        self._links: dict[str, Link] = {}
        self._name = name
        self.timeout = timeout
        self.received = 0
        self.timings = None

    async def open(self) -> None:
        """See :meth:`Link.open`; to any of the nodes."""
        await self._to(await self._slots.owner(None)).open()

    async def exchange(self, packed: bytes, count: int, *, block: float = 0.0) -> Sequence[Any]:
        """See :meth:`Link.exchange`."""
        node = await self._reach(first_slot(packed))
        replies = await self._send(node, packed, count, block)
        if _any_elsewhere(replies):
            return await self._follow(packed, replies, node, block)
        return replies

    async def pipeline(
        self, commands: AsyncIterable[tuple[bytes, int]]
    ) -> AsyncGenerator[Sequence[Any], None]:
        """See :meth:`Link.pipeline`."""
        source = aiter(commands)
        sent: deque[bytes] = deque()
        redirected = False

        async def until_redirected(
            lot: tuple[bytes, int] | None,
        ) -> AsyncGenerator[tuple[bytes, int], None]:
            while lot is not None:
                sent.append(lot[0])
                yield lot
                lot = None if redirected else await anext(source, None)

        first = await anext(source, None)
        if first is None:
            return
        node = await self._reach(first_slot(first[0]))
        # The link is busy with the pipeline until its end: what is to be sent again goes by others.
        beside = ClusterLink(self._slots, self._name, self.timeout)
        try:
            async with aclosing(self._to(node).pipeline(until_redirected(first))) as lots:
                async for replies in lots:
                    packed = sent.popleft()
                    if _any_elsewhere(replies):
                        redirected = True
                        replies = await beside._follow(packed, replies, node)
                    yield replies
        except OutcomeUnknown:
            self._slots.doubt()
            raise
        finally:
            await beside.close()
        async for packed, count in source:
            yield await self.exchange(packed, count)

    async def close(self) -> None:
        """See :meth:`Link.close`."""
        for link in self._links.values():
            await link.close()
        self._links.clear()

    def _to(self, node: Address) -> Link:
        link = self._links.get(node.shown)
        if link is None:
            link = self._links[node.shown] = Link(connect_to(node), self._name, self.timeout)
        return link

    async def _reach(self, slot: int | None) -> Address:
        """The node that has a slot, once there is one that answers, if that is soon enough."""
        patience = _Patience()
        while True:
            try:
                node = await self._slots.owner(slot)
            except Unstable:
                if not await patience.pause():
                    raise
                continue
            link = self._to(node)
            try:
                if not link.is_open:
                    await link.open()
            except ServerUnavailable:
                self._slots.doubt()
                if not await patience.pause():
                    raise
            else:
                return node

    async def _send(self, node: Address, packed: bytes, count: int, block: float) -> Sequence[Any]:
        link = self._to(node)
        try:
            replies = await link.exchange(packed, count, block=block)
        except ServerUnavailable:
            self._slots.doubt()
            raise
        self.received = link.received
        return replies

    async def _follow(
        self, packed: bytes, replies: Sequence[Any], node: Address, block: float = 0.0
    ) -> Sequence[Any]:
        """Carry out what ``node`` has not, each command wherever that can be done.

        Args:
            replies: those of ``node``.

        Returns:
            The replies, with the errors of those that could not be carried out.
        """
        got = list(replies)
        units, tail = _units(split(packed))
        left = {unit: node for unit in units if unit.is_left(got)}
        patience, hops = _Patience(), 0
        while left:
            if any(unit.must_wait(got) for unit in left):
                if not await patience.pause():
                    break
                if not all(unit.may_stay(got) for unit in left):
                    self._slots.doubt()
            elif hops == HOPS:
                break
            else:
                hops += 1
            targets = [(self._target(unit, got, asked), unit) for unit, asked in left.items()]
            # In their order, and those that follow each other together.
            for target, run in groupby(targets, key=lambda one: one[0]):
                part = [unit for _, unit in run]
                asked = await self._repeat(part, target, tail, got, block)
                left.update(dict.fromkeys(part, asked))
            left = {unit: asked for unit, asked in left.items() if unit.is_left(got)}
        return got

    def _target(self, unit: _Unit, got: Sequence[Any], asked: Address) -> _Target:
        for reply in got[unit.start : unit.stop]:
            if isinstance(reply, Redirected):
                node = self._slots.moved(reply, asked)
                return _Target(node, node, unit.slot, asking=reply.once)
        return _Target(None, asked, unit.slot)

    async def _repeat(
        self, units: Sequence[_Unit], target: _Target, tail: _Unit, got: list[Any], block: float
    ) -> Address:
        """Send commands once more, and put the replies in the place of those before.

        Returns:
            The node that was asked.
        """
        asking = _ASKING if target.asking else b""
        packed = b"".join(asking + unit.packed for unit in units) + tail.packed
        count = sum(unit.size + target.asking for unit in units) + tail.size
        node = target.node
        try:
            if node is None:
                node = await self._reach(target.slot)
            replies = iter(await self._send(node, packed, count, block))
        except ServerUnavailable as error:
            for unit in units:
                got[unit.start : unit.stop] = [error] * unit.size
            return node or target.asked
        for unit in units:
            if target.asking:
                next(replies)
            got[unit.start : unit.stop] = [next(replies) for _ in range(unit.size)]
        for place, reply in enumerate(replies, tail.start):
            # What waits for replicas has to have seen them at every node.
            before = got[place]
            both = isinstance(before, int) and isinstance(reply, int)
            got[place] = min(before, reply) if both else reply
        return node


class _Unit(NamedTuple):
    """Commands that are carried out together: one, or a whole transaction.

    Attributes:
        start: the place of the first.
        stop: the place after the last.
    """

    packed: bytes
    start: int
    stop: int
    slot: int | None = None

    @property
    def size(self) -> int:
        """How many commands they are."""
        return self.stop - self.start

    def is_left(self, got: Sequence[Any]) -> bool:
        """Whether it was not carried out, and may be elsewhere or later."""
        return any(map(_may_be_repeated, got[self.start : self.stop]))

    def must_wait(self, got: Sequence[Any]) -> bool:
        """Whether it is of no use to repeat it at once."""
        return self.is_left(got) and not any(
            isinstance(reply, Redirected) for reply in got[self.start : self.stop]
        )

    def may_stay(self, got: Sequence[Any]) -> bool:
        """Whether no reply speaks against what is known of the Cluster."""
        replies = got[self.start : self.stop]
        return not any(
            isinstance(reply, ServerUnavailable) or (isinstance(reply, Unstable) and reply.down)
            for reply in replies
        )


class _Target(NamedTuple):
    """Where commands are to be sent.

    Attributes:
        node: the node; ``None`` for the one that has the slot.
        asked: a node that was asked before.
        asking: whether the slot is only on its way there.
    """

    node: Address | None
    asked: Address
    slot: int | None
    asking: bool = False


class _Patience:
    """Waits, a little longer each time, until it is enough."""

    def __init__(self) -> None:
        self._attempt = 0
        self._end = time.monotonic() + PATIENCE

    async def pause(self) -> bool:
        """Wait; whether there is still time for another attempt."""
        if time.monotonic() >= self._end:
            return False
        self._attempt += 1
        await asyncio.sleep(BACKOFF.delay(self._attempt))
        return True


def _units(commands: Sequence[tuple[bytes, int | None]]) -> tuple[list[_Unit], _Unit]:
    """What is to be carried out together, and what follows all of it and has no key."""
    units: list[_Unit] = []
    begun: int | None = None
    for place, (packed, slot) in enumerate(commands):
        if packed == _MULTI:
            begun = place
        elif begun is not None and packed == _EXEC:
            part = commands[begun : place + 1]
            slots = (slot for _, slot in part if slot is not None)
            whole = b"".join(packed for packed, _ in part)
            units.append(_Unit(whole, begun, place + 1, next(slots, None)))
            begun = None
        elif begun is None and slot is not None:
            units.append(_Unit(packed, place, place + 1, slot))
    end = units[-1].stop if units else len(commands)
    rest = b"".join(packed for packed, _ in commands[end:])
    return units, _Unit(rest, end, len(commands))


def _any_elsewhere(replies: Sequence[Any]) -> bool:
    return any(isinstance(reply, _ELSEWHERE) for reply in replies)


def _may_be_repeated(reply: Any) -> bool:
    """Whether a command was not carried out, and may be elsewhere or later."""
    if isinstance(reply, OutcomeUnknown):
        return False
    return isinstance(reply, (*_ELSEWHERE, ServerUnavailable))
