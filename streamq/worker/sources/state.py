"""What was set for the group, and which of its jobs were cancelled: looked at twice a second."""

from __future__ import annotations

import random
from collections.abc import Sequence

from streamq.flow.state import parse_state
from streamq.server.packing import pack
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

POLL = 0.5
"""Seconds between looks: a pause or a cancellation takes effect within a second."""


class StateOfGroup:
    """Reads whether the group is paused, and its rules."""

    def __init__(self, context: Context) -> None:
        self.next_at = 0.0
        self._context = context

    async def take(self, room: int) -> Sequence[Delivery]:
        """Look; there is nothing to handle."""
        context, control = self._context, self._context.control
        flat, any_cancelled = await context.link.exchange(
            pack(("HGETALL", context.keys.state)) + context.ask_cancelled, 2
        )
        for reply in (flat, any_cancelled):
            if isinstance(reply, Exception):
                raise reply
        control.set(parse_state(flat))
        control.any_cancelled = bool(any_cancelled)
        # By the rules what is in flight is running: it is not to wait here while others could run.
        context.in_flight.wait_for_handlers(context.handlers.may_wait and not control.rules)
        if any_cancelled:
            ids = [id for id, _ in context.in_flight.deliveries()]
            context.cancel(await context.note_cancelled(ids))
        else:
            context.in_flight.cancelled.clear()
        self.next_at = now() + POLL * random.uniform(0.9, 1.1)
        return ()
