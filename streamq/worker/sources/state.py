"""What an operator has set for the group: looked at twice a second, before anything is read."""

from __future__ import annotations

import random
from collections.abc import Sequence

from streamq.flow.state import parse_state
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

POLL = 0.5
"""Seconds between looks: a pause takes effect within a second."""


class StateOfGroup:
    """Reads whether the group is paused, and its rules."""

    def __init__(self, context: Context) -> None:
        self.next_at = 0.0
        self._context = context

    async def take(self, room: int) -> Sequence[Delivery]:
        """Look; there is nothing to handle."""
        context = self._context
        flat = await context.link.call("HGETALL", context.keys.state)
        control = context.control
        control.set(parse_state(flat))
        # By the rules what is in flight is running: it is not to wait here while others could run.
        context.in_flight.wait_for_handlers(context.handlers.may_wait and not control.rules)
        self.next_at = now() + POLL * random.uniform(0.9, 1.1)
        return ()
