"""What the server holds for each group, whoever works on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from streamq.admin import Admin, Backlogs
from streamq.errors import StreamqError
from streamq.server import Server

SCRAPE_TIMEOUT = 2.0
"""Seconds that a scrape waits for the server before it reports the last known values."""

_GAUGES: Mapping[str, str] = {
    "job_queue_length": "Entries of the stream not yet delivered to the group",
    "job_pending": "Entries delivered to the group and not settled: in progress or retrying",
    "job_in_progress": "Entries that a consumer of the group holds, running or prefetched",
    "job_oldest_seconds": "Age of the oldest entry that the group has not settled",
    "job_consumers": "Live consumers of the group: heard of within the lease",
    "job_dead_letters": "Dead letters of the group",
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
    gauges = {
        name: GaugeMetricFamily(name, text, labels=("stream", "group"))
        for name, text in _GAUGES.items()
    }
    for place, backlog in backlogs.items():
        gauges["job_queue_length"].add_metric(place, backlog.queued)
        gauges["job_pending"].add_metric(place, backlog.pending)
        gauges["job_in_progress"].add_metric(
            place, max(backlog.pending - backlog.retrying - backlog.held, 0)
        )
        gauges["job_oldest_seconds"].add_metric(place, backlog.oldest)
        gauges["job_consumers"].add_metric(place, backlog.consumers)
        if backlog.dead_letters is not None:
            gauges["job_dead_letters"].add_metric(place, backlog.dead_letters)
    yield from gauges.values()
    yield GaugeMetricFamily(
        "streamq_server_up", "Whether the server answered at this scrape", value=int(up)
    )
