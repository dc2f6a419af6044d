"""A Cluster: each node has a part of the slots, and with them a part of the streams."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from streamq.server.address import Address
from streamq.server.link import Link
from streamq.server.listener import Listener
from streamq.server.topology.cluster.link import ClusterLink
from streamq.server.topology.cluster.listener import ClusterListener
from streamq.server.topology.cluster.slot_map import SlotMap, connect_to
from streamq.server.topology.single import Single
from streamq.server.topology.topology import Topology
from streamq.server.topology.urls import split_url, wrong_url


class Cluster(Topology):
    """A Cluster.

    Args:
        seeds: some of its nodes, by which the others are found.
    """

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.seeds = seeds
        self._slots = SlotMap(seeds)
        self.where = self._slots.where
        self.peer = seeds[0].host, seeds[0].port

    @classmethod
    def of(cls, url: str) -> Cluster:
        """The Cluster that a URL names.

        Raises:
            ConfigError: the URL cannot be used.
        """
        hosts = split_url(url, "cluster")
        if len(hosts.path) > 1:
            raise wrong_url("cluster")
        first = hosts.address("".join(hosts.path))
        return cls([first.at(*host) for host in hosts.hosts])

    def link(self, name: str | None, timeout: float) -> Link:
        """See :meth:`Topology.link`."""
        return ClusterLink(self._slots, name, timeout)

    def listener(self, name: str) -> Listener:
        """See :meth:`Topology.listener`."""
        return ClusterListener(self._slots, name)

    async def parts(self) -> Sequence[Topology]:
        """See :meth:`Topology.parts`."""
        owners = await self._slots.owners()
        return [Single(owner, connect=connect_to(owner)) for owner in owners]

    def separate(self) -> Topology:
        """See :meth:`Topology.separate`."""
        other = copy(self)
        other._slots = self._slots.separate()
        return other
