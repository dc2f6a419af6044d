"""Held jobs that other hands have left alone: a sweep lets them go on."""

from __future__ import annotations

import random
from collections.abc import Sequence

from streamq import lua
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

START = ("-", "0", "")


class HeldJobs:
    """Sweeps the flow control of the group, four times in a lease, and when its rules change."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._places: Sequence[str] = START
        self._version = -1
        self._next_at = 0.0

    @property
    def next_at(self) -> float:
        """When it is to be asked next."""
        return 0.0 if self._version != self._context.control.version else self._next_at

    async def take(self, room: int) -> Sequence[Delivery]:
        """Sweep; what may run now is read as all else is."""
        context = self._context
        version = context.control.version
        call = lua.sweep(context.keys, context.control.rules, self._places)
        moved, *places = await context.link.run(call)
        self._places = [place.decode() for place in places]
        self._version = version
        pause = 0.0 if moved else context.lease / 4 * random.uniform(1.0, 1.25)
        self._next_at = now() + pause
        return ()
