"""A picture of all streams and groups, cheap enough to be taken every second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streamq.admin.backlog import Backlog, Look, look
from streamq.admin.overview import MOST_STREAMS, stream_names
from streamq.errors import ConfigError
from streamq.server import Server, ServerInfo
from streamq.wire.keys import check_stream

MOST_GROUPS = 1000
"""Groups of one stream in a picture."""

SEARCH_EVERY = 15.0
"""Seconds between two searches for new streams."""

SEARCH_SHARE = 0.005
"""The most of the time that is spent on searching: on a server with millions of keys it is done
less often."""


@dataclass(frozen=True, slots=True)
class GroupSnapshot:
    """One group of a stream.

    Attributes:
        backlog: how much it has to do.
        settled_rate: entries that it has settled a second since the last picture; ``None`` in the
            first, and where the server cannot tell.
        dead_rate: dead letters that were added a second, less those taken away, but not below 0.
    """

    stream: str
    name: str
    backlog: Backlog
    settled_rate: float | None = None
    dead_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data, on one level."""
        own = asdict(self)
        del own["backlog"]
        return own | self.backlog.to_dict()


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """One stream.

    Attributes:
        length: its entries.
        added: how many it ever had; ``None`` where the server cannot tell.
        added_rate: entries that were written a second since the last picture; ``None`` in the
            first.
    """

    name: str
    length: int
    groups: tuple[GroupSnapshot, ...]
    added: int | None = None
    added_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "name": self.name,
            "length": self.length,
            "added": self.added,
            "added_rate": self.added_rate,
            "groups": [group.to_dict() for group in self.groups],
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All streams and groups, within a moment.

    Attributes:
        at: when, by the server's clock: Unix time in seconds.
        where: the server's address, without user name and password.
        forbidden: streams that the user's ACL does not permit.
    """

    at: float
    where: str
    server: ServerInfo
    streams: tuple[StreamSnapshot, ...]
    forbidden: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[GroupSnapshot, ...]:
        """The groups of all streams."""
        return tuple(group for stream in self.streams for group in stream.groups)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "at": self.at,
            "server": {"where": self.where, **asdict(self.server)},
            "streams": [stream.to_dict() for stream in self.streams],
            "forbidden": list(self.forbidden),
        }


async def snapshot(server: Server, lease: float, streams: Sequence[str] | None) -> Snapshot:
    """See :meth:`streamq.admin.Admin.snapshot`."""
    return await _Watcher(server, lease, streams).take()


def watch(
    server: Server, lease: float, streams: Sequence[str] | None, interval: float
) -> AsyncIterator[Snapshot]:
    """See :meth:`streamq.admin.Admin.watch`."""
    check_interval(interval)
    return _pictures(_Watcher(server, lease, streams), interval)


def check_interval(interval: float) -> None:
    """Refuse what is no time between two pictures.

    Raises:
        ConfigError: it is none.
    """
    if not 0 < interval < 1e6:
        raise ConfigError(f"interval={interval!r}: give seconds, more than zero")


async def _pictures(watcher: _Watcher, interval: float) -> AsyncIterator[Snapshot]:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        yield await watcher.take()
        # A slow reader, or a slow server, gets fewer pictures and not a queue of them.
        due = max(due + interval, loop.time())
        await asyncio.sleep(due - loop.time())


class _Watcher:
    """Takes pictures, each with the rates since the one before."""

    def __init__(self, server: Server, lease: float, streams: Sequence[str] | None) -> None:
        self._server = server
        self._lease = lease
        self._search = streams is None
        self._streams = [check_stream(stream) for stream in streams or ()]
        self._search_at = 0.0
        self._last: Look | None = None

    async def take(self) -> Snapshot:
        """The next picture."""
        began = time.monotonic()
        if self._search and began >= self._search_at:
            self._streams = sorted([name async for name in stream_names(self._server)])
            took = time.monotonic() - began
            self._search_at = began + max(SEARCH_EVERY, took / SEARCH_SHARE)
        wanted: Mapping[str, Sequence[str]] = dict.fromkeys(self._streams[:MOST_STREAMS], ())
        info = await self._server.info_now()
        found = await look(self._server, wanted, self._lease, MOST_GROUPS)
        last, self._last = self._last, found
        return _picture(self._server.where, info, found, last)


def _picture(where: str, info: ServerInfo, found: Look, last: Look | None) -> Snapshot:
    groups: dict[str, list[GroupSnapshot]] = {stream: [] for stream in found.lengths}
    for (stream, group), backlog in found.backlogs.items():
        if stream in groups:
            groups[stream].append(_group(stream, group, found, last, backlog))
    streams = tuple(
        StreamSnapshot(
            stream,
            length,
            tuple(groups[stream]),
            found.added.get(stream),
            _added_rate(stream, found, last),
        )
        for stream, length in found.lengths.items()
    )
    return Snapshot(found.at, where, info, streams, tuple(found.forbidden))


def _group(
    stream: str, name: str, found: Look, last: Look | None, backlog: Backlog
) -> GroupSnapshot:
    before = None if last is None else last.backlogs.get((stream, name))
    if last is None or before is None:
        return GroupSnapshot(stream, name, backlog)
    return GroupSnapshot(
        stream, name, backlog,
        settled_rate=_rate(backlog.settled, before.settled, found.at - last.at),
        dead_rate=_rate(backlog.dead_letters, before.dead_letters, found.at - last.at),
    )  # fmt: skip


def _added_rate(stream: str, found: Look, last: Look | None) -> float | None:
    """From how many it ever had; without a group nothing is removed, and its length tells."""
    if last is None:
        return None
    ever, before = found.added.get(stream), last.added.get(stream)
    if ever is None or before is None:
        ever, before = found.lengths[stream], last.lengths.get(stream)
    return _rate(ever, before, found.at - last.at)


def _rate(now: int | None, before: int | None, seconds: float) -> float | None:
    if now is None or before is None or seconds <= 0:
        return None
    return max(now - before, 0) / seconds
