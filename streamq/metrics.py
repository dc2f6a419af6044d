"""Metrics for Prometheus: an observer of workers, and what the server holds.

::

    metrics = Metrics(app.server, app.subscriptions())
    print(metrics.serve(port=8000))
    try:
        await app.worker(observers=[metrics]).run()
    finally:
        metrics.close()

Counters and histograms say what the workers of this process did; they come from the
events. Gauges say what the server holds for each group, whoever works on it; the server
is asked at each scrape.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from streamq import events, scripts
from streamq.errors import ConfigError, GroupNotFound, StreamqError
from streamq.events import Event, Outcome, Verdict
from streamq.handler import ANY
from streamq.job import created_at
from streamq.keys import PARKED, group_keys
from streamq.server import Arg, Link, Server
from streamq.server.packing import pack
from streamq.text import printable
from streamq.worker import Subscription

_log = logging.getLogger(__name__)

PORT = 8000
PORTS_TRIED = 100
"""How many ports ``next_free`` looks at."""

SCRAPE_TIMEOUT = 2.0
"""Seconds that a scrape waits for the server before it reports the last known values."""

ALIVE = 60.0
"""Seconds since its last call to the server for which a consumer counts as alive."""

MAX_GROUPS = 100
"""Groups reported for one stream at the most, the worker's own first."""

COUNTED = 1000
"""Entries that the server counts on either side of a group's position where it does not
know the lag."""

BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, float("inf"),
)  # fmt: skip
"""Upper bounds of the histograms' buckets, in seconds."""

_BUCKET_LABELS = [*(f"{bound:g}" for bound in BUCKETS[:-1]), "+Inf"]

_BY_TYPE: Sequence[tuple[str, str, tuple[Outcome, ...]]] = (
    ("job_success", "Deliveries whose handler succeeded", (Outcome.SUCCEEDED,)),
    ("job_failure", "Deliveries that failed: retried or dead", (Outcome.RETRY, Outcome.DEAD)),
    ("job_retry", "Failed deliveries that are tried again", (Outcome.RETRY,)),
    ("job_dead", "Jobs moved to the dead letters", (Outcome.DEAD,)),
    ("job_expired", "Jobs that expired before their turn came", (Outcome.EXPIRED,)),
    ("job_skipped", "Jobs settled unseen: for another group, or ignored", (Outcome.SKIPPED,)),
    ("job_released", "Deliveries given back when the worker stopped", (Outcome.RELEASED,)),
)

_BY_GROUP: Mapping[str, str] = {
    "streamq_refused": "Verdicts that came too late: the entry was no longer this worker's",
    "streamq_lease_lost": "Entries in hand that turned out to be another consumer's",
    "streamq_reclaimed": "Stalled entries taken over from other consumers",
    "streamq_vanished": "Pending entries that somebody else deleted from the stream",
    "streamq_handler_stuck": "Handlers that ignored their cancellation",
}

_GAUGES: Mapping[str, str] = {
    "job_queue_length": "Entries of the stream not yet delivered to the group",
    "job_pending": "Entries delivered to the group and not settled: in progress or parked",
    "job_in_progress": "Entries that a consumer of the group holds, running or prefetched",
    "job_oldest_seconds": "Age of the oldest entry that the group has not settled",
    "job_consumers": f"Consumers of the group heard of in the last {ALIVE:g} s",
    "job_dead_letters": "Dead letters of the group",
}

_RAN = (Outcome.SUCCEEDED, Outcome.RETRY, Outcome.DEAD)
"""Outcomes of handlers that came to their end."""


# -- what this process did ----------------------------------------------------


