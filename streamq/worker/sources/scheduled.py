"""Jobs for later whose time has come: they become entries, for every group."""

from __future__ import annotations

import random
from collections.abc import Sequence

from streamq import lua
from streamq.wire.keys import stream_keys
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now
from streamq.worker.sources.ticks import Ticks

MOST = 250
"""Jobs that one call writes."""

POLL = 1.0
"""Seconds between looks for jobs that others have scheduled."""


class ScheduledJobs:
    """Writes due jobs to the stream; they are then read as all new entries are.

    Args:
        ticks: learns from the replies what the time is, and whether there are schedules: a
            stream without any pays no call for them.
    """

    def __init__(self, context: Context, ticks: Ticks) -> None:
        self.next_at = 0.0
        self._context = context
        self._ticks = ticks
        self._keys = stream_keys(context.keys.stream)

    async def take(self, room: int) -> Sequence[Delivery]:
        """Write them; there is nothing to handle yet."""
        reply = await self._context.link.run(lua.promote(self._keys, MOST))
        next_in, written, time, version = reply
        self._ticks.heard(time, version)
        pause = POLL * random.uniform(0.9, 1.1) if next_in < 0 else min(next_in / 1000, POLL)
        self.next_at = 0.0 if written == MOST else now() + pause
        return ()
