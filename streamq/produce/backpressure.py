"""Backpressure: how many jobs of a stream may wait, and what a producer does when they do."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from typing import Any, Literal, get_args

from streamq import lua
from streamq.codec import Codec
from streamq.enqueued import AllEnqueued, Enqueued
from streamq.errors import BacklogFull, ConfigError
from streamq.limits import FULL_TIMEOUT
from streamq.lua import Arg
from streamq.new_job import NewJob
from streamq.produce.commands import with_options
from streamq.text import printable
from streamq.wire.entry import check_type
from streamq.wire.keys import check_stream

OnFull = Literal["error", "wait"]
"""What a producer does at a full stream."""

CHUNK = 500
"""Entries that one call writes at most."""

CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes of data that one call carries, about."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between looks for room; each look waits about twice as long as the last."""

Piece = list[list[Arg]] | lua.Call
"""Entries that are written by one call, as far as there is room; or a call for one job."""


MaxBacklog = int | Mapping[str, int] | None
"""How many jobs may wait: in every stream, or by stream; ``None`` for any number."""


class Backpressure:
    """How many jobs may wait before a producer has to.

    Args:
        max_backlog: how many, for every stream; or by stream, others have no bound.
        on_full: raise :class:`BacklogFull`, or wait for room.
        timeout: seconds to wait for it; ``None`` for as long as it takes.

    Raises:
        ConfigError: one of them cannot be used.
    """

    def __init__(
        self, max_backlog: int | Mapping[str, int], on_full: OnFull = "error",
        timeout: float | None = FULL_TIMEOUT,
    ) -> None:  # fmt: skip
        named = isinstance(max_backlog, Mapping)
        by_stream = dict(max_backlog) if isinstance(max_backlog, Mapping) else {"": max_backlog}
        for stream, most in by_stream.items():
            if not isinstance(most, int) or isinstance(most, bool) or most < 1:
                raise ConfigError(f"max_backlog={most!r}: give how many jobs may wait, one or more")
            if named:
                check_stream(stream)
        if on_full not in get_args(OnFull):
            raise ConfigError(f"on_full={printable(repr(on_full), 60)}: give 'error' or 'wait'")
        if timeout is not None and not (isinstance(timeout, int | float) and timeout >= 0):
            raise ConfigError(f"full_timeout={timeout!r}: give seconds, or None for no limit")
        self._by_stream = by_stream if named else {}
        self._default = None if named else by_stream[""]
        self.waits = on_full == "wait"
        self.timeout = timeout

    def limit(self, stream: str) -> int | None:
        """How many jobs of a stream may wait; ``None`` for any number."""
        return self._by_stream.get(stream, self._default)


def backpressure_of(
    max_backlog: MaxBacklog, on_full: OnFull, timeout: float | None
) -> Backpressure | None:
    """What an app's options say; ``None`` when no number of jobs is too large.

    Raises:
        ConfigError: they cannot be used.
    """
    if max_backlog is not None:
        return Backpressure(max_backlog, on_full, timeout)
    if on_full != "error":
        raise ConfigError("on_full says what happens at max_backlog: give that, too")
    return None


class BoundedWriter:
    """Writes to a stream while there is room, and waits for it, or says that there is none.

    Args:
        most: how many jobs may wait.
        run: runs a script.
        until_known: runs a script that does nothing the second time, until its reply arrives.
    """

    def __init__(
        self, backpressure: Backpressure, stream: str, most: int, *,
        run: Callable[[lua.Call], Awaitable[Any]],
        until_known: Callable[[lua.Call], Awaitable[Enqueued]],
    ) -> None:  # fmt: skip
        self._backpressure = backpressure
        self._stream = stream
        self._most = most
        self._run = run
        self._until_known = until_known

    async def write(self, pieces: AsyncIterable[Piece]) -> AsyncGenerator[AllEnqueued, None]:
        """Write them in order, and yield what was written as it is.

        Raises:
            BacklogFull: there is no room for the next one, and none came in time.
            StreamqError: the server cannot be used, or refused.
        """
        async for piece in pieces:
            room = _Room(self._backpressure, self._stream, self._most)
            if isinstance(piece, lua.Call):
                yield AllEnqueued([await self._write_one(piece, room)])
                continue
            while piece:
                call = lua.produce_within(self._stream, self._most, piece)
                backlog, *ids = await self._run(call)
                if ids:
                    del piece[: len(ids)]
                    room = _Room(self._backpressure, self._stream, self._most)
                    yield AllEnqueued(ids)
                if piece:
                    await room.wait(backlog + len(ids))

    async def _write_one(self, call: lua.Call, room: _Room) -> Enqueued:
        while True:
            try:
                return await self._until_known(call)
            except BacklogFull as full:
                await room.wait(full.backlog)


async def until_room(
    backpressure: Backpressure, stream: str, most: int, attempt: Callable[[], Awaitable[Enqueued]]
) -> Enqueued:
    """Try again for as long as there is no room.

    Raises:
        BacklogFull: none came in time.
    """
    room = _Room(backpressure, stream, most)
    while True:
        try:
            return await attempt()
        except BacklogFull as full:
            await room.wait(full.backlog)


class _Room:
    """One wait for room."""

    def __init__(self, backpressure: Backpressure, stream: str, most: int) -> None:
        self._stream, self._most = stream, most
        self._timeout = backpressure.timeout if backpressure.waits else 0.0
        self._since = time.monotonic()
        self._pause = FIRST_PAUSE

    async def wait(self, backlog: int) -> None:
        """Pause before the next look.

        Raises:
            BacklogFull: the time is over.
        """
        pause = self._pause * random.uniform(0.5, 1.0)
        if self._timeout is not None:
            left = self._since + self._timeout - time.monotonic()
            if left <= 0:
                raise BacklogFull(self._stream, backlog, self._most, waited=self._timeout)
            pause = min(pause, left)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        await asyncio.sleep(pause)


async def pieces(
    stream: str, most: int, jobs: AsyncIterable[NewJob], limit: int, faults: list[Exception],
    codec: Codec | None = None,
) -> AsyncIterator[Piece]:  # fmt: skip
    """The jobs as the calls that write them.

    Args:
        most: how many jobs may wait.
        limit: bytes that the encoded data of one job may take.
        faults: gets the error at which it stops; what came before it is still to be written.
    """
    gathered: list[list[Arg]] = []
    size = 0
    check_stream(stream)
    try:
        async for job in jobs:
            later, unique = job.due(), job.uniqueness()
            if later is None and unique is None:
                check_type(job.type)
                fields: list[Arg] = [*job.fields(limit, codec)]
                gathered.append(fields)
                size += sum(len(part) for part in fields if isinstance(part, str | bytes))
            if gathered and (len(gathered) == CHUNK or size >= CHUNK_BYTES or later or unique):
                yield gathered
                gathered, size = [], 0
            if later is not None or unique is not None:
                call = with_options(stream, job, limit, codec)
                assert isinstance(call, lua.Call)
                # A job for later is none that waits yet, and is not to be lost when it is due.
                yield call if later is not None else lua.within(call, most)
    except Exception as error:
        faults.append(error)
    if gathered:
        yield gathered
