"""What the server holds for each group, whoever works on it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from streamq.admin import Admin, Backlog, Backlogs
from streamq.admin.pending import HELD_FOR
from streamq.errors import StreamqError
from streamq.server import Server

SCRAPE_TIMEOUT = 2.0
"""Seconds that a scrape waits for the server before it reports the last known values."""

_GAUGES: Mapping[str, tuple[str, Callable[[Backlog], float | None]]] = {
    "job_queue_length": (
        "Entries of the stream not yet delivered to the group: its lag",
        lambda group: group.queued,
    ),
    "job_pending": (
        "Entries delivered to the group and not settled: in progress, retrying or held",
        lambda group: group.pending,
    ),
    "job_in_progress": (
        "Entries that a consumer of the group holds: running, prefetched or stalled",
        lambda group: max(group.pending - group.retrying - group.held, 0),
    ),
    "job_retrying": (
        "Entries of the group that wait for a retry",
        lambda group: group.retrying,
    ),
    "job_stalled": (
        "Entries whose consumer is gone: they wait to be reclaimed",
        lambda group: group.stalled,
    ),
    "job_oldest_seconds": (
        "Age of the oldest entry that the group has not settled",
        lambda group: group.oldest,
    ),
    "job_oldest_queued_seconds": (
        "Age of the oldest entry not yet delivered to the group",
        lambda group: group.oldest_queued,
    ),
    "job_oldest_pending_seconds": (
        "Age of the oldest entry delivered to the group and not settled",
        lambda group: group.oldest_pending,
    ),
    "job_paused_seconds": (
        "For how long the group has been paused; 0 for a group that works",
        lambda group: (
            0.0 if group.paused_since is None else max(time.time() - group.paused_since, 0.0)
        ),
    ),
    "job_consumers": (
        "Live consumers of the group: heard of within the lease",
        lambda group: group.consumers,
    ),
    "job_dead_letters": (
        "Dead letters of the group",
        lambda group: group.dead_letters,
    ),
}


class Inquiry:
    """Asks the server for the backlogs, and remembers its last answer.

    In a thread, an event loop and a connection of its own, for each scrape: the worker's
    loop may be blocked by a handler, and a scrape must answer all the same. Nor is a
    scrape held up by a thread that hangs, in a DNS lookup for example.
    """

    def __init__(self, server: Server, groups: Mapping[str, Sequence[str]], lease: float) -> None:
        self._server = server
        self._groups = groups
        self._lease = lease
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
        server = self._server.separate("streamq-metrics")
        try:
            async with asyncio.timeout(SCRAPE_TIMEOUT):
                admin = Admin(server, lease=self._lease)
                self.latest = await admin.backlogs(self._groups)
            self._answered = True
        except (StreamqError, TimeoutError):
            pass  # streamq_server_up says so
        finally:
            await server.close()


def families(backlogs: Backlogs, *, up: bool) -> Iterator[Metric]:
    """The metrics that show these backlogs, and whether they are ``up`` to date."""
    for name, (text, value_of) in _GAUGES.items():
        gauge = GaugeMetricFamily(name, text, labels=("stream", "group"))
        for place, backlog in backlogs.items():
            value = value_of(backlog)
            if value is not None:
                gauge.add_metric(place, value)
        yield gauge
    held = GaugeMetricFamily(
        "job_held",
        "Entries that the rules of the group do not let run yet",
        labels=("stream", "group", "reason"),
    )
    for place, backlog in backlogs.items():
        for reason in HELD_FOR:
            if backlog.held_for or not backlog.held:
                held.add_metric((*place, reason), backlog.held_for.get(reason, 0))
    yield held
    yield GaugeMetricFamily(
        "streamq_server_up", "Whether the server answered at this scrape", value=int(up)
    )
