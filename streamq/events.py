"""What happens in a worker, told to observers.

What happens to jobs a worker tells to observers; the log and the metrics are two of
them. An observer is any callable that takes an event and returns at once (it runs in the
event loop)::

    def observe(event: Event) -> None:
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
from enum import Enum

from streamq.job import Job

_log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of one delivery."""

    SUCCEEDED = "succeeded"
    RETRY = "retry"
    DEAD = "dead"
    EXPIRED = "expired"
    RELEASED = "released"
    """Given back: the delivery does not count."""
    SKIPPED = "skipped"
    """The entry is for another group, or of a type that this group ignores."""


class Verdict:
    """One delivery's outcome, on its way to the server.

    Attributes:
        job: the delivery.
        outcome: what became of it.
        started: Unix time in seconds at which the handler was called; 0.0 if it was not.
        finished: Unix time in seconds at which it ended.
        result: the handler's result as JSON, ``b""`` for none.
        reason: of a dead letter, a short fixed phrase such as ``gave up``.
        error: what went wrong, for a person.
        delay: seconds until the next try.
        exception: what the handler raised, if it did.
    """

    # What most verdicts do not need costs them nothing.
    result: bytes = b""
    reason: str = ""
    error: str = ""
    delay: float = 0.0
    exception: BaseException | None = None

    def __init__(
        self, job: Job, outcome: Outcome, started: float = 0.0, finished: float = 0.0
    ) -> None:
        self.job = job
        self.outcome = outcome
        self.started = started
        self.finished = finished

    def __repr__(self) -> str:
        return f"<Verdict {self.job.id} {self.outcome.value}>"


@dataclass(frozen=True, slots=True)
class Settled:
    """The server has applied these verdicts, in one batch."""

    verdicts: Sequence[Verdict]


def count_outcomes(verdicts: Sequence[Verdict]) -> dict[Outcome, int]:
    """How many verdicts there are of each outcome."""
    outcomes = [verdict.outcome for verdict in verdicts]
    return {outcome: outcomes.count(outcome) for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class Refused:
    """The server did not apply a verdict, because the entry was no longer ours.

    Attributes:
        holder: the consumer that holds the entry now, ``""`` for nobody.
    """

    verdict: Verdict
    holder: str


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Entries in hand turned out to be somebody else's; their handlers are cancelled."""

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
class Buried:
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
    """Pending entries were deleted or trimmed from the stream by somebody else."""

    stream: str
    group: str
    job_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class GroupCreated:
    """The group did not exist and was made.

    Attributes:
        again: it had existed while this worker ran; somebody deleted it or its stream.
    """

    stream: str
    group: str
    again: bool


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The server cannot be used; said once, until it is back."""

    error: Exception


@dataclass(frozen=True, slots=True)
class ServerBack:
    """The server can be used again."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HandlerStuck:
    """A handler ignored its cancellation; its job was settled without it."""

    job: Job


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


Event = (
    Settled | Refused | LeaseLost | Reclaimed | Buried | Vanished | GroupCreated
    | ServerLost | ServerBack | HandlerStuck | Stopping | Leaving
)  # fmt: skip

Observer = Callable[[Event], None]


class Events:
    """Where the worker tells its observers. One that raises hurts nobody else."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def tell(self, event: Event) -> None:
        """Call every observer."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                _log.exception("an observer failed at %s", type(event).__name__)
