"""Following jobs and what becomes of them, without touching any group.

New entries are read as anybody may read a stream, with ``XREAD``. What becomes of them is told
by the scripts that settle, on a channel of each group, while somebody is subscribed to it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any

from streamq import lua
from streamq.admin.content import content, shown_data
from streamq.admin.existing import groups_meant
from streamq.admin.followed import STATES, Followed, FollowedState, Notice, Wanted
from streamq.codec import Codec
from streamq.errors import ServerError, StreamNotFound
from streamq.retry import Backoff
from streamq.server import Server
from streamq.server.listener import Heard
from streamq.wire.entry import after, created_at
from streamq.wire.keys import group_keys
from streamq.wire.tail import Told, read_message

BUFFER = 10_000
"""Events that wait for their reader; what comes then is counted, and left out."""

PAGE = 100
"""Entries read at once."""

BLOCK = 2.0
"""Seconds that a read waits for a new entry."""

NEW_GROUPS = 2.0
"""Seconds between looks for groups that were created meanwhile."""

PREVIEW = 200
"""Characters of a job's data that an event shows."""

_CUT = 4 * PREVIEW
"""The bytes that this many characters can take."""

BACKOFF = Backoff(base=0.1, factor=2, cap=2.0)
"""Between two attempts to reach a server that was lost."""


async def follow(
    server: Server, stream: str, group: str | None, wanted: Wanted, codec: Codec | None = None
) -> AsyncGenerator[Followed]:
    """See :meth:`streamq.admin.Admin.follow`."""
    following = Following(server, stream, group, wanted, codec)
    try:
        await following.start()
        while True:
            yield await following.next()
    finally:
        await following.close()


