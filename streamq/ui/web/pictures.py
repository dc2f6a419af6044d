"""The pictures that all viewers look at: taken once for all of them, and only while one looks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from streamq.admin import GroupSnapshot, Snapshot
from streamq.errors import StreamqError
from streamq.text import printable

INTERVAL = 2.0
"""Seconds from one picture to the next while somebody looks."""

KEPT = 300.0
"""Seconds that the charts show."""

_FRESH = 1.0
"""Seconds for which a picture is new enough for a page."""

_GAP = 4 * INTERVAL
"""Seconds between two pictures from which on a rate between them says nothing of now."""

_log = logging.getLogger("streamq.dashboard")

Place = tuple[str, str]
"""A stream and a group."""


class Sample(NamedTuple):
    """What the charts show of a place at a moment; what is not known is ``None``."""

    added: float | None
    settled: float | None
    queued: int
    dead: float | None
    waits: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What the charts show of a moment.

    Attributes:
        at: Unix time in seconds, by the Redis server's clock.
        all: all groups together.
        groups: each group.
    """

    at: float
    all: Sample
    groups: dict[Place, Sample]


@dataclass(frozen=True, slots=True)
class Away:
    """The Redis server cannot be asked.

    Attributes:
        why: for a person.
    """

    why: str


class Pictures:
    """Takes pictures of all streams and groups.

    Args:
        watch: makes an iterator that takes one whenever it is asked, with the rates since the
            one before.
    """

    def __init__(self, watch: Callable[[], AsyncIterator[Snapshot]]) -> None:
        self.history: deque[Moment] = deque(maxlen=int(KEPT / INTERVAL) + 10)
        self._watch = watch
        self._source: AsyncIterator[Snapshot] | None = None
        self._lock = asyncio.Lock()
        self._latest: Snapshot | None = None
        self._taken_at = float("-inf")
        self._viewers: set[asyncio.Queue[Snapshot | Away]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def viewers(self) -> int:
        """How many look at this moment."""
        return len(self._viewers)

    async def take(self) -> Snapshot:
        """A picture that is not older than a second.

        Raises:
            StreamqError: the server cannot be asked.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._latest is not None and loop.time() - self._taken_at < _FRESH:
                return self._latest
            if self._source is None:
                self._source = self._watch()
            try:
                picture = await anext(self._source)
            except BaseException:
                self._source = self._latest = None  # an iterator that has raised is at its end
                raise
            known = loop.time() - self._taken_at < _GAP
            self._latest, self._taken_at = picture, loop.time()
            self.history.append(_moment(picture, rates=known))
            return picture

    @contextmanager
    def viewing(self) -> Iterator[asyncio.Queue[Snapshot | Away]]:
        """A queue that gets each new picture, or that there is none, while somebody looks."""
        news: asyncio.Queue[Snapshot | Away] = asyncio.Queue(1)
        self._viewers.add(news)
        if self._latest is not None:
            news.put_nowait(self._latest)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_taking())
        try:
            yield news
        finally:
            self._viewers.discard(news)

    async def close(self) -> None:
        """Take no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()
        self._source = None

    async def _keep_taking(self) -> None:
        while self._viewers:
            news: Snapshot | Away
            try:
                news = await self.take()
            except StreamqError as error:
                news = Away(printable(error, 300))
            except Exception:
                _log.exception("no picture of the streams could be taken")
                news = Away("an error inside streamq; the log says what it was")
            for viewer in self._viewers:
                if viewer.full():
                    viewer.get_nowait()  # a slow viewer sees the newest only
                viewer.put_nowait(news)
            await asyncio.sleep(INTERVAL)


def _moment(picture: Snapshot, *, rates: bool) -> Moment:
    groups = {}
    for stream in picture.streams:
        for group in stream.groups:
            added = stream.added_rate if rates else None
            groups[stream.name, group.name] = _sample(group, added, rates)
    added_rates = [stream.added_rate for stream in picture.streams] if rates else []
    every = list(groups.values())
    whole = Sample(
        _sum(added_rates),
        _sum([sample.settled for sample in every]),
        sum(sample.queued for sample in every),
        _sum([sample.dead for sample in every]),
        max((sample.waits for sample in every), default=0.0),
    )
    return Moment(picture.at, whole, groups)


def _sample(group: GroupSnapshot, added: float | None, rates: bool) -> Sample:
    backlog = group.backlog
    return Sample(
        added,
        group.settled_rate if rates else None,
        backlog.queued,
        group.dead_rate if rates else None,
        backlog.oldest_queued,
    )


def _sum(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None
