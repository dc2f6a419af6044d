"""What the workers of one process did: counters and histograms, fed by their events."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from streamq import signals
from streamq.handlers.handler import ANY
from streamq.signals import Signal
from streamq.verdict import Outcome, Verdict, count_outcomes
from streamq.worker import Subscription

BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, float("inf"),
)  # fmt: skip
"""Upper bounds of the histograms' buckets, in seconds."""

_BUCKET_LABELS = [*(f"{bound:g}" for bound in BUCKETS[:-1]), "+Inf"]

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

_HISTOGRAMS: Mapping[str, str] = {
    "job_duration_seconds": "Time that a handler ran",
    "job_wait_seconds": "Time from the writing of the entry to the first call of its handler",
}

_BY_GROUP: Mapping[str, str] = {
    "streamq_refused": "Verdicts that came too late: the entry was no longer this worker's",
    "streamq_lease_lost": "Entries in flight that turned out to be another consumer's",
    "streamq_reclaimed": "Stalled entries reclaimed from other consumers",
    "streamq_vanished": "Pending entries that were deleted from the stream",
    "streamq_abandoned": "Jobs given up with a group without a live consumer, unread or pending",
    "streamq_handler_stuck": "Handlers that ignored their cancellation",
}

_RAN = (Outcome.SUCCEEDED, Outcome.RETRY, Outcome.DEAD)
"""Outcomes of handlers that came to their end."""

Labels = tuple[str, ...]
"""Stream, group and type; or stream and group; or none, for the process as a whole."""

Counts = Mapping[Labels, Sequence[float]]
"""All numbers, a row for each set of labels. Rows of one kind have the same columns."""


class Row(Protocol):
    """The numbers under one set of labels."""

    labels: Labels

    def numbers(self) -> list[float]:
        """All of them, always in the same order."""


class Histogram:
    """Counts observations into buckets, a batch at a time.

    prometheus_client's own takes a lock and a search for each observation, and a worker
    has two for each job. Here a batch is sorted, and each bound is looked for once.
    """

    def __init__(self) -> None:
        # Replaced as a whole, never changed: a scrape in another thread sees all of a
        # batch or nothing of it, without a lock.
        self.state: tuple[Sequence[int], float] = ([0] * len(BUCKETS), 0.0)
        """How many observations were at or below each bound, and the sum of all."""

    def observe(self, values: Sequence[float]) -> None:
        """Add a batch of observations, in seconds. A clock that was set back counts as 0."""
        if not values:
            return
        ordered = sorted(values)
        if ordered[0] < 0:
            ordered = [max(value, 0.0) for value in ordered]
        counts, total = self.state
        self.state = (
            [
                count + bisect_right(ordered, bound)
                for count, bound in zip(counts, BUCKETS, strict=True)
            ],
            total + sum(ordered),
        )


class _TypeSeries:
    """Of one job type in one group."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        # One writer, the event loop; every key is here from the start, so that a scrape
        # in another thread reads each number before or after a batch, and never iterates
        # over a changing dict.
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.duration = Histogram()
        self.wait = Histogram()

    def add(self, verdicts: Sequence[Verdict]) -> None:
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
        durations, duration = self.duration.state
        waits, wait = self.wait.state
        return [*self.outcomes.values(), *durations, duration, *waits, wait]


class _Incidents:
    """Of one group on one stream."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.counts = dict.fromkeys(_BY_GROUP, 0)

    def numbers(self) -> list[float]:
        return [*self.counts.values()]


class _ServerLost:
    labels: Labels = ()
    count = 0

    def numbers(self) -> list[float]:
        return [self.count]


class _GroupSeries:
    """One group on one stream."""

    def __init__(self, stream: str, group: str, types: Sequence[str] = ()) -> None:
        # Types come from whoever writes to the stream: only those that the group has a
        # handler for get a label, all others share one.
        self.types: Mapping[str, _TypeSeries] = {
            type: _TypeSeries((stream, group, type)) for type in (*types, ANY)
        }
        self.rest = self.types[ANY]
        self.incidents = _Incidents((stream, group))

    def by_type(
        self, verdicts: Sequence[Verdict]
    ) -> Iterable[tuple[_TypeSeries, Sequence[Verdict]]]:
        find, rest = self.types.get, self.rest
        types = {verdict.job.type for verdict in verdicts}
        if len(types) == 1:
            return [(find(types.pop(), rest), verdicts)]
        batches: defaultdict[_TypeSeries, list[Verdict]] = defaultdict(list)
        for verdict in verdicts:
            batches[find(verdict.job.type, rest)].append(verdict)
        return batches.items()


