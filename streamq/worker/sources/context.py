"""What all sources of one consumer share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamq.handlers.table import Handlers
from streamq.produce.periodic import Schedule
from streamq.server import Link
from streamq.signals import Signals, Vanished
from streamq.wire.keys import GroupKeys
from streamq.worker.inflight import InFlight


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
        signals: where observers are called.
        alive: whether its own leases have been renewed lately; without that, reclaiming
            could rob this very consumer.
        schedules: the periodic jobs that are in the code.
    """

    keys: GroupKeys
    consumer: str
    link: Link
    in_flight: InFlight
    handlers: Handlers
    lease: float
    signals: Signals
    alive: Callable[[], bool]
    schedules: Sequence[Schedule] = ()

    def vanished(self, ids: Sequence[bytes]) -> None:
        """Tell of pending entries that are no longer in the stream."""
        if ids:
            gone = [id.decode() for id in ids]
            self.signals.send(Vanished(self.keys.stream, self.keys.group, gone))
