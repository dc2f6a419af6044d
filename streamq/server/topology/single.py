"""One server that has all keys."""

from __future__ import annotations

from functools import partial

from streamq.server.address import Address
from streamq.server.link import Link
from streamq.server.listener import Listener
from streamq.server.opening import Connect, open_connection
from streamq.server.topology.topology import Topology


class Single(Topology):
    """One server that has all keys.

    Args:
        address: where it is.
        connect: opens connections to it, if not as to a server that stands by itself.
    """

    def __init__(self, address: Address, connect: Connect | None = None) -> None:
        self.where, self.embedded = address.shown, address.embedded
        tcp = (address.host, address.port)
        self.peer = tcp if address.path is None else (address.path, None)
        self._connect: Connect = connect or partial(open_connection, address)

    def link(self, name: str | None, timeout: float) -> Link:
        """See :meth:`Topology.link`."""
        return Link(self._connect, name, timeout)

    def listener(self, name: str) -> Listener:
        """See :meth:`Topology.listener`."""
        return Listener(self._connect, name)
