"""Metrics of several processes as one: what each did added up, what the server holds once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import BinaryIO

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric

from streamq.limits import LEASE, STUCK_AFTER
from streamq.observe.prometheus.collector import Metrics
from streamq.observe.prometheus.health import Health, Vitals, health_of
from streamq.observe.prometheus.rows import Counts, Key
from streamq.observe.prometheus.sheet import new_sheet, read_sheet
from streamq.server import Server
from streamq.worker import Subscription


def added(*several: Counts) -> Counts:
    """The sum of the numbers, row by row."""
    total: dict[Key, Sequence[float]] = {}
    for counts in several:
        for key, row in counts.items():
            before = total.get(key)
            total[key] = row if before is None else list(map(sum, zip(before, row, strict=True)))
    return total


class Scoreboard:
    """The sheets of several processes, those of dead ones included: sums never go back.

    Attributes:
        starts: how often a process was started, by its number.
    """

    def __init__(self) -> None:
        self.starts: dict[int, int] = {}
        self._sheets: dict[int, BinaryIO] = {}
        self._past: Counts = {}
        # A scrape is in a thread of its own, and must find a sheet here or in the past.
        self._one_at_a_time = threading.Lock()

    def sheet(self, number: int) -> int:
        """An empty sheet for a process about to be started; the last one of this number
        has ended. Returns the descriptor that it must inherit."""
        with self._one_at_a_time:
            last = self._sheets.get(number)
            if last is not None:
                self._past = added(self._past, read_sheet(last.fileno()))
                last.close()
            self._sheets[number] = new_sheet()
            self.starts[number] = self.starts.get(number, 0) + 1
            return self._sheets[number].fileno()

    def counts(self) -> Counts:
        """What all of them did so far."""
        with self._one_at_a_time:
            sheets = [read_sheet(sheet.fileno()) for sheet in self._sheets.values()]
            return added(self._past, *sheets)

    def vitals(self) -> Mapping[int, Sequence[float]]:
        """How each of them is, by its number; no numbers before it has begun to count."""
        with self._one_at_a_time:
            sheets = {n: read_sheet(sheet.fileno()) for n, sheet in self._sheets.items()}
            return {n: counts.get(Vitals.key, ()) for n, counts in sheets.items()}

    def close(self) -> None:
        """Give the memory back."""
        with self._one_at_a_time:
            for sheet in self._sheets.values():
                sheet.close()
            self._sheets.clear()


class MergedMetrics(Metrics):
    """The metrics of several processes, for their supervisor to serve.

    Args:
        server: asked for the gauges, once for all processes.
        subscriptions: what each of them consumes.
        scoreboard: their sheets.
        pids: tells the process IDs of those that run, by their numbers.
        lease: as for :class:`Metrics`.
        stuck_after: likewise.
    """

    def __init__(
        self,
        server: Server,
        subscriptions: Sequence[Subscription],
        *,
        scoreboard: Scoreboard,
        pids: Callable[[], Mapping[int, int]],
        lease: float = LEASE,
        stuck_after: float = STUCK_AFTER,
    ) -> None:
        self._scoreboard = scoreboard
        self._pids = pids
        super().__init__(
            server, subscriptions, registry=CollectorRegistry(), lease=lease,
            stuck_after=stuck_after,
        )  # fmt: skip

    def counts(self) -> Counts:
        """What all processes did so far."""
        # The supervisor's own are all zero: every series is there before the first job.
        return added(super().counts(), self._scoreboard.counts())

    def healths(self) -> Mapping[str, Health]:
        """How each process is."""
        running = self._pids()
        return {
            f"process {number}": health_of(vitals, self._stuck_after)
            if number in running
            else Health(True, False, "not running: it has ended, or is started again")
            for number, vitals in self._scoreboard.vitals().items()
        } or {"supervisor": Health(True, False, "starting")}

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        yield from super().collect()
        yield from self._processes()

    def describe(self) -> Iterator[Metric]:
        """The names, without asking the server."""
        yield from super().describe()
        yield self._restarts()

    def _restarts(self) -> Metric:
        restarts = CounterMetricFamily(
            "streamq_process_restarts",
            "Times that a worker process was started again",
            labels=("process",),
        )
        for number, starts in list(self._scoreboard.starts.items()):
            restarts.add_metric((str(number),), starts - 1)
        return restarts

    def _processes(self) -> Iterator[Metric]:
        """Memory, CPU and the like of every process, by its number."""
        yield self._restarts()
        pids = {"supervisor": os.getpid(), **{str(n): pid for n, pid in self._pids().items()}}
        found: dict[str, Metric] = {}
        for name, pid in pids.items():
            for family in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                whole = found.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    whole.add_sample(sample.name, {"process": name}, sample.value)
        yield from found.values()
