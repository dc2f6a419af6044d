"""Writing jobs to a stream: now, later, or once only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from streamq import lua
from streamq.codec import Codec, encode_with
from streamq.enqueued import AllEnqueued, Enqueued
from streamq.errors import (
    BacklogFull,
    NotReplicated,
    OutcomeUnknown,
    ServerError,
    ServerUnavailable,
    StreamqError,
)
from streamq.limits import MAX_PAYLOAD
from streamq.middleware import (
    Instrumentation,
    ProduceMiddleware,
    around_producing,
    around_producing_many,
    only_instrumentation,
)
from streamq.new_job import NewJob, Options
from streamq.offload import Offload
from streamq.produce.backpressure import Backpressure, BoundedWriter, pieces, until_room
from streamq.produce.commands import plain, with_options
from streamq.produce.many import (
    Jobs,
    as_async,
    as_raised,
    enqueued,
    new_jobs,
    packed_chunks,
)
from streamq.produce.offloaded import Outgoing
from streamq.produce.replication import Replication
from streamq.retry import Backoff
from streamq.server import Server
from streamq.server.packing import pack
from streamq.server.replies import KeyTaken
from streamq.wire.keys import check_stream

PATIENCE = 10.0
"""Seconds for which a write that may safely be repeated is repeated."""

BACKOFF = Backoff(base=0.05, cap=1.0)


class Producer:
    """Writes jobs with ``XADD``.

    Args:
        server: where.
        max_payload: bytes that the encoded data of one job may take.
        replication: wait until replicas have what is written.
        middleware: wraps the producing of each job, the first one outermost.
        codec: writes the data; JSON without one.
        offload: which data is kept outside the stream, if any is.
        backpressure: how many jobs may wait, where there is a bound.
    """

    def __init__(
        self,
        server: Server,
        max_payload: int = MAX_PAYLOAD,
        replication: Replication | None = None,
        middleware: Sequence[ProduceMiddleware | Instrumentation] = (),
        codec: Codec | None = None,
        offload: Offload | None = None,
        backpressure: Backpressure | None = None,
    ) -> None:
        self._offload = offload
        self._server = server
        self._max_payload = max_payload
        self._replication = replication
        self._middleware = tuple(middleware)
        self._codec = codec
        self._backpressure = backpressure

    async def produce(self, stream: str, job: NewJob) -> Enqueued:
        """Write one job.

        With a ``unique`` key or a time, a write whose outcome is unknown is repeated for up
        to 10 s: a second one finds nothing to do.

        Raises:
            AlreadyEnqueued: its ``unique`` key is taken, and that is to be an error.
            PayloadError: the data cannot be written as JSON, or is too large.
            ConfigError: the stream, the type or an option cannot be used.
            WrongKeyType: the stream's key holds something else.
            ServerRefused: the server is out of memory, read-only, or the like.
            OutcomeUnknown: the connection broke before the answer; the job may have
                been written.
            NotReplicated: it is written, but not on enough replicas in time.
            BacklogFull: there is no room, and none came in time; nothing was written.
            ServerUnavailable: nothing was written.
        """
        if self._middleware:
            write = partial(self._produce, stream)
            return await around_producing(self._middleware, stream, write)(job)
        return await self._produce(stream, job)

    async def produce_many(
        self, stream: str, jobs: Jobs, options: Options | None = None
    ) -> AllEnqueued:
        """Write many jobs, pipelined, in order.

        They are written one by one, not as a transaction: when an error stops it,
        those before it are written, and those that were on their way already. Errors as for
        :meth:`produce`.

        Args:
            options: for every job that is no :class:`NewJob` with options of its own.
        """
        written = AllEnqueued()
        try:
            async for chunk in self.stream_jobs(stream, jobs, options):
                written.extend(chunk)
        except (BacklogFull, NotReplicated) as error:
            error.job_ids[:0] = [job.id for job in written]
            raise
        return written

    def stream_jobs(
        self, stream: str, jobs: Jobs, options: Options | None = None
    ) -> AsyncGenerator[AllEnqueued, None]:
        """Write jobs as they come, and yield each chunk once it is written.

        At no time are more than two chunks of them in memory: one is on its way while the
        next is made. Where replicas are waited for, they have a chunk before the next is
        sent. With middleware that wraps one job, each job is written before the next.
        """
        check_stream(stream)
        write = partial(self._write_jobs, stream)
        if not self._middleware:
            return write(jobs, options)
        one_by_one = new_jobs(jobs, options or Options())
        around = only_instrumentation(self._middleware)
        if around is None:
            return self._write_each(stream, one_by_one)
        return around_producing_many(around, stream, write)(one_by_one)

    async def _write_each(
        self, stream: str, jobs: AsyncIterator[NewJob]
    ) -> AsyncGenerator[AllEnqueued, None]:
        async for job in jobs:
            yield AllEnqueued([await self.produce(stream, job)])

    async def _write_jobs(
        self, stream: str, jobs: Jobs, options: Options | None = None
    ) -> AsyncGenerator[AllEnqueued, None]:
        faults: list[Exception] = []
        outgoing = self._outgoing()
        limit = None if self._backpressure is None else self._backpressure.limit(stream)
        if limit is not None and outgoing is not None:
            async for job in new_jobs(jobs, options or Options()):
                yield AllEnqueued([await self._produce(stream, job)])
            return
        if limit is not None:
            async for chunk in self._bounded(
                stream, limit, new_jobs(jobs, options or Options()), faults
            ):
                yield chunk
            if faults:
                raise faults[0]
            return
        chunks = packed_chunks(
            stream, jobs, options or Options(), self._max_payload, faults, self._codec, outgoing
        )
        async with self._server.borrowed() as link:
            if self._replication is None:
                lots = link.pipeline(chunks)
            else:
                lots = self._replication.pipeline(link, chunks)
            async with aclosing(lots) as written:
                async for replies in written:
                    if outgoing is not None:
                        await outgoing.replied(stream, replies)
                    yield enqueued(replies)
        if faults:
            raise faults[0]

    def _outgoing(self) -> Outgoing | None:
        if self._offload is None:
            return None
        return Outgoing(self._server, self._offload, self._max_payload, self._codec)

    async def _produce(self, stream: str, job: NewJob) -> Enqueued:
        outgoing = self._outgoing()
        limit = None if self._backpressure is None else self._backpressure.limit(stream)
        if outgoing is not None:
            attempt = partial(self._produce_outgoing, outgoing, stream, job, limit)
            if self._backpressure is None or limit is None:
                return await attempt()
            return await until_room(self._backpressure, stream, limit, attempt)
        if limit is not None:
            return await self._produce_within(stream, limit, job)
        if job.is_plain:
            return await self._write(
                plain(stream, job.type, encode_with(self._codec, job.data, self._max_payload))
            )
        command = with_options(stream, job, self._max_payload, self._codec)
        if isinstance(command, bytes):
            return await self._write(command)
        return await self._until_known(command)

    async def _produce_outgoing(
        self, outgoing: Outgoing, stream: str, job: NewJob, limit: int | None
    ) -> Enqueued:
        command, repeatable, ref = await outgoing.command(stream, job)
        if limit is not None and job.due() is None:
            if isinstance(command, bytes):
                command = lua.produce(stream, job.fields(self._max_payload, self._codec))
            command = lua.within(command, limit)
        in_doubt: list[OutcomeUnknown] = []
        try:
            if isinstance(command, bytes):
                return await self._write(command)
            if not repeatable:
                return await self._write(pack(command.eval()))
            written = await self._until_known(command, in_doubt)
        except (OutcomeUnknown, NotReplicated):
            raise  # it may have been written, or is
        except StreamqError:
            await outgoing.take_back(stream, ref)
            raise
        if not written.created and not written.replaced and not in_doubt:
            await outgoing.take_back(stream, ref)
        return written

    async def _produce_within(self, stream: str, limit: int, job: NewJob) -> Enqueued:
        faults: list[Exception] = []
        async with aclosing(self._bounded(stream, limit, as_async([job]), faults)) as chunks:
            async for written in chunks:
                return written[0]
        raise faults[0]

    def _bounded(
        self, stream: str, limit: int, jobs: AsyncIterable[NewJob], faults: list[Exception]
    ) -> AsyncGenerator[AllEnqueued, None]:
        """Write jobs while no more than ``limit`` wait."""
        assert self._backpressure is not None
        writer = BoundedWriter(
            self._backpressure, stream, limit, run=self._run, until_known=self._until_known
        )
        return writer.write(pieces(stream, limit, jobs, self._max_payload, faults, self._codec))

    async def _run(self, call: lua.Call) -> Any:
        if self._replication is None:
            return await self._server.run(call)
        # By its text: that a digest is unknown would be said after the wait.
        return await self._replicated(self._replication, pack(call.eval()))

    async def _write(self, command: bytes) -> Enqueued:
        if self._replication is None:
            reply = await self._server.send(command)
        else:
            reply = await self._replicated(self._replication, command)
        return Enqueued(str(reply, "ascii"))

    async def _until_known(
        self, call: lua.Call, in_doubt: list[OutcomeUnknown] | None = None
    ) -> Enqueued:
        """Run a script that does nothing the second time, until its reply arrives.

        Args:
            in_doubt: gets the errors after which it may have been carried out.
        """
        give_up = time.monotonic() + PATIENCE
        attempt = 0
        unknown: OutcomeUnknown | None = None
        while True:
            try:
                reply = await self._run(call)
            except NotReplicated:
                raise
            except BacklogFull as error:
                if unknown is None:
                    raise
                raise unknown from error  # an earlier attempt may have taken the last room
            except KeyTaken as taken:
                raise as_raised(taken) from None
            except ServerError as error:
                if isinstance(error, OutcomeUnknown):
                    unknown = error
                    if in_doubt is not None:
                        in_doubt.append(error)
                attempt += 1
                pause = BACKOFF.delay(attempt)
                again = isinstance(error, ServerUnavailable)
                if not again or time.monotonic() + pause >= give_up:
                    if unknown is None or unknown is error:
                        raise
                    raise unknown from error  # an earlier attempt may have been carried out
                await asyncio.sleep(pause)
            else:
                return Enqueued.of(*reply)

    async def _replicated(self, replication: Replication, packed: bytes) -> Any:
        async with self._server.borrowed() as link:
            [reply] = await replication.write(link, packed, 1)
        if isinstance(reply, Exception):
            raise reply
        return reply
