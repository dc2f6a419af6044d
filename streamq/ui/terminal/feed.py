"""Pictures of the server as they come, also when it is away for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

from streamq.admin import Admin, Snapshot
from streamq.errors import StreamqError
from streamq.text import printable
from streamq.ui.terminal.trends import Trends


class Lost(NamedTuple):
    """The server does not answer: since when (Unix time in seconds), and why."""

    since: float
    why: StreamqError


class Feed:
    """The last picture, the rates of those before, and whether the server answers.

    Args:
        streams: only these; none for all.
        group: only the groups of this name.
        interval: seconds from one picture to the next.
    """

    def __init__(
        self, admin: Admin, streams: Sequence[str], group: str | None, interval: float
    ) -> None:
        self.picture: Snapshot | None = None
        self.taken_at = 0.0
        self.lost: Lost | None = None
        self.trends = Trends()
        self.interval = interval
        self._admin = admin
        self._streams = streams or None
        self._group = group

    @property
    def nothing(self) -> str:
        """What to say when a picture shows no group and no stream."""
        if self._group is not None:
            return f"No stream has a group {printable(self._group, 100)}"
        if self._streams is not None:
            names = ", ".join(printable(stream, 100) for stream in self._streams)
            return f"There is no stream {names}"
        return "There are no streams yet. Write a first job:  streamq produce file=image_1.png"

    async def news(self) -> AsyncIterator[None]:
        """It goes on whenever there is a picture, or the server is found to be lost.

        Raises:
            StreamqError: there is not even a first picture.
        """
        while True:
            try:
                pictures = self._admin.watch(self._streams, interval=self.interval)
                async with aclosing(pictures) as following:  # type: ignore[type-var]  # it has aclose()
                    async for picture in following:
                        self._take(picture)
                        yield
            except StreamqError as error:
                if self.picture is None:
                    raise
                since = time.time() if self.lost is None else self.lost.since
                self.lost = Lost(since, error)
                yield
            await asyncio.sleep(self.interval)

    def _take(self, picture: Snapshot) -> None:
        if self._group is not None:
            picture = only_group(picture, self._group)
        self.picture, self.taken_at, self.lost = picture, time.time(), None
        self.trends.add(picture)


def only_group(picture: Snapshot, name: str) -> Snapshot:
    """What a picture shows of the groups of one name."""
    streams = (
        replace(stream, groups=tuple(group for group in stream.groups if group.name == name))
        for stream in picture.streams
    )
    return replace(picture, streams=tuple(stream for stream in streams if stream.groups))
