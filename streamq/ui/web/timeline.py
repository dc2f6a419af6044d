"""How a job came to be what it is in a group: what is known of it, in order."""

from __future__ import annotations

from dataclasses import dataclass

from streamq.admin import GroupStatus, JobStatus


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job, or will.

    Attributes:
        what: for a person, such as ``Attempt 2 failed``.
        state: which state it has the colour of.
        at: when; Unix time in seconds, ``None`` where that is not known.
        seconds: how long it took.
        after: seconds since what is above it.
        consumer: who did it.
        error: what went wrong.
        traceback: where in the code.
    """

    what: str
    state: str
    at: float | None = None
    seconds: float | None = None
    consumer: str | None = None
    error: str | None = None
    traceback: str | None = None
    ahead: float | None = None


def timeline(job: JobStatus, status: GroupStatus) -> list[Event]:
    """What is known of a job in a group, the first thing first."""
    found = [] if job.created_at is None else [Event("Written", "queued", job.created_at)]
    attempts = getattr(status, "history", ()) or ()
    for one in attempts:
        outcome = _OUTCOMES.get(one.outcome, one.outcome)
        found.append(
            Event(
                f"Attempt {one.number} {outcome}", _STATES.get(one.outcome, "retrying"),
                one.started_at, one.seconds, one.consumer, one.error,
            )
        )  # fmt: skip
    known = {one.number for one in attempts}
    return [*found, *_now(status, known)]


_OUTCOMES = {"worker lost": "was lost with its worker"}
_STATES = {
    "succeeded": "succeeded", "cancelled": "cancelled", "expired": "expired",
    "worker lost": "stalled",
}  # fmt: skip


def _now(status: GroupStatus, known: set[int]) -> list[Event]:
    """The state that it is in, and how it came to that as far as no history says."""
    number = status.attempts
    of = f" of {status.max_attempts}" if status.max_attempts else ""
    attempt = "" if number is None else f"Attempt {number}{of}"
    earlier = _earlier(status, known)
    match status.state:
        case "queued":
            return [Event("Waits in the queue", "queued")]
        case "running":
            running = Event(f"{attempt} is running", "running", consumer=status.consumer)
            return [*earlier, running]
        case "stalled":
            stalled = Event(
                f"{attempt} has stalled: its consumer is silent, and another one takes it over",
                "stalled", consumer=status.consumer,
            )  # fmt: skip
            return [*earlier, stalled]
        case "retrying":
            failed = Event(f"{attempt} failed", "retrying", status.failed_at, error=status.error)
            shown = [] if number in known else [failed]
            waits = Event("Next attempt", "queued", ahead=status.next_attempt)
            return [*shown, waits]
        case "held":
            return [*earlier, Event("Held by the rules of the group", "held")]
        case "succeeded" | "expired" | "cancelled":
            return _ended(status, attempt, known)
        case "dead":
            dead = Event(
                f"Dead letter: {status.reason}", "dead", status.dead_since,
                consumer=status.consumer, error=None if number in known else status.error,
            )  # fmt: skip
            if not attempt:
                return [dead]
            shown = [] if number in known else [Event(f"{attempt} failed", "retrying")]
            return [*shown, dead]
        case _:
            return [Event((status.note or status.state).capitalize(), status.state)]


def _earlier(status: GroupStatus, known: set[int]) -> list[Event]:
    if status.error is None or status.attempts is None or status.attempts - 1 in known:
        return []
    number = max(status.attempts - 1, 1)
    return [Event(f"Attempt {number} failed", "retrying", status.failed_at, error=status.error)]


def _ended(status: GroupStatus, attempt: str, known: set[int]) -> list[Event]:
    seconds = None
    if status.started_at is not None and status.finished_at is not None:
        seconds = max(status.finished_at - status.started_at, 0.0)
    if status.state == "succeeded":
        if status.attempts in known:
            return []
        return [
            Event(
                f"{attempt or 'It'} succeeded", "succeeded", status.finished_at, seconds,
                status.consumer,
            )
        ]  # fmt: skip
    return [Event(status.state.capitalize(), status.state, status.finished_at)]