class Following:
    """Follows one stream.

    Args:
        group: only what becomes of its jobs in this group; in all of them, those that are
            created meanwhile included, without one.
    """

    def __init__(
        self, server: Server, stream: str, group: str | None, wanted: Wanted, codec: Codec | None
    ) -> None:
        self._server = server
        self._stream = stream
        self._group = group
        self._wanted = wanted
        self._codec = codec
        self._link = server.link("streamq-tail")
        self._listener = server.listener("streamq-tail")
        self._events: deque[Followed] = deque()
        self._missed = 0
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._groups: dict[str, str] = {}
        """By its channel, each group that is listened to."""
        self._silent: set[str] = set()
        """Channels that the server has not confirmed yet."""
        self._last = ""
        """The ID of the last entry that was seen."""
        self._missing = {"entries", "outcomes"}
        """What is not there: at the beginning, and while the server is lost."""
        self._said: Notice | None = None

    async def start(self) -> None:
        """Begin.

        Raises:
            StreamNotFound: there is no such stream.
            GroupNotFound: there is no such group.
            StreamqError: the server cannot be used.
        """
        names = await groups_meant(self._server, self._stream, self._group)
        self._groups = {group_keys(self._stream, name).tail: name for name in names}
        self._begin("outcomes", self._listen)
        if self._wanted.has("queued"):
            self._begin("entries", self._read)
        else:
            self._missing.discard("entries")
        if self._group is None:
            self._begin("groups", self._look_for_groups)

    async def next(self) -> Followed:
        """What has happened next.

        Raises:
            StreamqError: the server does not permit it any more.
        """
        while not self._events:
            if self._missed:
                return self._notice_missed()
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    async def close(self) -> None:
        """End it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._listener.close()
        await self._link.close()

    # -- what waits for the reader ----------------------------------------------

    def _put(self, event: Followed) -> None:
        if len(self._events) >= BUFFER:
            self._missed += 1
            return
        if self._missed:
            self._events.append(self._notice_missed())
        self._events.append(event)
        self._news.set()

    def _notice_missed(self) -> Followed:
        missed, self._missed = self._missed, 0
        return Followed(self._now(), "missed", self._stream, missed=missed)

    def _say(self, notice: Notice, error: str | None = None) -> None:
        if self._said != notice:
            self._said = notice
            self._put(Followed(self._now(), notice, self._stream, error=error))

    def _now(self) -> float:
        return time.time() + self._server.clock.ahead

    # -- being there, and being lost --------------------------------------------

    def _begin(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(self._persist(what, work)))

    def _is_there(self, what: str) -> None:
        self._missing.discard(what)
        if not self._missing:
            self._say("following")

    async def _persist(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work for ever, and begin again after the server was lost."""
        attempt = 0
        while True:
            try:
                await work()
            except StreamNotFound:
                attempt = 1  # deleted since; it may come again
            except ServerError as error:
                if not error.passing:
                    return self._fail(error)
                attempt = 1 if what not in self._missing else attempt + 1
                if what != "groups":  # the others will find out, too
                    self._missing.add(what)
                    self._say("lost", f"Connection lost from {self._server.where}")
            except Exception as error:
                return self._fail(error)
            await asyncio.sleep(BACKOFF.delay(attempt))

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._news.set()

    # -- new entries --------------------------------------------------------------

    async def _read(self) -> None:
        await self._link.open()
        if not self._last:
            call = lua.page(self._stream, "+", "-", 1, cut=1, newest_first=True)
            rows, _ = await self._link.run(call)
            self._last = rows[0][0].decode() if rows else "0-0"
        self._is_there("entries")
        cut = _CUT if self._codec is None else -1  # what a codec has written is read whole
        while True:
            start = after(self._last)
            rows = ()
            if start is not None:
                call = lua.page(self._stream, start, "+", PAGE, cut=cut)
                rows, _ = await self._link.run(call)
            for id, fields in rows:
                self._last = id.decode()
                self._queued(self._last, fields)
            while not rows and not await self._link.call(
                "XREAD", "COUNT", 1, "BLOCK", int(BLOCK * 1000), "STREAMS", self._stream,
                self._last, block=BLOCK,
            ):  # fmt: skip
                pass

    def _queued(self, id: str, fields: list[bytes]) -> None:
        job = content(fields, self._codec)
        for_another = self._group is not None and job.only_for not in (None, self._group)
        if self._wanted.type(job.type) and not for_another:
            preview = shown_data(job.raw, job.ref, PREVIEW)
            self._put(
                Followed(created_at(id), "queued", self._stream, id, job.type, preview=preview)
            )

    # -- what becomes of them -----------------------------------------------------

    async def _listen(self) -> None:
        await self._listener.open()
        self._silent = set(self._groups)
        self._subscribe(self._groups)
        while True:
            if not self._silent:
                self._is_there("outcomes")
            for heard in await self._listener.hear():
                self._take(heard)

    def _subscribe(self, channels: Iterable[str]) -> None:
        names = [(channel, self._groups[channel]) for channel in channels]
        # The group's other channel first: once its own is confirmed, both are there.
        self._listener.subscribe(
            one for own, name in names for one in (group_keys(self._stream, name).results, own)
        )

    def _take(self, heard: Heard) -> None:
        if heard.message is None:
            self._silent.discard(heard.channel)
            return
        at, told = read_message(heard.message)
        for one in told:
            state = next((state for state in STATES if state == one.state), None)
            if state and self._wanted.has(state) and self._wanted.type(one.type):
                self._put(self._outcome(self._groups[heard.channel], at, state, one))

    def _outcome(self, group: str, at: float, state: FollowedState, told: Told) -> Followed:
        return Followed(
            at / 1000, state, self._stream, told.id, told.type, group, told.attempt, told.consumer,
            None if told.took is None else told.took / 1000,
            None if told.due is None else max(told.due - at, 0) / 1000,
            told.reason, told.error,
        )  # fmt: skip

    async def _look_for_groups(self) -> None:
        while True:
            await asyncio.sleep(NEW_GROUPS)
            names = await groups_meant(self._server, self._stream, None)
            channels = {group_keys(self._stream, name).tail: name for name in names}
            new = [channel for channel in channels if channel not in self._groups]
            self._groups |= channels
            self._silent.update(new)
            self._subscribe(new)
