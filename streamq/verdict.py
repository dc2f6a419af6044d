"""What became of one delivery, and how that is decided: pure functions of the job."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from enum import Enum
from typing import Any

from streamq.codec import Cipher
from streamq.errors import DataGone, HandlerFailed, InvalidArguments, InvalidEntry, JobTimeout
from streamq.handlers.handler import Handler
from streamq.handlers.table import Handlers
from streamq.job import Job
from streamq.limits import MAX_ERROR, MAX_RESULT
from streamq.retry import Backoff, Dead, Retry
from streamq.text import printable
from streamq.tracebacks import shortened, traceback_of
from streamq.wire import json

_log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of one delivery."""

    SUCCEEDED = "succeeded"
    RETRY = "retry"
    DEAD = "dead"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
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
        result: the handler's result as JSON, encrypted by a codec that does; ``b""`` for none.
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


def count_outcomes(verdicts: Sequence[Verdict]) -> dict[Outcome, int]:
    """How many verdicts there are of each outcome."""
    outcomes = [verdict.outcome for verdict in verdicts]
    return {outcome: outcomes.count(outcome) for outcome in Outcome}


_SUCCEEDED = Outcome.SUCCEEDED  # Python 3.11 is slow to look a member up


def unwanted(job: Job, handlers: Handlers, now: float) -> Verdict | None:
    """The verdict on a job that is not to be run, or ``None`` when it is.

    Args:
        now: Unix time in seconds, by the server's clock.
    """
    if job.only_for is not None and job.only_for != job.group:
        return Verdict(job, Outcome.SKIPPED)
    try:
        expires_at = job.expires_at
    except InvalidEntry as error:
        return dead(job, "invalid entry", error)
    if expires_at is not None and expires_at <= now:
        ended = time.time()
        verdict = Verdict(job, Outcome.EXPIRED, ended, ended)
        verdict.error = "expired before its turn came"
        return verdict
    if handlers.find(job.type) is None:
        if handlers.ignores(job.type):
            return Verdict(job, Outcome.SKIPPED)
        named = f"the type {printable(job.type)!r}" if job.type else "jobs without a type"
        return dead(job, "no handler", f"this group has no handler for {named}")
    return None


def unbound(job: Job, handler: Handler, error: Exception) -> Verdict:
    """The verdict on a job whose data did not become arguments."""
    if isinstance(error, DataGone):
        return dead(job, "data gone", error)
    if isinstance(error, InvalidEntry):
        return dead(job, "invalid entry", error)
    if isinstance(error, InvalidArguments):
        return dead(job, "invalid arguments", error)
    return failed(job, handler, time.time(), error)  # a validator of the user's raised it


def succeeded(job: Job, started: float, result: Any, keep: bool) -> Verdict:
    """The verdict on a job whose handler returned ``result``."""
    verdict = Verdict(job, _SUCCEEDED, started, time.time())
    if keep and result is not None:
        verdict.result, verdict.error = _encode_result(result, job.cipher)
    return verdict


def failed(job: Job, handler: Handler, started: float, error: BaseException) -> Verdict:
    """The verdict on a job whose handler raised ``error``: another attempt, or dead."""
    job.emitted = None
    verdict = Verdict(job, Outcome.RETRY, started, time.time())
    verdict.error, verdict.exception = _describe(error), error
    if isinstance(error, Dead):
        verdict.outcome, verdict.reason = Outcome.DEAD, "gave up"
    elif job.attempt > handler.retries:
        verdict.outcome, verdict.reason = Outcome.DEAD, "retries exhausted"
    elif isinstance(error, Retry) and error.delay is not None:
        verdict.delay = error.delay
    else:
        try:
            verdict.delay = _backoff(handler.backoff, job.attempt)
        except Exception as fault:  # a backoff of the user's own
            return dead(job, "no backoff", f"its backoff raised {_describe(fault)}")
    return verdict


def timed_out(
    job: Job, handler: Handler, started: float, ended: BaseException | None = None
) -> Verdict:
    """The verdict on a job that ran longer than its handler's timeout.

    Args:
        ended: what its cancellation raised, which tells where it was.
    """
    error = JobTimeout(f"ran longer than its timeout of {handler.timeout or 0:g} s")
    if ended is not None:
        error.__traceback__ = ended.__traceback__
    return failed(job, handler, started, error)


def cancelled(job: Job, started: float = 0.0) -> Verdict:
    """The verdict on a job that an operator or its producer has cancelled."""
    job.emitted = None
    ended = time.time()
    verdict = Verdict(job, Outcome.CANCELLED, started or ended, ended)
    verdict.error = "cancelled while it ran" if started else "cancelled before it ran"
    return verdict


def released(job: Job, started: float = 0.0) -> Verdict:
    """The verdict that gives a job back as if it had not been delivered."""
    job.emitted = None
    return Verdict(job, Outcome.RELEASED, started, time.time())


def dead(job: Job, reason: str, error: object) -> Verdict:
    """The verdict on a job that no retry can help."""
    verdict = Verdict(job, Outcome.DEAD)
    verdict.reason, verdict.error = reason, printable(error, MAX_ERROR)
    return verdict


def unsent(verdict: Verdict, why: str) -> Verdict:
    """The verdict on a job whose events could not be written: dead, and it says why."""
    targets = ", ".join(sorted({event.stream for event in verdict.job.emitted or ()}))
    verdict.job.emitted = None
    unsent = Verdict(verdict.job, Outcome.DEAD, verdict.started, verdict.finished)
    unsent.reason = "emit failed"
    why = printable(why, 300) or f"one of the keys {targets} is not a stream"
    unsent.error = f"an event could not be written: {why}"
    return unsent


def foreseen(error: BaseException) -> bool:
    """Whether an error says all that is to be known, and where it was raised tells nothing."""
    return isinstance(error, Dead | Retry | HandlerFailed) and error.__cause__ is None


def traceback(verdict: Verdict) -> str:
    """Where the handler failed, shortened for a dead letter; ``""`` where that tells nothing."""
    error = verdict.exception
    return "" if error is None or foreseen(error) else shortened(traceback_of(error))


def _backoff(backoff: Backoff, attempt: int) -> float:
    try:
        delay = float(backoff.delay(attempt))
        if 0 <= delay < float("inf"):
            return delay
    except Exception:
        pass
    # A class of the user's that breaks: the job is not to suffer for it.
    _log.warning("%s gave no delay that can be used, the default one does", printable(backoff, 200))
    return Backoff().delay(attempt)


def _describe(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the handler called sys.exit({printable(error.code, 100)})"
    text = printable(error, MAX_ERROR)
    if text and isinstance(error, Dead | HandlerFailed | JobTimeout | Retry):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _encode_result(result: Any, cipher: Cipher | None) -> tuple[bytes, str]:
    try:
        raw = json.dumps(result)
    except ValueError as error:
        return b"", f"the result was not kept: {printable(error, 200)}"
    if len(raw) > MAX_RESULT:
        return b"", f"the result was not kept: {len(raw):,} bytes, the limit is {MAX_RESULT:,}"
    return raw if cipher is None else cipher.encrypt(raw), ""
