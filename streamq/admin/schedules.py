"""Jobs for later: those that wait for the time at which they are written to their stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from streamq import lua
from streamq.admin.content import content, plain_data
from streamq.admin.reading import PAGE, ask, text
from streamq.codec import Codec
from streamq.offload import Store, let_go
from streamq.server import Server
from streamq.wire.entry import decode_data
from streamq.wire.keys import stream_keys
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
    """

    name: str
    stream: str
    type: str
    due_at: float
    raw: bytes | None = field(repr=False)
    ref: Ref | None = field(default=None, repr=False)

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
            **plain_data(self.raw, self.ref),
        }


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
        for name, due, fields in rows:
            found = content(fields, codec)
            yield ScheduledJob(
                text(name), stream, found.type, float(due) / 1000, found.raw, found.ref
            )
        last = text(rows[-1][1])
        at_last = sum(text(due) == last for _, due, _ in rows)
        skip = skip + at_last if last == start else at_last
        start = last
        left = None if left is None else left - len(rows)


async def cancel(server: Server, stream: str, name: str, store: Store | None = None) -> bool:
    """See :meth:`streamq.admin.Admin.cancel`."""
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
