"""Which node of a Cluster has which slots, as any of them tells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from functools import partial
from random import choice
from typing import Any

from streamq.errors import ServerRefused, ServerUnavailable, StreamqError
from streamq.server.address import Address
from streamq.server.link import Link
from streamq.server.opening import Connect, open_connection
from streamq.server.replies import Redirected, Unstable
from streamq.wire.slots import SLOTS

REPLY = 5.0
"""Seconds in which a node has to tell who has which slots."""


class SlotMap:
    """The nodes of a Cluster, and which of them has which slots, as far as is known.

    Args:
        seeds: some of its nodes, by which the others are found.
    """

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.where = ",".join(seed.shown for seed in seeds)
        self._seeds = seeds
        self._nodes: dict[tuple[str, int], Address] = {}
        self._owners: list[Address | None] = [None] * SLOTS
        self._primaries: list[Address] = []
        self.known = False
        """Whether what is known may be true."""
        self._turn = asyncio.Lock()
        self._asked = -1
        """How often somebody was asked."""

    def separate(self) -> SlotMap:
        """The same, as far as is known now, for another event loop."""
        other = copy(self)
        other._nodes, other._owners = dict(self._nodes), list(self._owners)
        other._turn = asyncio.Lock()
        return other

    async def owners(self) -> Sequence[Address]:
        """All nodes that have slots; errors as for :meth:`owner`."""
        await self.owner(None)
        return self._primaries

    async def owner(self, slot: int | None) -> Address:
        """The node that has a slot; any node for none in particular.

        Raises:
            Unstable: no node has it.
            ServerUnavailable: no node tells.
        """
        if not self.known:
            await self._ask()
        return self.known_owner(slot)

    def known_owner(self, slot: int | None) -> Address:
        """As :meth:`owner`, by what is known.

        Raises:
            Unstable: no node has it.
        """
        if slot is None and self._primaries:
            return choice(self._primaries)  # another one, after one that does not answer
        owner = None if slot is None else self._owners[slot]
        if owner is not None:
            return owner
        self.doubt()
        raise Unstable(
            f"the Cluster at {self.where} has no node for "
            + (f"slot {slot}" if slot is not None else "any slot")
            + ": `CLUSTER INFO` on one of its nodes tells more",
            down=True,
        )

    def doubt(self) -> None:
        """Ask again who has which slots, before the next command."""
        self.known = False

    def moved(self, by: Redirected, asked: Address) -> Address:
        """The node to which a node has sent us, which it says has the slot.

        Args:
            asked: the node that was asked.
        """
        owner = self._node(by.host, by.port, asked)
        if not by.once:
            self._owners[by.slot] = owner
        return owner

    async def _ask(self) -> None:
        async with self._turn:
            if self.known:
                return
            errors = []
            for address in self._candidates():
                try:
                    rows = await _slots(address)
                except StreamqError as error:
                    errors.append(error)
                else:
                    self._take(rows, address)
                    return
        raise self._unreachable(errors)

    def _candidates(self) -> Sequence[Address]:
        """The nodes that may tell; another one first each time, for its view may be old."""
        seeds = {(seed.host, seed.port): seed for seed in self._seeds}
        nodes = list((seeds | self._nodes).values())
        self._asked += 1
        turn = self._asked % len(nodes)
        return nodes[turn:] + nodes[:turn]

    def _take(self, rows: Any, asked: Address) -> None:
        owners: list[Address | None] = [None] * SLOTS
        known: dict[tuple[str, int], Address] = {}
        for first, last, *rest in rows:
            nodes = [self._node((host or b"").decode(), port, asked) for host, port, *_ in rest]
            known.update({(node.host, node.port): node for node in nodes})
            # The first of them is the primary.
            owners[first : last + 1] = nodes[:1] * (last + 1 - first)
        self._primaries = list(dict.fromkeys(owner for owner in owners if owner is not None))
        self._owners, self._nodes, self.known = owners, known, True

    def _node(self, host: str, port: int, asked: Address) -> Address:
        if host in ("", "?"):  # which it does not know of itself
            host = asked.host
        node = self._nodes.get((host, port))
        if node is None:
            node = self._nodes[host, port] = self._seeds[0].at(host, port)
        return node

    def _unreachable(self, errors: Sequence[StreamqError]) -> StreamqError:
        telling = [error for error in errors if not isinstance(error, ServerUnavailable)]
        if telling or len(errors) == 1:
            return [*telling, *errors][0]
        return ServerUnavailable(
            f"cannot connect to any node of the Cluster at {self.where}: "
            "check the addresses and that the nodes are running"
        )


def connect_to(address: Address) -> Connect:
    """What opens connections to a node."""
    return partial(open_connection, address, kind="node")


async def _slots(address: Address) -> Any:
    """Which nodes have which slots, as one of them has it."""
    link = Link(connect_to(address), timeout=REPLY)
    try:
        return await link.call("CLUSTER", "SLOTS")
    except ServerRefused as error:
        if "cluster support disabled" in str(error):
            raise ServerRefused(
                f"the server at {address.shown} is no node of a Cluster: "
                "write redis:// in the URL, without cluster=True"
            ) from None
        raise
    finally:
        await link.close()
