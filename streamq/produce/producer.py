"""Writing jobs to a stream: now, later, or once only."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import lru_cache
from typing import Any

import anyio

from streamq import lua
from streamq.errors import (
    ConfigError,
    NotReplicated,
    OutcomeUnknown,
    ServerError,
    ServerUnavailable,
    StreamqError,
)
from streamq.produce.replication import Replication
from streamq.retry import Backoff
from streamq.server import Server
from streamq.server.packing import pack
from streamq.wire.entry import MAX_PAYLOAD, check_type, encode, encode_data
from streamq.wire.keys import check_stream, stream_keys

NewJob = tuple[str, Mapping[str, Any]]
"""A job to be written: its type and its data."""

CHUNK = 500
"""Jobs sent before their replies are read."""

KEY_TTL = 24 * 3600.0
"""Seconds for which an idempotency key is remembered."""

PATIENCE = 10.0
"""Seconds for which a write that may safely be repeated is repeated."""

REMEMBERED = 60_000
"""Milliseconds within which a schedule may become an entry while its call is repeated."""

BACKOFF = Backoff(base=0.05, cap=1.0)

MAX_KEY = 512


class Producer:
    """Writes jobs with ``XADD``.

    Args:
        server: where.
        max_payload: bytes that the encoded data of one job may take.
        replication: wait until replicas have what is written.
    """

    def __init__(
        self,
        server: Server,
        max_payload: int = MAX_PAYLOAD,
        replication: Replication | None = None,
    ) -> None:
        self._server = server
        self._max_payload = max_payload
        self._replication = replication

    async def produce(
        self,
        stream: str,
        type: str,
        data: Mapping[str, Any],
        *,
        key: str | None = None,
        key_ttl: float = KEY_TTL,
        delay: float | None = None,
        at: datetime | None = None,
        expires: float | None = None,
        trace: str | None = None,
    ) -> str:
        """Write one job and return its ID, or its schedule's name if it is for later.

        Args:
            key: an idempotency key: while it is remembered, the same key gives the
                first job's ID again and writes nothing. With a key (or a time) a write
                whose outcome is unknown is repeated by itself, for up to 10 s.
            key_ttl: seconds for which the key is remembered.
            delay: seconds until the job is written to the stream.
            at: when it is written, with a time zone.
            expires: seconds from its writing after which it is not run any more.
            trace: a W3C ``traceparent``, handed on to the handler.

        Raises:
            PayloadError: the data cannot be written as JSON, or is too large.
            ConfigError: the stream, the type or an option cannot be used as such.
            WrongKeyType: the stream's key holds something else.
            ServerRefused: the server is out of memory, read-only, or the like.
            OutcomeUnknown: the connection broke before the answer; the job may have
                been written.
            NotReplicated: it is written, but not on enough replicas in time.
            ServerUnavailable: nothing was written.
        """
        raw = encode_data(data, self._max_payload)
        when = _when(delay, at)
        if key is None and when is None and trace is None and expires is None:
            return await self._write(_command(stream, type, raw))
        fields = encode(
            check_type(type), raw,
            key=_check_key(key), trace=_check_text("trace", trace), expires=_ms("expires", expires),
        )  # fmt: skip
        if key is None and when is None:
            return await self._write(pack(("XADD", check_stream(stream), "*", *fields)))
        keys, ttl = stream_keys(stream), _ms("key_ttl", key_ttl) or 1
        if when is not None:
            name = f"s-{secrets.token_hex(8)}"
            if key is None and _is_soon(when):
                key, ttl = name, REMEMBERED
            call = lua.schedule(keys, name, when, key, ttl, fields)
        else:
            assert key is not None
            call = lua.produce_once(keys, key, ttl, fields)
        return await self._until_known(call)

    async def produce_many(
        self, stream: str, jobs: Iterable[NewJob] | AsyncIterable[NewJob]
    ) -> list[str]:
        """Write many jobs, pipelined, and return their IDs in order.

        They are written one by one, not as a transaction: when an error stops it,
        those before it are written. Errors as for :meth:`produce`.
        """
        ids: list[str] = []
        try:
            async for chunk in self.stream_jobs(stream, jobs):
                ids += chunk
        except NotReplicated as error:
            error.job_ids[:0] = ids
            raise
        return ids

    async def stream_jobs(
        self, stream: str, jobs: Iterable[NewJob] | AsyncIterable[NewJob]
    ) -> AsyncIterator[list[str]]:
        """Write jobs as they come, and yield the IDs of each chunk once it is written.

        At no time are more than two chunks of them in memory: one is on its way while the
        next is made. Where replicas are waited for, they have a chunk before the next is sent.
        """
        check_stream(stream)
        fault: Exception | None = None

        async def commands() -> AsyncIterator[tuple[bytes, int]]:
            nonlocal fault
            packed: list[bytes] = []
            try:
                async for type, data in _as_async(jobs):
                    raw = encode_data(data, self._max_payload)
                    packed.append(_command(stream, type, raw))
                    if len(packed) == CHUNK:
                        yield b"".join(packed), len(packed)
                        packed.clear()
            except Exception as error:
                fault = error  # what came before it is still to be written
            if packed:
                yield b"".join(packed), len(packed)

        async with self._server.borrowed() as link:
            if self._replication is None:
                lots = link.pipeline(commands())
            else:
                lots = self._replication.pipeline(link, commands())
            async with aclosing(lots) as written:
                async for replies in written:
                    yield _ids(replies)
        if fault is not None:
            raise fault

    async def _write(self, command: bytes) -> str:
        if self._replication is None:
            reply = await self._server.send(command)
        else:
            reply = await self._replicated(self._replication, command)
        return str(reply, "ascii")

    async def _until_known(self, call: lua.Call) -> str:
        """Run a script that does nothing the second time, until its reply arrives."""
        give_up = time.monotonic() + PATIENCE
        attempt = 0
        unknown: OutcomeUnknown | None = None
        while True:
            try:
                if self._replication is None:
                    reply = await self._server.run(call)
                else:
                    # By its text: that a digest is unknown would be told after the wait.
                    reply = await self._replicated(self._replication, pack(call.eval()))
            except NotReplicated:
                raise
            except ServerError as error:
                if isinstance(error, OutcomeUnknown):
                    unknown = error
                attempt += 1
                pause = BACKOFF.delay(attempt)
                again = isinstance(error, ServerUnavailable)
                if not again or time.monotonic() + pause >= give_up:
                    if unknown is None or unknown is error:
                        raise
                    raise unknown from error  # an earlier attempt may have been carried out
                await anyio.sleep(pause)
            else:
                return str(reply[0], "ascii")

    async def _replicated(self, replication: Replication, packed: bytes) -> Any:
        async with self._server.borrowed() as link:
            [reply] = await replication.write(link, packed, 1)
        if isinstance(reply, Exception):
            raise reply
        return reply


def _command(stream: str, type: str, raw: bytes) -> bytes:
    """The command that writes a job without options, packed."""
    return b"%b$%d\r\n%b\r\n" % (_head(stream, type), len(raw), raw)


@lru_cache(maxsize=1024)
def _head(stream: str, type: str) -> bytes:
    """That command up to the data, which is all that differs from job to job."""
    whole = pack(("XADD", check_stream(stream), "*", *encode(check_type(type), b"")))
    return whole.removesuffix(b"$0\r\n\r\n")


async def _as_async(jobs: Iterable[NewJob] | AsyncIterable[NewJob]) -> AsyncIterator[NewJob]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job


def _ids(replies: Sequence[Any]) -> list[str]:
    for reply in replies:
        if isinstance(reply, StreamqError):
            raise reply
    return [str(reply, "ascii") for reply in replies]


def _check_key(key: str | None) -> str | None:
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise ConfigError(f"an idempotency key takes 1 to {MAX_KEY} characters, not {len(key)}")
    return _check_text("key", key)


def _check_text(name: str, text: str | None) -> str | None:
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name}={text!r} cannot be written as UTF-8") from None
    return text


def _ms(name: str, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not 0 <= seconds < 1e10:
        raise ConfigError(f"{name}={seconds!r}: give seconds, zero or more")
    return int(seconds * 1000)


def _is_soon(when: tuple[str, int]) -> bool:
    kind, ms = when
    return ms - (time.time() * 1000 if kind == "at" else 0) < REMEMBERED


def _when(delay: float | None, at: datetime | None) -> tuple[str, int] | None:
    if at is None:
        ms = _ms("delay", delay)
        return None if ms is None else ("in", ms)
    if delay is not None:
        raise ConfigError("give either delay or at, not both")
    if at.tzinfo is None:
        raise ConfigError(f"at={at!r} has no time zone: give one, such as datetime.now(UTC)")
    return "at", int(at.timestamp() * 1000)
