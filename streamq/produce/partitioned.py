"""Writing jobs to streams of several partitions.

A job with an order key, or else with an idempotency key, goes where that key says, by a script that
looks whether the partition has the same number of partitions in mind as the writer: a stream may
have grown meanwhile. Jobs without a key go to each partition in turn.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from itertools import groupby
from typing import Any, NamedTuple

from streamq import lua
from streamq.codec import Codec, encode_with
from streamq.enqueued import AllEnqueued, AlreadyEnqueued, Enqueued, InPartition
from streamq.errors import NotReplicated, OutcomeUnknown, ServerRefused, StreamqError
from streamq.new_job import NewJob, Options
from streamq.option_checks import check_key
from streamq.partitions import Layout, Partitioned, laid_out, read_layout
from streamq.produce.backpressure import Backpressure, until_room
from streamq.produce.commands import plain, with_options
from streamq.produce.many import CHUNK, Jobs, as_async, as_new_job, as_raised
from streamq.produce.offloaded import Outgoing
from streamq.retry import Backoff
from streamq.server import Server
from streamq.server.packing import pack
from streamq.server.replies import NotKnown, Repartitioned
from streamq.text import printable
from streamq.wire.entry import check_type
from streamq.wire.keys import stream_keys

PATIENCE = 15.0
"""Seconds that a job waits for its partition to be opened, which takes milliseconds. If whoever
lets the stream grow is stopped in the middle of it, workers go on with it within about 10 s."""

BACKOFF = Backoff(base=0.02, cap=0.5)

REFRESH = 5.0
"""Seconds after which it is looked again how many there are, for jobs without a key are never
refused."""


class Partitions:
    """The streams of a program that have partitions, and how many.

    Args:
        declared: those that have; others have none.
        look: whether the server is asked about all others, once each.
    """

    def __init__(
        self, server: Server, declared: Mapping[str, Partitioned], *, look: bool = False
    ) -> None:
        self._server = server
        self._declared = declared
        self._look = look
        self._known: dict[str, Layout] = {}
        self._read_at: dict[str, float] = {}

    async def has(self, stream: str) -> bool:
        """Whether a stream has some; to be asked for each job."""
        if stream in self._declared:
            return True
        return self._look and (await self._first_look(stream)).partitions > 0

    async def _first_look(self, stream: str) -> Layout:
        return self._known.get(stream) or await self.read(stream)

    async def of(self, stream: str) -> Layout:
        """Those of a stream, as they were seen not long ago."""
        known = self._known.get(stream)
        if known is None or time.monotonic() - self._read_at[stream] > REFRESH:
            return await self.read(stream)
        return known

    async def read(self, stream: str) -> Layout:
        """Those of a stream, as they are now."""
        declared = self._declared.get(stream)
        if declared is None or stream in self._known:
            layout = await read_layout(self._server, stream)
        else:
            layout = await laid_out(self._server, stream, declared)
        self._known[stream] = layout
        self._read_at[stream] = time.monotonic()
        return layout


class Means(NamedTuple):
    """What a producer writes with.

    Attributes:
        write: sends one packed command, whose reply is an ID.
        send: sends several, and returns their replies.
        run: runs a script.
        until_known: runs a script that does nothing the second time, until its reply arrives.
        outgoing: of an app that keeps large data outside the stream.
    """

    write: Callable[[bytes], Awaitable[Enqueued]]
    send: Callable[[bytes, int], Awaitable[Sequence[Any]]]
    run: Callable[[lua.Call], Awaitable[Any]]
    until_known: Callable[[lua.Call, list[OutcomeUnknown]], Awaitable[Enqueued]]
    outgoing: Callable[[], Outgoing | None]
    backpressure: Backpressure | None
    max_payload: int
    codec: Codec | None


class PartitionedWriter:
    """Writes jobs to the partitions of streams."""

    def __init__(self, partitions: Partitions, means: Means) -> None:
        self._partitions = partitions
        self._means = means
        self._turn = random.randrange(1 << 16)  # or each short program began with the same

    async def produce(self, stream: str, job: NewJob) -> InPartition:
        """Write one job; errors as for :meth:`streamq.produce.producer.Producer.produce`.

        Raises:
            ServerRefused: the partition of its key has not been opened for long.
        """
        patience = _Patience(stream)
        layout = await self._partitions.of(stream)
        while True:
            try:
                return await self._produce(layout, job)
            except Repartitioned:
                layout = await self._changed(layout, patience)

    async def stream_jobs(
        self, stream: str, jobs: Jobs, options: Options
    ) -> AsyncGenerator[AllEnqueued, None]:
        """Write many, chunk by chunk; in each partition they are in order."""
        async for chunk, fault in self._chunks(stream, jobs, options):
            if chunk:
                yield AllEnqueued(await self._produce_chunk(stream, chunk))
            if fault is not None:
                raise fault

    # -- one ------------------------------------------------------------------

    async def _produce(self, layout: Layout, job: NewJob) -> InPartition:
        key = _key_of(job)
        if job.unique is not None and key is not None:
            for place in layout.once_of(key):
                try:
                    return await self._write(place, None, layout, job, known=True)
                except NotKnown:
                    pass
        number = self._next(layout) if key is None else layout.of(key)
        return await self._write(layout.name(number), number, layout, job)

    def _next(self, layout: Layout, step: int = 1) -> int:
        self._turn += step
        return (self._turn - step) % layout.partitions

    async def _write(
        self, name: str, number: int | None, layout: Layout, job: NewJob, *, known: bool = False
    ) -> InPartition:
        """Write a job to one key.

        Args:
            number: the partition's; ``None`` for another key of the stream.
            known: only if its idempotency key is known there.
        """
        means = self._means
        outgoing, ref = means.outgoing(), None
        if outgoing is None:
            command = with_options(name, job, means.max_payload, means.codec)
            repeatable = not isinstance(command, bytes)
        else:
            command, repeatable, ref = await outgoing.command(name, job)
        limit = _limit(means.backpressure, layout)
        if job.due() is not None:
            limit = None
        placed = number is not None and _key_of(job) is not None
        if isinstance(command, bytes) and (limit is not None or placed):
            command = lua.produce(name, job.fields(means.max_payload, means.codec))
        if isinstance(command, bytes):
            return _at(await means.write(command), name)
        if limit is not None:
            command = lua.within(command, limit)
        keys = stream_keys(name)
        if placed:
            command = lua.in_partition(command, keys.settings, layout.partitions)
        if known:
            assert job.unique is not None
            command = lua.if_known(command, keys.unique(job.unique))
        call, in_doubt = command, list[OutcomeUnknown]()

        async def attempt() -> Enqueued:
            if repeatable:
                return await means.until_known(call, in_doubt)
            return Enqueued(str(await means.run(call), "ascii"))

        try:
            if limit is None or means.backpressure is None:
                written = await attempt()
            else:
                written = await until_room(means.backpressure, layout.stream, limit, attempt)
        except (OutcomeUnknown, NotReplicated):
            raise  # it may have been written, or is
        except StreamqError as error:
            if outgoing is not None:
                await outgoing.take_back(name, ref)
            if isinstance(error, AlreadyEnqueued):
                error.job = _at(error.job, name)
            raise
        if outgoing is not None and not (written.created or written.replaced or in_doubt):
            await outgoing.take_back(name, ref)
        return _at(written, name)

    # -- many -----------------------------------------------------------------

    async def _chunks(
        self, stream: str, jobs: Jobs, options: Options
    ) -> AsyncIterator[tuple[list[_Item], Exception | None]]:
        """The jobs in chunks; the last comes with the error at which they end, if one does."""
        means = self._means
        backpressure = means.backpressure
        simple = means.outgoing() is None and (
            backpressure is None or backpressure.limit(stream) is None
        )
        plainly = simple and not options
        chunk: list[_Item] = []
        try:
            async for one in as_async(jobs):
                if plainly and one.__class__ is tuple and len(one) == 2:
                    raw = encode_with(means.codec, one[1], means.max_payload)
                    chunk.append(_Item(None, None, raw, check_type(one[0])))
                else:
                    chunk.append(self._item(as_new_job(one, options), simple=simple))
                if len(chunk) == CHUNK:
                    yield chunk, None
                    chunk = []
        except Exception as error:
            yield chunk, error
            return
        if chunk:
            yield chunk, None

    def _item(self, job: NewJob, *, simple: bool) -> _Item:
        check_type(job.type)
        fields = None
        if simple and job.unique is None and job.delay is None and job.at is None:
            job.uniqueness()  # refuses rules without a key
            fields = job.fields(self._means.max_payload, self._means.codec)
        return _Item(job, _key_of(job), fields)

    async def _produce_chunk(self, stream: str, items: Sequence[_Item]) -> list[Written]:
        patience = _Patience(stream)
        layout = await self._partitions.of(stream)
        done: list[Written | None] = [None] * len(items)
        left = list(range(len(items)))
        while True:
            lots = self._lots(layout, items, left)
            refused = await asyncio.gather(
                *(self._write_lot(layout, name, lot, items, done) for name, lot in lots.items()),
                return_exceptions=True,
            )
            left = []
            for one in refused:
                if isinstance(one, BaseException):
                    raise one
                left += one
            if not left:
                return [one for one in done if one is not None]
            left.sort()
            layout = await self._changed(layout, patience)

    def _lots(
        self, layout: Layout, items: Sequence[_Item], places: Sequence[int]
    ) -> dict[str, list[int]]:
        """The places of the jobs in the chunk, by the keys of the server that they go to."""
        lots: dict[int, list[int]] = {}
        free = []
        for place in places:
            key = items[place].key
            if key is None:
                free.append(place)
            else:
                lots.setdefault(layout.of(key), []).append(place)
        count = min(layout.partitions, len(free))
        first = self._next(layout, count)
        for i in range(count):
            some = free[i * len(free) // count : (i + 1) * len(free) // count]
            lots.setdefault((first + i) % layout.partitions, []).extend(some)
        return {layout.name(number): lot for number, lot in lots.items()}

    async def _write_lot(
        self, layout: Layout, name: str, places: Sequence[int], items: Sequence[_Item],
        done: list[Written | None],
    ) -> list[int]:  # fmt: skip
        """Write the jobs of one partition, in order, and return those that it does not take."""

        def way(place: int) -> Way:
            item = items[place]
            if item.written is None:
                return self._write_singly
            return self._write_free if item.key is None else self._write_keyed

        try:
            for write, some in groupby(places, way):
                await write(name, layout, [*some], items, done)
        except Repartitioned:
            return [place for place in places if done[place] is None]
        return []

    async def _write_singly(
        self, name: str, layout: Layout, places: Sequence[int], items: Sequence[_Item],
        done: list[Written | None],
    ) -> None:  # fmt: skip
        for place in places:
            job = items[place].job
            assert job is not None
            done[place] = await self._produce(layout, job)

    async def _write_keyed(
        self, name: str, layout: Layout, places: Sequence[int], items: Sequence[_Item],
        done: list[Written | None],
    ) -> None:  # fmt: skip
        entries = [items[place].fields for place in places]
        call = lua.in_partition(
            lua.produce_all(name, entries), stream_keys(name).settings, layout.partitions
        )
        for place, id in zip(places, await self._means.run(call), strict=True):
            done[place] = name, id

    async def _write_free(
        self, name: str, layout: Layout, places: Sequence[int], items: Sequence[_Item],
        done: list[Written | None],
    ) -> None:  # fmt: skip
        packed = [items[place].packed(name) for place in places]
        replies = await self._means.send(b"".join(packed), len(packed))
        for place, reply in zip(places, replies, strict=True):
            if isinstance(reply, StreamqError):
                raise as_raised(reply)
            done[place] = name, reply

    async def _changed(self, layout: Layout, patience: _Patience) -> Layout:
        """The partitions, once they are others than those that were refused."""
        found = await self._partitions.read(layout.stream)
        if found.growing:
            # The old partitions may take no more of some keys; the new ones open one by one.
            found = found._replace(
                partitions=found.growing, earlier=(*found.earlier, found.partitions), growing=0
            )
        if found.partitions == layout.partitions:
            await patience.pause(found)
        return found


class _Item(NamedTuple):
    """One of many jobs.

    Attributes:
        job: the whole of it; ``None`` for one that is type and data alone.
        key: what decides on its partition.
        written: the fields of its entry, or its data; ``None`` for one that is written by itself.
        type: its type, where there is no ``job``.
    """

    job: NewJob | None
    key: str | None
    written: list[str | bytes | int] | bytes | None
    type: str = ""

    @property
    def fields(self) -> list[str | bytes | int]:
        """Those of its entry."""
        assert isinstance(self.written, list)
        return self.written

    def packed(self, name: str) -> bytes:
        """The command that writes it."""
        if isinstance(self.written, bytes):
            return plain(name, self.type, self.written)
        return pack(("XADD", name, "*", *self.fields))


Written = InPartition | tuple[str, bytes]
"""What became of one: a job, or the key of its partition and its ID."""

Way = Callable[[str, Layout, Sequence[int], Sequence[_Item], list[Written | None]], Awaitable[None]]
"""Writes some of many jobs to one key of the server."""


class _Patience:
    """How long one call waits for a partition to be opened."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._give_up = time.monotonic() + PATIENCE
        self._attempt = 0

    async def pause(self, layout: Layout) -> None:
        """Pause before the next attempt.

        Raises:
            ServerRefused: it has taken too long.
        """
        self._attempt += 1
        pause = BACKOFF.delay(self._attempt)
        if time.monotonic() + pause >= self._give_up:
            stream = printable(self._stream, 100)
            raise ServerRefused(
                f"nothing was written: the stream {stream} is about to have {layout.partitions:,} "
                "partitions, and whoever lets it grow has stopped; let it go on with "
                f"`streamq stream grow {stream} --to {layout.partitions}`",
                passing=True,
            )
        await asyncio.sleep(pause)


def _key_of(job: NewJob) -> str | None:
    """What decides on its partition: the order key, or else the idempotency key."""
    key = check_key("key", job.key)
    return key if key is not None else check_key("unique", job.unique)


def _limit(backpressure: Backpressure | None, layout: Layout) -> int | None:
    """How many jobs may wait in one partition: its part of those that may in all."""
    limit = None if backpressure is None else backpressure.limit(layout.stream)
    return None if limit is None else -(-limit // layout.partitions)


def _at(written: Enqueued, name: str) -> InPartition:
    return InPartition(written, name)
