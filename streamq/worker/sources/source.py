"""What the fetching stage knows of a source."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from streamq.worker.inflight import Delivery


class Source(Protocol):
    """One way by which deliveries come to a consumer."""

    @property
    def next_at(self) -> float:
        """When it is to be asked next, by the event loop's clock."""
        ...

    async def take(self, room: int) -> Sequence[Delivery]:
        """What there is now, up to ``room`` deliveries, claimed for this consumer.

        Raises:
            StreamqError: the server did not answer, or refused.
        """
        ...


def now() -> float:
    """The time of the event loop's clock."""
    return asyncio.get_running_loop().time()
