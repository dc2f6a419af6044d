"""What the server holds for each group, whoever works on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from streamq import lua
from streamq.errors import GroupNotFound, StreamqError
from streamq.server import Arg, Link, Server
from streamq.server.packing import pack
from streamq.text import printable
from streamq.wire.entry import created_at
from streamq.wire.keys import PARKED, group_keys

SCRAPE_TIMEOUT = 2.0
"""Seconds that a scrape waits for the server before it reports the last known values."""

ALIVE = 60.0
"""Seconds since its last call to the server for which a consumer counts as alive."""

MAX_GROUPS = 100
"""Groups reported for one stream at the most, the worker's own first."""

COUNTED = 1000
"""Entries that the server counts on either side of a group's position where it does not
know the lag."""

_GAUGES: Mapping[str, str] = {
    "job_queue_length": "Entries of the stream not yet delivered to the group",
    "job_pending": "Entries delivered to the group and not settled: in progress or parked",
    "job_in_progress": "Entries that a consumer of the group holds, running or prefetched",
    "job_oldest_seconds": "Age of the oldest entry that the group has not settled",
    "job_consumers": f"Consumers of the group heard of in the last {ALIVE:g} s",
    "job_dead_letters": "Dead letters of the group",
}


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


class Inquiry:
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
        length, *rows = await link.run(lua.progress(stream, COUNTED)) or (0,)
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


def families(backlogs: Backlogs, *, up: bool) -> Iterator[Metric]:
    """The metrics that show these backlogs, and whether they are ``up`` to date."""
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