class Histogram:
    """Counts observations into buckets, a batch at a time.

    prometheus_client's own takes a lock and a search for each observation, 1 to 2 µs;
    a worker has two for each of 100,000 jobs a second. Here a batch is sorted, and each
    bound is looked for once.
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

    def __init__(self) -> None:
        # One writer, the event loop; every key is here from the start, so that a scrape
        # in another thread reads each number before or after a batch, and never iterates
        # over a changing dict.
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.duration = Histogram()
        self.wait = Histogram()

    def add(self, verdicts: Sequence[Verdict]) -> None:
        outcomes = [verdict.outcome for verdict in verdicts]
        succeeded = outcomes.count(Outcome.SUCCEEDED)
        if succeeded == len(outcomes):
            self.outcomes[Outcome.SUCCEEDED] += succeeded
            ran = verdicts
        else:
            for outcome in Outcome:
                self.outcomes[outcome] += outcomes.count(outcome)
            # Without a start there was nothing to call: no handler, or no valid arguments.
            ran = [v for v in verdicts if v.started and v.outcome in _RAN]
        self.duration.observe([v.finished - v.started for v in ran])
        # The ID as a number, <ms>.<n>, is Job.created_at at a third of its price. Later
        # deliveries have waited for other things: a backoff, a lease.
        self.wait.observe(
            [
                v.started - float(v.job.id.replace("-", ".")) / 1000
                for v in ran
                if v.job.attempt == 1
            ]
        )


class _GroupSeries:
    """Of one group on one stream."""

    def __init__(self, types: Sequence[str] = ()) -> None:
        # Types come from whoever writes to the stream: only those that the group has a
        # handler for get a label, all others share one.
        self.types: Mapping[str, _TypeSeries] = {type: _TypeSeries() for type in (*types, ANY)}
        self.rest = self.types[ANY]
        self.incidents = dict.fromkeys(_BY_GROUP, 0)

    def settled(self, verdicts: Sequence[Verdict]) -> None:
        batches: defaultdict[_TypeSeries, list[Verdict]] = defaultdict(list)
        find, rest = self.types.get, self.rest
        for verdict in verdicts:
            batches[find(verdict.job.type, rest)].append(verdict)
        for series, batch in batches.items():
            series.add(batch)


# -- what the server holds ----------------------------------------------------


class Backlog(NamedTuple):
    """What the server holds for one group on one stream.

    Attributes:
        queued: entries not yet delivered to the group.
        pending: entries delivered and not settled.
        parked: how many of these wait for a retry time.
        oldest: seconds since the oldest of all these was written; 0.0 for none.
        consumers: consumers heard of in the last :data:`ALIVE` seconds.
        dead_letters: dead letters; ``None`` for a group that is not this worker's.
    """

    queued: int
    pending: int = 0
    parked: int = 0
    oldest: float = 0.0
    consumers: int = 0
    dead_letters: int | None = None


Backlogs = Mapping[tuple[str, str], Backlog]
"""By stream and group."""


class _Inquiry:
    """Asks the server for the backlogs, and remembers its last answer.

    In a thread, an event loop and a connection of its own, for each scrape: the worker's
    loop may be blocked by a handler, and a scrape must answer all the same. Nor is a
    scrape held up by a thread that hangs, in a DNS lookup for example.
    """

    def __init__(self, server: Server, groups: Mapping[str, Sequence[str]]) -> None:
        self._server = server
        self._groups = groups
        self._one_at_a_time = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answered = False
        self.latest: Backlogs = {}

    def ask(self) -> bool:
        """Bring :attr:`latest` up to date; whether the server answered in time."""
        with self._one_at_a_time:
            if self._thread is None or not self._thread.is_alive():
                self._answered = False
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._read()), name="streamq-metrics", daemon=True
                )
                self._thread.start()
            # It ends by itself within SCRAPE_TIMEOUT, unless it hangs.
            self._thread.join(1.5 * SCRAPE_TIMEOUT)
            return self._answered

    async def _read(self) -> None:
        link = self._server.link("streamq-metrics")
        try:
            async with asyncio.timeout(SCRAPE_TIMEOUT):
                self.latest = await read_backlogs(link, self._groups)
            self._answered = True
        except (StreamqError, TimeoutError):
            pass  # streamq_server_up says so
        finally:
            await link.close()


async def read_backlogs(link: Link, groups: Mapping[str, Sequence[str]]) -> Backlogs:
    """Ask the server what it holds for every group of these streams.

    Args:
        link: the connection.
        groups: for each stream the groups that are reported even if they do not exist.

    Raises:
        StreamqError: the server cannot be used.
    """
    found: dict[tuple[str, str], Backlog] = {}
    existing: list[tuple[str, Sequence[Any], int]] = []
    for stream, own in groups.items():
        length, *rows = await link.run(scripts.progress(stream, COUNTED)) or (0,)
        by_name = {row[0]: row for row in rows}
        names = dict.fromkeys([*(group.encode() for group in own), *by_name])
        for name in list(names)[: max(MAX_GROUPS, len(own))]:
            if name in by_name:
                existing.append((stream, by_name[name], length))
            else:
                found[stream, name.decode()] = Backlog(queued=length)

    commands: list[tuple[Arg, ...]] = [("TIME",)]
    commands += [("XINFO", "CONSUMERS", stream, row[0]) for stream, row, _ in existing]
    dlqs = [(stream, group) for stream, own in groups.items() for group in own]
    commands += [("XLEN", group_keys(stream, group).dlq) for stream, group in dlqs]
    replies = await link.exchange(b"".join(map(pack, commands)), len(commands))
    for reply in replies:
        if isinstance(reply, Exception) and not isinstance(reply, GroupNotFound):
            raise reply

    time, consumers = replies[0], replies[1 : len(existing) + 1]
    now = int(time[0]) + int(time[1]) / 1e6
    for (stream, row, length), reply in zip(existing, consumers, strict=True):
        if not isinstance(reply, GroupNotFound):  # else it was deleted just now
            found[stream, printable(row[0], 128)] = _backlog(row, length, reply, now)
    for place, dead_letters in zip(dlqs, replies[len(existing) + 1 :], strict=True):
        if place in found:
            found[place] = found[place]._replace(dead_letters=dead_letters)
    return found


def _backlog(row: Sequence[Any], length: int, consumers: Sequence[Any], now: float) -> Backlog:
    _name, _last, queued, first_queued, first_pending = row
    pending = parked = alive = 0
    for flat in consumers:
        consumer = dict(zip(flat[::2], flat[1::2], strict=True))
        pending += consumer[b"pending"]
        if consumer[b"name"] == PARKED.encode():
            parked = consumer[b"pending"]
        else:
            alive += consumer[b"idle"] < ALIVE * 1000
    if queued < 0:  # too many to count; exact all the same where there is no other group
        queued = max(length - pending, 0)
    # What is pending was delivered, so it is older than what is queued.
    oldest: bytes = first_pending or first_queued
    return Backlog(
        queued=queued,
        pending=pending,
        parked=parked,
        oldest=max(now - created_at(oldest.decode()), 0.0) if oldest else 0.0,
        consumers=alive,
    )


# -- the collector ------------------------------------------------------------


class Metrics(Collector):
    """An observer that counts, and a collector that Prometheus can scrape.

    It belongs to one event loop: the workers that it observes must share one.

    Args:
        server: asked for the gauges; a connection is opened for each scrape.
        subscriptions: what the workers consume. Job types without a handler of their
            own are counted under the type ``*``.
        registry: where to register; by default a registry of its own, which also has the
            metrics of the process (CPU, memory, open files).

    Attributes:
        registry: it, for those who serve it themselves.
        url: where :meth:`serve` serves it, ``None`` when it does not.
    """

    def __init__(
        self,
        server: Server,
        subscriptions: Sequence[Subscription],
        *,
        registry: CollectorRegistry | None = None,
    ) -> None:
        groups: dict[str, list[str]] = {}
        self._groups: dict[tuple[str, str], _GroupSeries] = {}
        for stream, group, types in (
            (s.stream, s.group, list(s.handlers.by_type)) for s in subscriptions
        ):
            groups.setdefault(stream, []).append(group)
            self._groups[stream, group] = _GroupSeries(types)
        self._server_lost = 0
        self._inquiry = _Inquiry(server, groups)
        self._http: _HTTPServer | None = None
        self.url: str | None = None
        if registry is None:
            registry = CollectorRegistry()
            ProcessCollector(registry=registry)
        self.registry = registry
        try:
            registry.register(self)
        except ValueError:
            raise ConfigError(
                "the registry has streamq's metrics already: use one Metrics for all workers, "
                "or a registry for each"
            ) from None
        self._registered = True

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case events.Settled(verdicts):
                # One batch is of one group on one stream.
                job = verdicts[0].job
                self._group(job.stream, job.group).settled(verdicts)
            case events.Buried(stream, group):
                self._group(stream, group).rest.outcomes[Outcome.DEAD] += 1
            case events.Refused(verdict):
                job = verdict.job
                self._group(job.stream, job.group).incidents["streamq_refused"] += 1
            case events.LeaseLost(stream, group, job_ids):
                self._group(stream, group).incidents["streamq_lease_lost"] += len(job_ids)
            case events.Reclaimed(stream, group, job_ids):
                self._group(stream, group).incidents["streamq_reclaimed"] += len(job_ids)
            case events.Vanished(stream, group, job_ids):
                self._group(stream, group).incidents["streamq_vanished"] += len(job_ids)
            case events.HandlerStuck(job):
                self._group(job.stream, job.group).incidents["streamq_handler_stuck"] += 1
            case events.ServerLost():
                self._server_lost += 1

    def _group(self, stream: str, group: str) -> _GroupSeries:
        found = self._groups.get((stream, group))
        if found is None:
            found = self._groups[stream, group] = _GroupSeries()
        return found

    # -- scraping -------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now; called at each scrape, from any thread."""
        yield from self._done()
        up = self._inquiry.ask()
        yield from _held(self._inquiry.latest, up=up)

    def describe(self) -> Iterator[Metric]:
        """The names, without asking the server; called when it is registered."""
        yield from self._done()
        yield from _held({}, up=False)

    def _done(self) -> Iterator[Metric]:
        by_group = list(self._groups.items())
        by_type = [
            ((*place, type), series)
            for place, group in by_group
            for type, series in group.types.items()
        ]
        for name, text, outcomes in _BY_TYPE:
            counter = CounterMetricFamily(name, text, labels=("stream", "group", "type"))
            for labels, series in by_type:
                counter.add_metric(labels, sum(series.outcomes[outcome] for outcome in outcomes))
            yield counter
        duration = HistogramMetricFamily(
            "job_duration_seconds", "Time that a handler ran", labels=("stream", "group", "type")
        )
        wait = HistogramMetricFamily(
            "job_wait_seconds",
            "Time from the writing of the entry to the first call of its handler",
            labels=("stream", "group", "type"),
        )
        for labels, series in by_type:
            for family, histogram in ((duration, series.duration), (wait, series.wait)):
                counts, total = histogram.state
                family.add_metric(labels, list(zip(_BUCKET_LABELS, counts, strict=True)), total)
        yield duration
        yield wait
        for name, text in _BY_GROUP.items():
            counter = CounterMetricFamily(name, text, labels=("stream", "group"))
            for place, group in by_group:
                counter.add_metric(place, group.incidents[name])
            yield counter
        yield CounterMetricFamily(
            "streamq_server_lost", "Times that the server was lost", value=self._server_lost
        )

    # -- serving --------------------------------------------------------------

    def serve(self, host: str = "127.0.0.1", port: int = PORT, *, next_free: bool = False) -> str:
        """Serve the metrics over HTTP, in a thread, until :meth:`close`.

        Anybody who reaches the address can read them.

        Args:
            host: the address to listen at; ``0.0.0.0`` for all.
            port: the port; 0 for any that is free.
            next_free: take the next free port where this one is in use.

        Returns:
            Where: ``http://127.0.0.1:8000/metrics``.

        Raises:
            ConfigError: it cannot listen there, such as when the port is in use.
        """
        if self.url is not None:
            raise ConfigError(f"the metrics are served already, at {self.url}")
        if not host:
            raise ConfigError("metrics host: give an address to listen at; 0.0.0.0 for all")
        if not 0 <= port <= 65535:
            raise ConfigError(f"metrics port {port}: give a number from 0 to 65535")
        last = min(port + PORTS_TRIED - 1, 65535) if next_free else port
        for candidate in range(port, last + 1):
            try:
                self._http = _HTTPServer(host, candidate, self.registry)
                break
            except (OSError, UnicodeError) as error:
                if not (isinstance(error, OSError) and error.errno == errno.EADDRINUSE):
                    raise ConfigError(_cannot_listen(host, candidate, error)) from None
        else:
            ports = f"port {port} is" if last == port else f"ports {port} to {last} are all"
            raise ConfigError(
                f"cannot serve metrics at {printable(host, 60)}: the {ports} in use; "
                "choose another port"
            )
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._http.server_port}/metrics"
        return self.url

    def close(self) -> None:
        """Stop serving, free the port, and leave the registry. A second time does nothing."""
        if self._http is not None:
            self._http.close()
            self._http = self.url = None
        if self._registered:
            self._registered = False
            self.registry.unregister(self)


