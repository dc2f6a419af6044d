"""What happens in a worker, as observers see it.

What happens to jobs a worker tells to observers; the log and the metrics are two of
them. An observer is any callable that takes an event and returns at once (it runs in the
event loop)::

    def observe(event: Signal) -> None:
        match event:
            case Settled(verdicts):
                ...
            case ServerLost(error):
                ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamq.job import Job
from streamq.verdict import Verdict

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """The server has applied these verdicts, in one batch."""

    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class Refused:
    """The server did not apply a verdict, because the entry was no longer ours.

    Attributes:
        holder: the consumer that holds the entry now, ``""`` for none.
    """

    verdict: Verdict
    holder: str


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Entries in flight turned out to be another consumer's; their handlers are cancelled."""

    stream: str
    group: str
    job_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Stalled entries of other consumers were taken over."""

    stream: str
    group: str
    job_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A stalled entry had no deliveries left and went to the dead letters.

    Attributes:
        type: the job's type, ``""`` for a job without one.
    """

    stream: str
    group: str
    job_id: str
    deliveries: int
    type: str = ""


@dataclass(frozen=True, slots=True)
class Vanished:
    """Pending entries were deleted or trimmed from the stream by another program."""

    stream: str
    group: str
    job_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class GroupCreated:
    """The group did not exist and was made.

    Attributes:
        again: it had existed while this worker ran; it or its stream was deleted.
    """

    stream: str
    group: str
    again: bool


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A group without a live consumer keeps its entries no longer: they were given up.

    Attributes:
        unread: entries that it had not read, and will not be given.
        pending: jobs that it had not settled; they are dead letters now.
    """

    stream: str
    group: str
    unread: int
    pending: int


@dataclass(frozen=True, slots=True)
class RetentionChanged:
    """The app has changed for how long settled entries of a stream are kept.

    Attributes:
        before: seconds; ``None`` for not at all.
        retain: the same, from now on.
    """

    stream: str
    before: float | None
    retain: float | None


@dataclass(frozen=True, slots=True)
class ScriptsRan:
    """The server has run scripts for this worker: told about once a second.

    Attributes:
        runs: the name of each, such as ``settle``, and the seconds from the call to its reply;
            the way there and back, and waiting for the connection, are in it.
    """

    runs: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Promoted:
    """Jobs for later were written to their stream.

    Attributes:
        late: how long after its time each of them was written, in seconds.
    """

    stream: str
    late: Sequence[float]


@dataclass(frozen=True, slots=True)
class Ticked:
    """A schedule has gone on: this worker was the first to come to these ticks.

    Attributes:
        schedule: its name.
        late: of each job that was written, how long after its tick, in seconds.
        missed: ticks that have no job, because no worker was there in time.
        overlapped: ticks that have no job, because the last one is not settled.
    """

    stream: str
    schedule: str
    late: Sequence[float]
    missed: int = 0
    overlapped: int = 0


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The server cannot be used; said once, until it is back."""

    error: Exception


@dataclass(frozen=True, slots=True)
class ServerBack:
    """The server can be used again."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HandlerAbandoned:
    """A handler ignored its cancellation; its job was settled without it."""

    job: Job


@dataclass(frozen=True, slots=True)
class Started:
    """The worker consumes from now on; all its groups exist."""


@dataclass(frozen=True, slots=True)
class LoopAlive:
    """The worker's event loop turns: sent about once a second while it consumes.

    One that is not sent for long means that a handler blocks the loop.
    """


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker stops: it waits up to ``grace`` seconds for ``running`` handlers."""

    running: int
    grace: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """The process leaves at once; ``running`` jobs come back after ``lease`` seconds."""

    running: int
    lease: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has ended, for whatever reason."""


Signal = (
    Settled | Refused | LeaseLost | Reclaimed | DeadLettered | Vanished | GroupCreated
    | Abandoned | RetentionChanged | ScriptsRan | Promoted | Ticked | ServerLost | ServerBack
    | HandlerAbandoned | Started | LoopAlive | Stopping | Leaving | Stopped
)  # fmt: skip

Observer = Callable[[Signal], None]


class Signals:
    """Where the worker tells its observers. One that raises does not hurt the others."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def send(self, event: Signal) -> None:
        """Call every observer."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                _log.exception("an observer failed at %s", type(event).__name__)
