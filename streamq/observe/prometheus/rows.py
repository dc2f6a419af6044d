"""What is counted of a process: rows of numbers, and the metrics that show them.

A row is what shares a set of labels. The columns of each kind of row are written down here
twice, one below the other: in ``numbers``, and in ``families``, which takes them in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, Metric

from streamq.observe.prometheus.histogram import LATE, SHORT, SIZES, Histogram, histogram_family
from streamq.verdict import Outcome, Verdict, count_outcomes

_BY_TYPE: Sequence[tuple[str, str, tuple[Outcome, ...]]] = (
    ("job_success", "Attempts that succeeded", (Outcome.SUCCEEDED,)),
    ("job_failure", "Attempts that failed: retried or dead", (Outcome.RETRY, Outcome.DEAD)),
    ("job_retry", "Failed attempts that are retried", (Outcome.RETRY,)),
    ("job_dead", "Jobs moved to the dead letters", (Outcome.DEAD,)),
    ("job_expired", "Jobs that expired before their turn came", (Outcome.EXPIRED,)),
    ("job_cancelled", "Jobs that were cancelled", (Outcome.CANCELLED,)),
    ("job_skipped", "Jobs settled unseen: for another group, or ignored", (Outcome.SKIPPED,)),
    ("job_released", "Deliveries given back when the worker stopped", (Outcome.RELEASED,)),
)

_BY_GROUP: Mapping[str, str] = {
    "streamq_refused": "Verdicts that came too late: the entry was no longer this worker's",
    "streamq_lease_lost": "Entries in flight that turned out to be another consumer's",
    "streamq_reclaimed": "Stalled entries reclaimed from other consumers",
    "streamq_vanished": "Pending entries that were deleted from the stream",
    "streamq_abandoned": "Jobs given up with a group without a live consumer, unread or pending",
    "streamq_handler_stuck": "Handlers that ignored their cancellation",
}

_BY_STREAM: Mapping[str, str] = {
    "streamq_cron_ticks_missed": "Ticks of schedules at which no worker was there in time",
    "streamq_cron_ticks_overlapped": "Ticks of schedules whose last job was not settled yet",
}

_OF_PROCESS: Mapping[str, str] = {
    "streamq_server_lost": "Times that the server was lost",
    "streamq_reconnects": "Times that the server was back after it had been lost",
    "streamq_server_lost_seconds": "Time without a server, added when it was back",
}

_RAN = (Outcome.SUCCEEDED, Outcome.RETRY, Outcome.DEAD)
"""Outcomes of handlers that came to their end."""

Key = tuple[str, ...]
"""The kind of a row, and the values of its labels."""

Counts = Mapping[Key, Sequence[float]]
"""All numbers, a row for each set of labels. Rows of one kind have the same columns."""


class Row(Protocol):
    """The numbers under one set of labels."""

    key: Key

    def numbers(self) -> list[float]:
        """All of them, always in the same order."""


class TypeRow:
    """Of one job type in one group."""

    def __init__(self, stream: str, group: str, type: str) -> None:
        self.key: Key = ("type", stream, group, type)
        # One writer, the event loop; every key is here from the start, so that a scrape
        # in another thread reads each number before or after a batch, and never iterates
        # over a changing dict.
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.duration = Histogram()
        self.wait = Histogram()

    def add(self, verdicts: Sequence[Verdict]) -> None:
        """Count a batch of its verdicts."""
        counts = count_outcomes(verdicts)
        for outcome, count in counts.items():
            self.outcomes[outcome] += count
        ran = verdicts
        if counts[Outcome.SUCCEEDED] < len(verdicts):
            # Without a start there was nothing to call: no handler, or no valid arguments.
            ran = [v for v in verdicts if v.started and v.outcome in _RAN]
        self.duration.observe([v.finished - v.started for v in ran])
        # The ID as a number, <ms>.<n>, is Job.created_at at a lower price. Later
        # deliveries have waited for other things: a backoff, a lease.
        self.wait.observe(
            [
                v.started - float(v.job.id.replace("-", ".")) / 1000
                for v in ran
                if v.job.attempt == 1
            ]
        )

    def numbers(self) -> list[float]:
        """See :class:`Row`."""
        return [*self.outcomes.values(), *self.duration.numbers(), *self.wait.numbers()]


def _type_families(rows: Sequence[tuple[Key, Sequence[float]]]) -> Iterator[Metric]:
    labels = ("stream", "group", "type")
    place = {outcome: i for i, outcome in enumerate(Outcome)}
    for name, text, counted in _BY_TYPE:
        counter = CounterMetricFamily(name, text, labels=labels)
        for values, row in rows:
            counter.add_metric(values, sum(row[place[outcome]] for outcome in counted))
        yield counter
    rest = [(values, iter(row[len(Outcome) :])) for values, row in rows]
    yield histogram_family("job_duration_seconds", "Time that a handler ran", labels, rest)
    text = "Time from the writing of the entry to the first call of its handler"
    yield histogram_family("job_wait_seconds", text, labels, rest)


class GroupRow:
    """Of one group on one stream."""

    def __init__(self, stream: str, group: str) -> None:
        self.key: Key = ("group", stream, group)
        self.counts = dict.fromkeys(_BY_GROUP, 0)
        self.batch = Histogram(SIZES)

    def numbers(self) -> list[float]:
        """See :class:`Row`."""
        return [*self.counts.values(), *self.batch.numbers()]


def _group_families(rows: Sequence[tuple[Key, Sequence[float]]]) -> Iterator[Metric]:
    labels = ("stream", "group")
    rest = [(values, iter(row)) for values, row in rows]
    yield from _counters(_BY_GROUP, labels, rest)
    text = "Outcomes that one call to the server settled"
    yield histogram_family("streamq_settle_batch_size", text, labels, rest, SIZES)


class StreamRow:
    """Of one stream: what is written to it because its time has come."""

    def __init__(self, stream: str) -> None:
        self.key: Key = ("stream", stream)
        self.counts = dict.fromkeys(_BY_STREAM, 0)
        self.late = Histogram(LATE)

    def numbers(self) -> list[float]:
        """See :class:`Row`."""
        return [*self.counts.values(), *self.late.numbers()]


def _stream_families(rows: Sequence[tuple[Key, Sequence[float]]]) -> Iterator[Metric]:
    rest = [(values, iter(row)) for values, row in rows]
    yield from _counters(_BY_STREAM, ("stream",), rest)
    text = "Time from when a job for later or a tick was due to its writing"
    yield histogram_family("streamq_schedule_late_seconds", text, ("stream",), rest, LATE)


class ScriptRow:
    """Of one script."""

    def __init__(self, script: str) -> None:
        self.key: Key = ("script", script)
        self.seconds = Histogram(SHORT)

    def numbers(self) -> list[float]:
        """See :class:`Row`."""
        return self.seconds.numbers()


def _script_families(rows: Sequence[tuple[Key, Sequence[float]]]) -> Iterator[Metric]:
    rest = [(values, iter(row)) for values, row in rows]
    text = "Time from a call of a script to its reply"
    yield histogram_family("streamq_script_seconds", text, ("script",), rest, SHORT)


class ProcessRow:
    """Of the process as a whole."""

    key: Key = ("process",)

    def __init__(self) -> None:
        self.counts: dict[str, float] = dict.fromkeys(_OF_PROCESS, 0)

    def numbers(self) -> list[float]:
        """See :class:`Row`."""
        return [*self.counts.values()]


def _process_families(rows: Sequence[tuple[Key, Sequence[float]]]) -> Iterator[Metric]:
    yield from _counters(_OF_PROCESS, (), [(values, iter(row)) for values, row in rows])


_FAMILIES: Mapping[
    str, Callable[[Sequence[tuple[Key, Sequence[float]]]], Iterator[Metric]]
] = {
    "type": _type_families,
    "group": _group_families,
    "stream": _stream_families,
    "script": _script_families,
    "process": _process_families,
}  # fmt: skip


def families(counts: Counts) -> Iterator[Metric]:
    """The metrics that show these numbers."""
    for kind, shown in _FAMILIES.items():
        yield from shown([(key[1:], row) for key, row in counts.items() if key[0] == kind])


def outcomes(counts: Counts) -> Mapping[Outcome, int]:
    """How many deliveries had each outcome, all types and groups together."""
    rows = [row for key, row in counts.items() if key[0] == "type"]
    return {outcome: int(sum(row[i] for row in rows)) for i, outcome in enumerate(Outcome)}


def _counters(
    names: Mapping[str, str],
    labels: Sequence[str],
    rows: Sequence[tuple[Sequence[str], Iterator[float]]],
) -> Iterator[Metric]:
    for name, text in names.items():
        counter = CounterMetricFamily(name, text, labels=labels)
        for values, numbers in rows:
            counter.add_metric(values, next(numbers))
        yield counter
