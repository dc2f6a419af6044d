"""What all sources of one consumer share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from streamq.handlers.table import Handlers
from streamq.produce.periodic import Schedule
from streamq.server import Link
from streamq.server.packing import pack
from streamq.signals import Signals, Vanished
from streamq.wire.keys import GroupKeys
from streamq.worker.control import Control
from streamq.worker.inflight import InFlight

CHUNK = 500
"""IDs asked for at once."""


@dataclass(frozen=True, slots=True)
class Context:
    """One consumer of one group, as its sources see it.

    Attributes:
        keys: the stream's and the group's.
        consumer: its name.
        link: its connection for reading.
        in_flight: what it has.
        handlers: which types are handled, and how often.
        lease: seconds without a heartbeat after which an entry counts as stalled.
        control: the rules of the group, and whether it is paused.
        signals: where observers are called.
        alive: whether its own leases have been renewed lately; without that, reclaiming
            could rob this very consumer.
        cancel: called with the jobs in flight that were cancelled.
        fatal: called with an error that ends the worker.
        schedules: the periodic jobs that are in the code.
        history: how many of a job's attempts its record remembers.
        record_ttl: how long the record of a finished job is kept, ms.
    """

    keys: GroupKeys
    consumer: str
    link: Link
    in_flight: InFlight
    handlers: Handlers
    lease: float
    control: Control
    signals: Signals
    alive: Callable[[], bool]
    cancel: Callable[[Sequence[str]], None]
    fatal: Callable[[Exception], None]
    schedules: Sequence[Schedule] = ()
    history: int = 0
    record_ttl: int = 0

    @property
    def ask_cancelled(self) -> bytes:
        """The packed command that tells whether any job of the group is cancelled."""
        return _exists(self.keys.cancelled)

    async def note_cancelled(self, ids: Sequence[str]) -> Sequence[str]:
        """Find out which of some jobs are cancelled, and note it in what is in flight."""
        cancelled: list[str] = []
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            answers = await self.link.call("SMISMEMBER", self.keys.cancelled, *chunk)
            cancelled += [id for id, answer in zip(chunk, answers, strict=True) if answer]
        self.in_flight.cancelled.update(cancelled)
        return cancelled

    def vanished(self, ids: Sequence[bytes]) -> None:
        """Tell of pending entries that are no longer in the stream."""
        if ids:
            gone = [id.decode() for id in ids]
            self.signals.send(Vanished(self.keys.stream, self.keys.group, gone))


@lru_cache(maxsize=1024)
def _exists(key: str) -> bytes:
    return pack(("EXISTS", key))
