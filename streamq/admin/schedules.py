"""Jobs for later: those that wait for the time at which they are written to their stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streamq import lua
from streamq.admin.content import content, plain_data
from streamq.admin.paging import Page
from streamq.admin.reading import PAGE, ask, text
from streamq.codec import Codec
from streamq.errors import ConfigError, JobNotFound
from streamq.offload import Store, let_go
from streamq.option_checks import due_time
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import decode_data
from streamq.wire.keys import SCHEDULE, stream_keys
from streamq.wire.offloaded import Ref, ref_in_packed


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job that is written to its stream later.

    Attributes:
        name: what ``produce`` gave as its ID, by which it is cancelled.
        type: the job's type.
        due_at: when it is written to the stream: Unix time in seconds, by the server's clock.
        raw: its data, JSON as a rule; as it was written where the codec cannot read it, and
            ``None`` where streamq did not write it, or it is kept outside the stream.
        ref: where its data is, if that is kept outside the stream.
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
    ref: Ref | None = field(default=None, repr=False)
    key: str | None = None
    unique: str | None = None
    expires: float | None = None
    trace: str | None = None

    @property
    def offloaded(self) -> int | None:
        """How many bytes its data has, if that is kept outside the stream; it is not read."""
        return None if self.ref is None else self.ref.size

    @property
    def data(self) -> Any:
        """The job's data, decoded; ``None`` when it cannot be read.

        Raises:
            InvalidEntry: it is not JSON.
        """
        return None if self.raw is None else decode_data(self.raw)

    def to_dict(self) -> dict[str, Any]:
        """The job as plain data. ``data`` that is not JSON comes as text in ``raw``, and of
        encrypted data the key's ID as ``encrypted_with``."""
        return {
            "name": self.name,
            "stream": self.stream,
            "type": self.type,
            "due_at": self.due_at,
            "key": self.key,
            "unique": self.unique,
            "expires": self.expires,
            "trace": self.trace,
            **plain_data(self.raw, self.ref),
        }

    @classmethod
    def of(
        cls, stream: str, name: str, due: bytes, fields: Sequence[bytes], unique: bytes,
        *, codec: Codec | None = None,
    ) -> ScheduledJob:  # fmt: skip
        """Out of what a script tells of one."""
        found = content(fields, codec)
        own = dict(zip(fields[::2], fields[1::2], strict=False))
        if b"data" not in own:
            own = {}  # a foreign producer's fields are its data
        key, trace, expires = (own.get(name) for name in (b"key", b"trace", b"expires"))
        return cls(
            name, stream, found.type, float(due) / 1000, found.raw, found.ref,
            key=None if key is None else text(key), unique=text(unique) or None,
            expires=int(expires) / 1000 if expires and expires.isdigit() else None,
            trace=None if trace is None else text(trace),
        )  # fmt: skip


async def scheduled_jobs(
    server: Server, stream: str, limit: int | None, codec: Codec | None = None
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
            yield ScheduledJob.of(stream, text(name), due, fields, unique, codec=codec)
        last = text(rows[-1][1])
        at_last = sum(text(due) == last for _, due, *_ in rows)
        skip = skip + at_last if last == start else at_last
        start = last
        left = None if left is None else left - len(rows)


async def scheduled_page(
    server: Server, stream: str, after: str | None, limit: int, codec: Codec | None = None
) -> Page[ScheduledJob]:
    """See :meth:`streamq.admin.Admin.scheduled_page`.

    Where to go on is a due time in ms, and how many due at it were seen.
    """
    start, skip = _place(after)
    rows = await server.run(lua.scheduled(stream_keys(stream), start, skip, limit))
    jobs = [
        ScheduledJob.of(stream, text(name), due, fields, unique, codec=codec)
        for name, due, fields, unique in rows
    ]
    if len(jobs) < limit:
        return Page(jobs, None, len(jobs))
    last = text(rows[-1][1])
    at_last = sum(text(due) == last for _, due, *_ in rows)
    return Page(jobs, f"{last}:{skip + at_last if last == start else at_last}", len(jobs))


async def scheduled_counts(server: Server, streams: Iterable[str]) -> Mapping[str, int]:
    """See :meth:`streamq.admin.Admin.scheduled_counts`."""
    names = list(dict.fromkeys(streams))
    counts = await ask(server, *(("ZCARD", stream_keys(name).scheduled) for name in names))
    return {
        name: count for name, count in zip(names, counts, strict=True) if isinstance(count, int)
    }


def _place(after: str | None) -> tuple[str, int]:
    if after is None:
        return "-inf", 0
    due, _, skip = after.partition(":")
    if not (due.isdecimal() and skip.isdecimal()):
        raise ConfigError(f"{printable(after, 60)!r} is no place in the jobs for later")
    return due, int(skip)


async def find(
    server: Server, stream: str, name: str, codec: Codec | None = None
) -> ScheduledJob | str:
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
    return ScheduledJob.of(stream, name, *reply, codec=codec)


async def scheduled_job(
    server: Server, stream: str, name: str, codec: Codec | None = None
) -> ScheduledJob:
    """See :meth:`streamq.admin.Admin.scheduled_job`."""
    found = await find(server, stream, name, codec)
    if isinstance(found, str):
        raise JobNotFound(
            f"the job {printable(name, 60)} is no longer for later: it was due, and is {found} now"
        )
    return found


def is_name(job_id: str) -> bool:
    """Whether an ID is the name of a schedule, and not that of an entry."""
    return job_id.startswith(SCHEDULE)


async def cancel(server: Server, stream: str, name: str, store: Store | None = None) -> bool:
    """See :meth:`streamq.admin.Admin.cancel_scheduled`."""
    keys = stream_keys(stream)
    key, packed = await ask(
        server, *(("HGET", keys.scheduled_jobs, field) for field in (f"{name}:key", name))
    )
    for reply in (key, packed):
        if isinstance(reply, Exception):
            raise reply
    unique = None if key is None else key.decode()
    taken = bool(await server.run(lua.unschedule(keys, name, unique)))
    ref = ref_in_packed(packed or b"")
    if taken and ref is not None:
        await let_go(server, stream, [ref], store)
    return taken


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
