"""Many jobs as chunks of packed commands."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Union

from streamq.codec import Codec, encode_with
from streamq.enqueued import AllEnqueued, AlreadyEnqueued, Enqueued
from streamq.errors import StreamqError
from streamq.new_job import NewJob, Options
from streamq.produce.commands import plain, with_options
from streamq.produce.offloaded import Outgoing
from streamq.server.packing import pack
from streamq.server.replies import KeyTaken
from streamq.wire.entry import encode_data

if TYPE_CHECKING:
    from streamq.event import Event

T = TypeVar("T")

CHUNK = 500
"""Jobs sent before their replies are read."""

CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes sent before their replies are read, where large data is kept outside the stream."""

Pair = tuple[str, Mapping[str, Any]]
"""Type and data of a job."""

OneJob = Union[Pair, NewJob, "Event"]
"""A job to be written: its type and data, one with options of its own, or an event."""

Jobs = Iterable[OneJob] | AsyncIterable[OneJob]


async def packed_chunks(
    stream: str,
    jobs: Jobs,
    options: Options,
    limit: int,
    faults: list[Exception],
    codec: Codec | None = None,
    outgoing: Outgoing | None = None,
) -> AsyncIterator[tuple[bytes, int]]:
    """The commands that write the jobs, and how many they are, chunk by chunk.

    Args:
        options: for every job that has none of its own; see :class:`NewJob`.
        limit: bytes that the encoded data of one job may take.
        faults: gets the error at which it stops; what came before it is still to be written.
        outgoing: of an app that keeps large data outside the stream.
    """
    packed: list[bytes] = []
    size = 0
    plainly = not options
    encode = encode_data if codec is None else partial(encode_with, codec)
    try:
        async for job in as_async(jobs):
            if outgoing is not None:
                made = await outgoing.command(stream, as_new_job(job, options))
                outgoing.sent(made.ref)
                command = made.command
                packed.append(command if isinstance(command, bytes) else pack(command.eval()))
                size += len(packed[-1])
                if size >= CHUNK_BYTES:
                    yield b"".join(packed), len(packed)
                    packed.clear()
                    size = 0
            elif plainly and job.__class__ is tuple and len(job) == 2:
                type, data = job
                packed.append(plain(stream, type, encode(data, limit)))
            else:
                command = with_options(stream, as_new_job(job, options), limit, codec)
                # By its text: between the loading of a script and its run by digest, the
                # server could forget it.
                packed.append(command if isinstance(command, bytes) else pack(command.eval()))
            if len(packed) == CHUNK:
                yield b"".join(packed), len(packed)
                packed.clear()
    except Exception as error:
        faults.append(error)
    if packed:
        yield b"".join(packed), len(packed)


async def new_jobs(jobs: Jobs, options: Options) -> AsyncIterator[NewJob]:
    """The jobs one by one, with their options."""
    async for job in as_async(jobs):
        yield as_new_job(job, options)


def as_new_job(job: OneJob, options: Options) -> NewJob:
    """A job with its options: its own, if it has any, else those for all.

    Raises:
        TypeError: it is no job, or there is no such option.
    """
    if isinstance(job, NewJob):
        return job
    if not isinstance(job, tuple):
        return NewJob(job, **options)
    if len(job) != 2:
        raise TypeError(
            f"a job is (type, mapping), an Event, or a NewJob with options, not {job!r:.60}"
        )
    type, data = job
    return NewJob(type, data, **options)


def enqueued(replies: Sequence[Any]) -> AllEnqueued:
    """What became of the jobs of a chunk.

    Raises:
        StreamqError: the server refused one of them.
    """
    for reply in replies:
        if isinstance(reply, StreamqError):
            raise as_raised(reply)
    return AllEnqueued(replies)


def as_raised(error: StreamqError) -> StreamqError:
    """The error as a caller of produce knows it."""
    if isinstance(error, KeyTaken):
        return AlreadyEnqueued(Enqueued(error.id.decode(), error.due, known=True))
    return error


async def as_async(jobs: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Whatever the jobs are in, as something to go through with ``async for``."""
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
