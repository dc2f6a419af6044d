"""Verdicts as ``settle.lua`` takes them; that script's header has the other side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from streamq import lua
from streamq.errors import JobTimeout
from streamq.limits import KEEP_DATA, MAX_TRACEBACK
from streamq.lua import Arg
from streamq.text import printable
from streamq.verdict import Outcome, Verdict, traceback
from streamq.wire.keys import GroupKeys, stream_keys
from streamq.wire.offloaded import new_ref

if TYPE_CHECKING:
    from streamq.job import Emitted
    from streamq.offload import Offload

MOST_BYTES = 8 * 1024 * 1024
"""Bytes of events and results that one call takes; a single verdict may have more."""

TOO_LARGE = 256 * 1024 * 1024
"""Bytes that the events of one job may take."""

FOREVER = 1e10
"""Seconds that a retry may be put off: some 300 years."""

Words = tuple[Arg, ...]

_STATES = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.EXPIRED: "expired",
    Outcome.CANCELLED: "cancelled",
}
_ACK: Words = ("s", 1)
_SKIP: Words = ("k", 1)
_SUCCEEDED = Outcome.SUCCEEDED  # Python 3.11 is slow to look a member up


class TooLarge(Exception):
    """The events of one job are more than a call may carry."""

    def __init__(self, verdict: Verdict, size: int) -> None:
        super().__init__(f"they take {size:,} bytes, and those of one job may take {TOO_LARGE:,}")
        self.verdict = verdict


def settle_call(
    keys: GroupKeys, consumer: str, record_ttl: int, ahead: float, batch: Sequence[Verdict],
    make: Callable[..., lua.Call] = lua.settle, noted: Collection[str] = (), history: int = 0,
) -> tuple[lua.Call, int]:  # fmt: skip
    """The call that applies a batch of verdicts, or as many of them as it may carry.

    Those that follow each other and are alike share their head.

    Args:
        record_ttl: how long status records are kept, ms; 0 leaves none.
        ahead: seconds by which the server's clock is ahead of ours: times in records are the
            server's, as those in entry IDs are.
        make: makes the call; that of a group with rules also lets others run.
        noted: the jobs of which it is noted how far they are; that is over now.
        history: how many of a job's attempts its record remembers.

    Returns:
        The call, and how many verdicts of the batch it applies: at least one.

    Raises:
        TooLarge: one of the verdicts could never be sent.
    """
    more_keys: list[str] = []
    pairs: list[Arg] = []
    verdicts: list[Arg] = []
    job_prefix = keys.job_prefix
    run: Words = ()
    count, count_at = 0, 0
    taken, size = 0, 0
    for verdict in batch:
        job = verdict.job
        head, words, recorded = _words(verdict, record_ttl, ahead)
        alike = head == run and head and not job.emitted
        is_noted, ref = False, None
        if noted or job.meta is not None:
            is_noted, ref = job.id in noted, job.ref
        if not alike or is_noted or ref is not None:
            own = weight(verdict)
            if own > TOO_LARGE:
                raise TooLarge(verdict, own)
            size += own
            if size > MOST_BYTES and taken:
                break
            if run:
                verdicts[count_at] = count
            if ref is not None:
                verdicts += ("x", ref.place)
                offloaded = stream_keys(keys.stream)
                more_keys += (offloaded.data_holders, offloaded.data_unheld)
            for event in emitted(verdict):
                _emit(event, job.offload, verdicts, more_keys)
            if is_noted:
                verdicts.append("p")
                more_keys.append(job_prefix + job.id)
            run, count, count_at = head, 0, len(verdicts) + 1
            verdicts += head
        taken += 1
        count += 1
        pairs += (job.id, job.attempt)
        if words:
            verdicts += words
            if recorded:
                more_keys.append(job_prefix + job.id)
    if run:
        verdicts[count_at] = count
    call = make(keys, consumer, record_ttl, taken, more_keys, pairs, verdicts, history=history)
    return call, taken


def weight(verdict: Verdict) -> int:
    """About how many bytes a verdict sends, beside what every one does."""
    frames = MAX_TRACEBACK if verdict.outcome is Outcome.DEAD else 0
    return len(verdict.result) + frames + sum(event.size for event in emitted(verdict))


def emitted(verdict: Verdict) -> Sequence[Emitted]:
    """The events that are written with a verdict.

    A handler that was abandoned may run on in its thread, and emit.
    """
    return verdict.job.emitted or () if verdict.outcome is _SUCCEEDED else ()


def _emit(
    event: Emitted, offload: Offload | None, verdicts: list[Arg], more_keys: list[str]
) -> None:
    fields = event.fields
    more_keys.append(event.stream)
    place = 1 if fields[0] == "data" else 3  # after the type, if it has one
    raw = fields[place]
    if offload is None or not isinstance(raw, bytes) or len(raw) <= offload.above:
        verdicts += ("e", len(fields), *fields)
        return
    # Beside the stream in any case: an object store cannot write it with the ack, or not at all.
    ref = new_ref(len(raw), in_store=False)
    more_keys.append(stream_keys(event.stream).data(ref.name))
    small = (*fields[:place], b"", *fields[place + 1 :], "ref", ref.value)
    verdicts += ("E", len(small), raw, *small)


def _words(verdict: Verdict, record_ttl: int, ahead: float) -> tuple[Words, Words, bool]:
    """One verdict.

    Returns:
        What it may share with those that follow, the rest, and whether it has a record.
    """
    job, outcome = verdict.job, verdict.outcome
    if outcome in _STATES:
        # A first delivery has left no record that would have to go.
        if record_ttl or job.attempt > 1:
            return _record(verdict, ahead)
        return _ACK, (), False
    if outcome is Outcome.RETRY:
        delay = int(min(verdict.delay, FOREVER) * 1000)
        words: Words = (
            "r", delay, verdict.error, job.retries + 1, *_attempt(verdict, ahead),
        )  # fmt: skip
        trace = getattr(job, "failed_trace", None)
        return (), words if trace is None else ("t", trace, *words), True
    if outcome is Outcome.DEAD:
        attempt = _attempt(verdict, ahead)
        return (), ("d", verdict.reason, verdict.error, traceback(verdict), *attempt), True
    if outcome is Outcome.RELEASED:
        return (), ("b",), False
    if job.only_for is not None and job.only_for != job.group:
        return (), ("f", printable(job.only_for)), False
    return _SKIP, (), False


def _attempt(verdict: Verdict, ahead: float) -> Words:
    """How a failed attempt ended, when it began and when it ended, ms."""
    how = "timed out" if isinstance(verdict.exception, JobTimeout) else "failed"
    if not verdict.started:
        return how, 0, 0
    return how, int((verdict.started + ahead) * 1000), int((verdict.finished + ahead) * 1000)


def _record(verdict: Verdict, ahead: float) -> tuple[Words, Words, bool]:
    job, state = verdict.job, _STATES[verdict.outcome]
    raw = job.raw
    words = (
        raw if len(raw) <= KEEP_DATA else b"",
        int((verdict.started + ahead) * 1000), int((verdict.finished + ahead) * 1000),
    )  # fmt: skip
    if verdict.result or verdict.error:
        return (), ("R", state, job.type, *words, verdict.result, verdict.error), True
    return ("S", 1, state, job.type), words, True
