"""What the workers of one process did: counters and histograms, fed by their signals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from streamq import signals
from streamq.handlers.handler import ANY
from streamq.observe.prometheus.health import Vitals
from streamq.observe.prometheus.rows import (
    Counts,
    GroupRow,
    ProcessRow,
    Row,
    ScriptRow,
    StreamRow,
    TypeRow,
)
from streamq.signals import Signal
from streamq.verdict import Outcome, Verdict
from streamq.worker import Subscription

SCRIPTS = (
    "settle", "settle_and_admit", "admit", "extend", "claim_due", "reclaim",
    "due", "promote", "tick", "sweep",
)  # fmt: skip
"""The scripts that have a series each; all others share one."""


class _GroupSeries:
    """One group on one stream."""

    def __init__(self, stream: str, group: str, types: Sequence[str] = ()) -> None:
        # Types come from whoever writes to the stream: only those that the group has a
        # handler for get a label, all others share one.
        self.types: Mapping[str, TypeRow] = {
            type: TypeRow(stream, group, type) for type in (*types, ANY)
        }
        self.rest = self.types[ANY]
        self.whole = GroupRow(stream, group)

    def by_type(self, verdicts: Sequence[Verdict]) -> Iterable[tuple[TypeRow, Sequence[Verdict]]]:
        find, rest = self.types.get, self.rest
        types = {verdict.job.type for verdict in verdicts}
        if len(types) == 1:
            return [(find(types.pop(), rest), verdicts)]
        batches: defaultdict[TypeRow, list[Verdict]] = defaultdict(list)
        for verdict in verdicts:
            batches[find(verdict.job.type, rest)].append(verdict)
        return batches.items()


class Series:
    """An observer that counts what happens in the workers of this process.

    They must share one event loop. Any thread may read.

    Args:
        subscriptions: what the workers consume.
        changed: called with each row after a change.

    Attributes:
        vitals: how they are.
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
        self._streams = {s.stream: StreamRow(s.stream) for s in subscriptions}
        self._scripts = {script: ScriptRow(script) for script in (*SCRIPTS, ANY)}
        self._process = ProcessRow()
        self.vitals = Vitals()
        self._changed = changed

    def __call__(self, event: Signal) -> None:
        """Take note of an event."""
        match event:
            case signals.Settled(verdicts):
                # One batch is of one group on one stream.
                job = verdicts[0].job
                group = self._group(job.stream, job.group)
                for series, batch in group.by_type(verdicts):
                    series.add(batch)
                    self._tell(series)
                group.whole.batch.observe((len(verdicts),))
                self._tell(group.whole)
            case signals.DeadLettered(stream, name, type=type):
                group = self._group(stream, name)
                series = group.types.get(type, group.rest)
                series.outcomes[Outcome.DEAD] += 1
                self._tell(series)
            case signals.Refused(verdict):
                self._count("streamq_refused", verdict.job.stream, verdict.job.group)
            case signals.LeaseLost(stream, name, job_ids):
                self._count("streamq_lease_lost", stream, name, len(job_ids))
            case signals.Reclaimed(stream, name, job_ids):
                self._count("streamq_reclaimed", stream, name, len(job_ids))
            case signals.Vanished(stream, name, job_ids):
                self._count("streamq_vanished", stream, name, len(job_ids))
            case signals.Abandoned(stream, name, unread, pending):
                self._count("streamq_abandoned", stream, name, unread + pending)
            case signals.HandlerAbandoned(job):
                self._count("streamq_handler_stuck", job.stream, job.group)
            case signals.ScriptsRan(runs):
                self._ran(runs)
            case signals.Promoted(stream, late):
                self._written(stream, late)
            case signals.Ticked(stream, _, late, missed, overlapped):
                counts = self._stream(stream).counts
                counts["streamq_cron_ticks_missed"] += missed
                counts["streamq_cron_ticks_overlapped"] += overlapped
                self._written(stream, late)
            case signals.ServerLost():
                self._process.counts["streamq_server_lost"] += 1
                self._tell(self._process)
                self._live(event)
            case signals.ServerBack(seconds):
                self._process.counts["streamq_reconnects"] += 1
                self._process.counts["streamq_server_lost_seconds"] += seconds
                self._tell(self._process)
                self._live(event)
            case signals.LoopAlive() | signals.Started() | signals.Stopping() | signals.Stopped():
                self._live(event)

    def counts(self) -> Counts:
        """The numbers as they are now."""
        groups = list(self._groups.values())
        rows: list[Row] = [series for group in groups for series in group.types.values()]
        rows += [group.whole for group in groups]
        rows += list(self._streams.values())
        rows += self._scripts.values()
        rows += [self._process, self.vitals]
        return {row.key: row.numbers() for row in rows}

    def _count(self, name: str, stream: str, group: str, count: int = 1) -> None:
        whole = self._group(stream, group).whole
        whole.counts[name] += count
        self._tell(whole)

    def _written(self, stream: str, late: Sequence[float]) -> None:
        row = self._stream(stream)
        row.late.observe(late)
        self._tell(row)

    def _ran(self, runs: Sequence[tuple[str, float]]) -> None:
        times: defaultdict[ScriptRow, list[float]] = defaultdict(list)
        for script, seconds in runs:
            times[self._scripts.get(script) or self._scripts[ANY]].append(seconds)
        for row, batch in times.items():
            row.seconds.observe(batch)
            self._tell(row)

    def _live(self, event: Signal) -> None:
        self.vitals.note(event)
        self._tell(self.vitals)

    def _tell(self, row: Row) -> None:
        if self._changed is not None:
            self._changed(row)

    def _group(self, stream: str, group: str) -> _GroupSeries:
        found = self._groups.get((stream, group))
        if found is None:
            found = self._groups[stream, group] = _GroupSeries(stream, group)
        return found

    def _stream(self, stream: str) -> StreamRow:
        found = self._streams.get(stream)
        if found is None:
            found = self._streams[stream] = StreamRow(stream)
        return found
