"""The consumers of a group, and which of them are alive.

This is the one place that says what alive means: the server has heard of the consumer
within the workers' lease. Whoever shows, counts or refuses by it asks here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streamq.admin.reading import named, text
from streamq.server import Server


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    """One consumer of a group.

    Attributes:
        name: ``host-pid-random`` for a streamq worker.
        pending: the entries that it holds.
        idle: seconds since the server last heard of it.
        alive: whether that is less than the lease.
    """

    name: str
    pending: int
    idle: float
    alive: bool

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def consumers_of(server: Server, stream: str, group: str, lease: float) -> list[ConsumerInfo]:
    """The consumers of a group, including the one that holds the parked entries.

    Raises:
        GroupNotFound: there is no such group.
    """
    return read_consumers(await server.call("XINFO", "CONSUMERS", stream, group), lease)


def read_consumers(reply: list[Any], lease: float) -> list[ConsumerInfo]:
    """The consumers in a reply to ``XINFO CONSUMERS``."""
    found = []
    for row in map(named, reply):
        idle = row[b"idle"] / 1000
        found.append(ConsumerInfo(text(row[b"name"]), row[b"pending"], idle, idle < lease))
    return found
