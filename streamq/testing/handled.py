"""What became of one delivery, as a test looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streamq.codec import decode_result
from streamq.job import Emitted as Wired
from streamq.job import Job
from streamq.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Emitted:
    """An event that a handler emitted.

    Attributes:
        stream: where it goes.
        type: its type.
        data: its data, decoded.
        options: ``key``, ``trace`` and ``expires`` (ms), as far as they were given.
    """

    stream: str
    type: str
    data: Any
    options: dict[str, Any]

    @classmethod
    def of(cls, job: Job, event: Wired) -> Emitted:
        """Out of what a job writes with its ack."""
        fields = dict(zip(event.fields[::2], event.fields[1::2], strict=True))
        raw, type = fields.pop("data"), fields.pop("type", "")
        assert isinstance(raw, bytes)
        options = {str(name): value for name, value in fields.items()}
        return cls(event.stream, str(type), job.decode(raw), options)


@dataclass(frozen=True)
class Handled:
    """What became of one delivery.

    Attributes:
        stream: the job's stream.
        group: the group that processed it.
        type: the job's type.
        data: its data.
        attempt: which attempt it was; 1 is the first.
        outcome: succeeded, retry, dead, expired or skipped.
        result: what is kept of what the handler returned, decoded; ``None`` for nothing.
        reason: of a dead letter, a short fixed phrase such as ``retries exhausted``.
        error: what went wrong, as a person reads it; empty for nothing.
        delay: seconds until the next attempt.
        exception: what the handler raised.
        emitted: the events that are written with the ack.
    """

    stream: str
    group: str
    type: str
    data: Any
    attempt: int
    outcome: Outcome
    result: Any
    reason: str
    error: str
    delay: float
    exception: BaseException | None
    emitted: Sequence[Emitted]

    @classmethod
    def of(cls, verdict: Verdict) -> Handled:
        """Out of a worker's verdict."""
        job = verdict.job
        try:
            data = job.data
        except Exception:
            data = None  # what is no JSON is a dead letter, and says so
        return cls(
            job.stream, job.group, job.type, data, job.attempt, verdict.outcome,
            result=decode_result(job.codec, verdict.result) if verdict.result else None,
            reason=verdict.reason, error=verdict.error, delay=verdict.delay,
            exception=verdict.exception,
            emitted=[Emitted.of(job, event) for event in job.emitted or ()],
        )  # fmt: skip
