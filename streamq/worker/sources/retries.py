"""Parked entries whose retry time has come."""

from __future__ import annotations

from collections.abc import Sequence

from streamq import lua
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

POLL = 1.0
"""Seconds between looks for retries that other workers have parked."""


class DueRetries:
    """Claims due retries, for half of the room.

    So neither they nor new entries can starve the others; where there is room for one, they
    take turns.
    """

    def __init__(self, context: Context) -> None:
        self.next_at = 0.0
        self._context = context
        self._turn = 1

    async def take(self, room: int) -> Sequence[Delivery]:
        """Claim what is due."""
        context, most = self._context, (room + self._turn) // 2
        self._turn = 1 - self._turn
        call = lua.claim_due(context.keys, context.consumer, most)
        next_in, claimed, deleted = await context.link.run(call)
        self.next_at = now() + (POLL if next_in < 0 else min(next_in / 1000, POLL))
        context.vanished(deleted)
        return [(id.decode(), fields, count) for id, fields, count in claimed]

    def due_in(self, seconds: float) -> None:
        """Take note that this worker has parked an entry until then."""
        self.next_at = min(self.next_at, now() + seconds)

    def due_now(self) -> None:
        """Take note that something was given back."""
        self.next_at = 0.0