def _held(backlogs: Backlogs, *, up: bool) -> Iterator[Metric]:
    gauges = {
        name: GaugeMetricFamily(name, text, labels=("stream", "group"))
        for name, text in _GAUGES.items()
    }
    for place, backlog in backlogs.items():
        gauges["job_queue_length"].add_metric(place, backlog.queued)
        gauges["job_pending"].add_metric(place, backlog.pending)
        gauges["job_in_progress"].add_metric(place, max(backlog.pending - backlog.parked, 0))
        gauges["job_oldest_seconds"].add_metric(place, backlog.oldest)
        gauges["job_consumers"].add_metric(place, backlog.consumers)
        if backlog.dead_letters is not None:
            gauges["job_dead_letters"].add_metric(place, backlog.dead_letters)
    yield from gauges.values()
    yield GaugeMetricFamily(
        "streamq_server_up", "Whether the server answered at this scrape", value=int(up)
    )


class _HTTPServer(ThreadingWSGIServer):
    """Serves a registry in a thread; unlike prometheus_client's own it closes at once."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _QuietHandler)
        self.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="streamq-metrics-http", daemon=True
        )
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not worth the traceback that the base class prints."""
        _log.debug("a scrape by %s failed", client_address, exc_info=True)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _QuietHandler(WSGIRequestHandler):
    timeout = 30.0

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests."""


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> str:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"cannot serve metrics at {printable(host, 60)}:{port}: {printable(why, 200)}; "
        "choose another address or port"
    )
