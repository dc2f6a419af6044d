"""Jobs for later whose time has come: they become entries, for every group."""

from __future__ import annotations

import random
from collections.abc import Sequence

from streamq import lua
from streamq.limits import SCHEDULE_REMEMBERED
from streamq.wire.keys import stream_keys
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

MOST = 250
"""Jobs that one call writes: for about 2 ms, in which the server does nothing else."""

POLL = 0.1
"""Seconds between looks for what is due sooner than all that was scheduled at the last look."""

IDLE_POLL = 0.25
"""Seconds between looks where nothing is scheduled."""


class ScheduledJobs:
    """Writes due jobs to the stream; they are then read as all new entries are."""

    def __init__(self, context: Context) -> None:
        self.next_at = 0.0
        self._context = context
        self._keys = stream_keys(context.keys.stream)

    async def take(self, room: int) -> Sequence[Delivery]:
        """Write them; there is nothing to handle yet."""
        link = self._context.link
        next_in, *found = await link.run(lua.due(self._keys, MOST))
        more = False
        if found:
            due = list(zip(found[::2], found[1::2], strict=True))
            call = lua.promote(self._keys, due, int(SCHEDULE_REMEMBERED * 1000))
            reached, _ = await link.run(call)
            more = reached < len(due) or len(due) == MOST
        nothing = next_in < 0
        pause = IDLE_POLL * random.uniform(0.9, 1.1) if nothing else min(next_in / 1000, POLL)
        self.next_at = 0.0 if more else now() + pause
        return ()
