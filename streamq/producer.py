"""Writing jobs to a stream."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

from streamq.errors import StreamqError
from streamq.job import MAX_PAYLOAD, check_type, encode, encode_data
from streamq.keys import check_stream
from streamq.server import Server
from streamq.server.packing import pack

NewJob = tuple[str, Mapping[str, Any]]
"""A job to be written: its type and its data."""

CHUNK = 500
"""Jobs sent before their replies are read."""


class Producer:
    """Writes jobs with ``XADD``.

    Args:
        server: where.
        max_payload: bytes that the encoded data of one job may take.
    """

    def __init__(self, server: Server, max_payload: int = MAX_PAYLOAD) -> None:
        self._server = server
        self._max_payload = max_payload

    async def produce(self, stream: str, type: str, data: Mapping[str, Any]) -> str:
        """Write one job and return its ID.

        Raises:
            PayloadError: the data cannot be written as JSON, or is too large.
            ConfigError: the stream or the type cannot be used as such.
            WrongKeyType: the stream's key holds something else.
            ServerRefused: the server is out of memory, read-only, or the like.
            OutcomeUnknown: the connection broke before the answer; the job may have
                been written.
            ServerUnavailable: nothing was written.
        """
        fields = self._encode(type, data)
        reply = await self._server.call("XADD", check_stream(stream), "*", *fields)
        job_id: str = reply.decode()
        return job_id

    async def produce_many(
        self, stream: str, jobs: Iterable[NewJob] | AsyncIterable[NewJob]
    ) -> list[str]:
        """Write many jobs, pipelined, and return their IDs in order.

        They are written one by one, not as a transaction: when an error stops it,
        those before it are written. Errors as for :meth:`produce`.
        """
        return [job_id async for chunk in self.stream_jobs(stream, jobs) for job_id in chunk]

    async def stream_jobs(
        self, stream: str, jobs: Iterable[NewJob] | AsyncIterable[NewJob]
    ) -> AsyncIterator[list[str]]:
        """Write jobs as they come, and yield the IDs of each chunk once it is written.

        At no time is more than a chunk of them in memory.
        """
        check_stream(stream)
        packed: list[bytes] = []
        async for type, data in _as_async(jobs):
            packed.append(pack(("XADD", stream, "*", *self._encode(type, data))))
            if len(packed) >= CHUNK:
                yield await self._send(packed)
                packed = []
        if packed:
            yield await self._send(packed)

    async def _send(self, packed: list[bytes]) -> list[str]:
        async with self._server.borrowed() as link:
            replies = await link.exchange(b"".join(packed), len(packed))
        for reply in replies:
            if isinstance(reply, StreamqError):
                raise reply
        return [reply.decode() for reply in replies]

    def _encode(self, type: str, data: Mapping[str, Any]) -> list[str | bytes | int]:
        return encode(check_type(type), encode_data(data, self._max_payload))


async def _as_async(jobs: Iterable[NewJob] | AsyncIterable[NewJob]) -> AsyncIterator[NewJob]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
