"""Jobs for later: those that wait for the time at which they are written to their stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streamq import lua
from streamq.admin.content import content, plain_data
from streamq.admin.reading import PAGE, text
from streamq.errors import ConfigError, JobNotFound
from streamq.option_checks import due_time
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import decode_data
from streamq.wire.keys import SCHEDULE, stream_keys


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job that is written to its stream later.

    Attributes:
        name: what ``produce`` gave as its ID, by which it is cancelled.
        type: the job's type.
        due_at: when it is written to the stream: Unix time in seconds, by the server's clock.
        raw: its data as it was written, JSON as a rule; ``None`` when it cannot be read.
        key: its order key.
        unique: its idempotency key.
        expires: seconds, counted from its writing to the stream, after which it is not run.
        trace: its W3C ``traceparent``.
    """

    name: str
    stream: str
    type: str
    due_at: float
    raw: bytes | None = field(repr=False)
    key: str | None = None
    unique: str | None = None
    expires: float | None = None
    trace: str | None = None

    @property
    def data(self) -> Any:
        """The job's data, decoded; ``None`` when it cannot be read.

        Raises:
            InvalidEntry: it is not JSON.
        """
        return None if self.raw is None else decode_data(self.raw)

    def to_dict(self) -> dict[str, Any]:
        """The job as plain data. ``data`` that is not JSON comes as text in ``raw``."""
        return {
            "name": self.name,
            "stream": self.stream,
            "type": self.type,
            "due_at": self.due_at,
            "key": self.key,
            "unique": self.unique,
            "expires": self.expires,
            "trace": self.trace,
            **plain_data(self.raw),
        }

    @classmethod
    def of(
        cls, stream: str, name: str, due: bytes, fields: Sequence[bytes], unique: bytes
    ) -> ScheduledJob:
        """Out of what a script tells of one."""
        found = content(fields)
        own = dict(zip(fields[::2], fields[1::2], strict=False))
        if b"data" not in own:
            own = {}  # a foreign producer's fields are its data
        key, trace, expires = (own.get(name) for name in (b"key", b"trace", b"expires"))
        return cls(
            name, stream, found.type, float(due) / 1000, found.raw,
            key=None if key is None else text(key), unique=text(unique) or None,
            expires=int(expires) / 1000 if expires and expires.isdigit() else None,
            trace=None if trace is None else text(trace),
        )  # fmt: skip


async def scheduled_jobs(
    server: Server, stream: str, limit: int | None
) -> AsyncIterator[ScheduledJob]:
    """See :meth:`streamq.admin.Admin.scheduled`."""
    keys = stream_keys(stream)
    start, skip = "-inf", 0  # skip: how many of those due at `start` have been seen
    left = limit
    while left != 0:
        count = PAGE if left is None else min(left, PAGE)
        rows = await server.run(lua.scheduled(keys, start, skip, count))
        if not rows:
            return
        for name, due, fields, unique in rows:
            yield ScheduledJob.of(stream, text(name), due, fields, unique)
        last = text(rows[-1][1])
        at_last = sum(text(due) == last for _, due, *_ in rows)
        skip = skip + at_last if last == start else at_last
        start = last
        left = None if left is None else left - len(rows)


async def find(server: Server, stream: str, name: str) -> ScheduledJob | str:
    """A job for later while it waits, or else the ID of the entry that it has become.

    Raises:
        JobNotFound: it is neither.
    """
    reply = await server.run(lua.find_scheduled(stream_keys(stream), name))
    if reply is None:
        raise JobNotFound(
            f"the stream {printable(stream, 100)} has no job {printable(name, 60)} for later: it "
            "was cancelled, was due more than an hour ago, or is on another stream"
        )
    if isinstance(reply, bytes):
        return text(reply)
    return ScheduledJob.of(stream, name, *reply)


async def scheduled_job(server: Server, stream: str, name: str) -> ScheduledJob:
    """See :meth:`streamq.admin.Admin.scheduled_job`."""
    found = await find(server, stream, name)
    if isinstance(found, str):
        raise JobNotFound(
            f"the job {printable(name, 60)} is no longer for later: it was due, and is {found} now"
        )
    return found


def is_name(job_id: str) -> bool:
    """Whether an ID is the name of a schedule, and not that of an entry."""
    return job_id.startswith(SCHEDULE)


async def cancel(server: Server, stream: str, name: str) -> bool:
    """See :meth:`streamq.admin.Admin.cancel_scheduled`."""
    keys = stream_keys(stream)
    return bool(await server.run(lua.unschedule(keys, name, await _key(server, stream, name))))


async def reschedule(
    server: Server, stream: str, name: str, delay: float | None, at: datetime | None
) -> bool:
    """See :meth:`streamq.admin.Admin.reschedule`."""
    when = due_time(delay, at)
    if when is None:
        raise ConfigError("give the new time with delay or at")
    key = await _key(server, stream, name)
    call = lua.reschedule(stream_keys(stream), name, when, key)
    return await server.run(call) is not None


async def _key(server: Server, stream: str, name: str) -> str | None:
    """The idempotency key of a job for later; a schedule keeps it for as long as it waits."""
    key = await server.call("HGET", stream_keys(stream).scheduled_jobs, f"{name}:key")
    return None if key is None else text(key)