class Series:
    """An observer that counts what happens in the workers of this process.

    They must share one event loop. Any thread may read.

    Args:
        subscriptions: what the workers consume.
        changed: called with each row after a change.
    """

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        changed: Callable[[Row], None] | None = None,
    ) -> None:
        self._groups = {
            (s.stream, s.group): _GroupSeries(s.stream, s.group, list(s.handlers.by_type))
            for s in subscriptions
        }
        self._server_lost = _ServerLost()
        self._changed = changed

    def __call__(self, event: Signal) -> None:
        """Take note of an event."""
        match event:
            case signals.Settled(verdicts):
                # One batch is of one group on one stream.
                job = verdicts[0].job
                for series, batch in self._group(job.stream, job.group).by_type(verdicts):
                    series.add(batch)
                    self._tell(series)
            case signals.DeadLettered(stream, group, type=type):
                found = self._group(stream, group)
                series = found.types.get(type, found.rest)
                series.outcomes[Outcome.DEAD] += 1
                self._tell(series)
            case signals.Refused(verdict):
                self._count("streamq_refused", verdict.job.stream, verdict.job.group)
            case signals.LeaseLost(stream, group, job_ids):
                self._count("streamq_lease_lost", stream, group, len(job_ids))
            case signals.Reclaimed(stream, group, job_ids):
                self._count("streamq_reclaimed", stream, group, len(job_ids))
            case signals.Vanished(stream, group, job_ids):
                self._count("streamq_vanished", stream, group, len(job_ids))
            case signals.Abandoned(stream, group, unread, pending):
                self._count("streamq_abandoned", stream, group, unread + pending)
            case signals.HandlerAbandoned(job):
                self._count("streamq_handler_stuck", job.stream, job.group)
            case signals.ServerLost():
                self._server_lost.count += 1
                self._tell(self._server_lost)

    def counts(self) -> Counts:
        """The numbers as they are now."""
        groups = list(self._groups.values())
        rows: list[Row] = [series for group in groups for series in group.types.values()]
        rows += [group.incidents for group in groups]
        rows.append(self._server_lost)
        return {row.labels: row.numbers() for row in rows}

    def _count(self, name: str, stream: str, group: str, count: int = 1) -> None:
        incidents = self._group(stream, group).incidents
        incidents.counts[name] += count
        self._tell(incidents)

    def _tell(self, row: Row) -> None:
        if self._changed is not None:
            self._changed(row)

    def _group(self, stream: str, group: str) -> _GroupSeries:
        found = self._groups.get((stream, group))
        if found is None:
            found = self._groups[stream, group] = _GroupSeries(stream, group)
        return found


def families(counts: Counts) -> Iterator[Metric]:
    """The metrics that show these numbers."""
    by_type = _rows(counts, 3)
    by_group = _rows(counts, 2)
    place = {outcome: i for i, outcome in enumerate(Outcome)}
    for name, text, counted in _BY_TYPE:
        counter = CounterMetricFamily(name, text, labels=("stream", "group", "type"))
        for labels, row in by_type:
            counter.add_metric(labels, sum(row[place[outcome]] for outcome in counted))
        yield counter
    start = len(Outcome)
    for name, text in _HISTOGRAMS.items():
        histogram = HistogramMetricFamily(name, text, labels=("stream", "group", "type"))
        end = start + len(BUCKETS)
        for labels, row in by_type:
            buckets = list(zip(_BUCKET_LABELS, row[start:end], strict=True))
            histogram.add_metric(labels, buckets, row[end])
        yield histogram
        start = end + 1
    for i, (name, text) in enumerate(_BY_GROUP.items()):
        counter = CounterMetricFamily(name, text, labels=("stream", "group"))
        for labels, row in by_group:
            counter.add_metric(labels, row[i])
        yield counter
    yield CounterMetricFamily(
        "streamq_server_lost", "Times that the server was lost", value=counts[()][0]
    )


def outcomes(counts: Counts) -> Mapping[Outcome, int]:
    """How many deliveries had each outcome, all types and groups together."""
    rows = [row for _, row in _rows(counts, 3)]
    return {outcome: int(sum(row[i] for row in rows)) for i, outcome in enumerate(Outcome)}


def _rows(counts: Counts, labels: int) -> list[tuple[Labels, Sequence[float]]]:
    return [row for row in counts.items() if len(row[0]) == labels]
