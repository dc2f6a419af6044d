"""Entries whose consumer died, hung or was cut off."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from streamq import lua
from streamq.signals import DeadLettered, Reclaimed
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context
from streamq.worker.sources.source import now

TURN = 0.05
"""Seconds between looks at whether the next stalled entry may have its last attempt."""

KEPT = 24 * 3600 * 1000
"""Milliseconds for which the record of a job is kept whose attempt was lost."""

SILENCE = 3600.0
"""Seconds after which a silent consumer that holds nothing is removed."""


class StalledEntries:
    """Reclaims stalled entries, and sends those without an attempt left to the dead letters.

    Those on their last attempt are taken one at a time: one of them may be the job that
    crashes its worker.
    """

    def __init__(self, context: Context) -> None:
        self.next_at = 0.0
        self._context = context
        self._last_attempt = "", 0
        self._last_attempt_until = 0.0
        self._heal_from = "-"

    async def take(self, room: int) -> Sequence[Delivery]:
        """Reclaim what has stalled, unless another worker has just looked."""
        context = self._context
        if room == 0 or not context.alive():
            return ()
        pause = context.lease / 4
        call = lua.reclaim(
            context.keys, context.consumer, room,
            lease=_ms(context.lease), pause=_ms(pause), silence=_ms(SILENCE),
            deliveries=context.handlers.deliveries,
            deliveries_by_type=context.handlers.deliveries_by_type,
            last_chances=int(self._may_take_last_attempt()), heal_from=self._heal_from,
            rules=context.control.rules,
        )  # fmt: skip
        reply = await context.link.run(call)
        time = now()
        self.next_at = time + pause * random.uniform(1.0, 1.25)
        if reply is None:
            return ()
        claimed, dead, deleted, _removed, more, heal_from, lost = reply
        self._heal_from = heal_from.decode()
        if more:
            self.next_at = time if claimed or dead or deleted else time + TURN
        if lost and context.history:
            await self._note_lost(lost, dead)
        self._tell(claimed, dead)
        context.vanished(deleted)
        for id, fields, count in claimed:
            if context.handlers.is_last(fields, count):
                self._last_attempt = id.decode(), count
                self._last_attempt_until = time + context.lease
        return [(id.decode(), fields, count) for id, fields, count in claimed]

    async def _note_lost(self, lost: Sequence[Any], dead: Sequence[bytes | int]) -> None:
        """Note in the records of jobs that their attempts were lost."""
        context, ended = self._context, set(dead[::3])
        attempts = [
            (id.decode(), count, holder, context.record_ttl if id in ended else KEPT)
            for id, count, holder in zip(lost[::3], lost[1::3], lost[2::3], strict=True)
        ]
        await context.link.run(lua.note_lost(context.keys, context.history, attempts))

    def _tell(
        self, claimed: Sequence[tuple[bytes, list[bytes], int]], dead: Sequence[bytes | int]
    ) -> None:
        context = self._context
        stream, group = context.keys.stream, context.keys.group
        for id, deliveries, type in zip(dead[::3], dead[1::3], dead[2::3], strict=True):
            assert isinstance(id, bytes)
            assert isinstance(type, bytes)
            named = type.decode("utf-8", "backslashreplace")
            context.signals.send(DeadLettered(stream, group, id.decode(), int(deliveries), named))
        if claimed:
            ids = [id.decode() for id, _, _ in claimed]
            context.signals.send(Reclaimed(stream, group, ids))

    def _may_take_last_attempt(self) -> bool:
        """Whether a job on its last attempt would be alone.

        One that has lived for a whole lease has shown that it is just slow.
        """
        running = self._context.in_flight.holds(*self._last_attempt)
        return not running or now() >= self._last_attempt_until


def _ms(seconds: float) -> int:
    return max(int(seconds * 1000), 1)
