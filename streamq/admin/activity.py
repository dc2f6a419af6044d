"""The consumers of a group, and what each of them is doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streamq.admin.consumers import ConsumerInfo, consumers_of
from streamq.admin.existing import require_group
from streamq.admin.pending import Allowed, PendingJob, Wanted, look
from streamq.admin.reading import PAGE, ask, text
from streamq.codec import Codec
from streamq.server import Server
from streamq.wire.keys import WAITING


@dataclass(frozen=True, slots=True)
class ConsumerActivity:
    """A consumer, and some of what it holds.

    Attributes:
        jobs: the oldest of the jobs that it holds.
    """

    consumer: ConsumerInfo
    jobs: tuple[PendingJob, ...]

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {**self.consumer.to_dict(), "jobs": [job.to_dict() for job in self.jobs]}


async def activity(
    server: Server, stream: str, group: str, jobs: int, lease: float, allowed: Allowed,
    codec: Codec | None,
) -> Sequence[ConsumerActivity]:  # fmt: skip
    """See :meth:`streamq.admin.Admin.consumers`: in two round trips, and one for 100 jobs."""
    await require_group(server, stream, group)
    known = [c for c in await consumers_of(server, stream, group, lease) if c.name not in WAITING]
    busy = [consumer for consumer in known if consumer.pending and jobs > 0]
    replies = await ask(
        server, *(("XPENDING", stream, group, "-", "+", jobs, one.name) for one in busy)
    )
    ids = [text(row[0]) for reply in replies if isinstance(reply, list) for row in reply]
    held: dict[str | None, list[PendingJob]] = {}
    for start in range(0, len(ids), PAGE):
        chunk, wanted = ids[start : start + PAGE], Wanted(lease=lease)
        for job in await look(server, stream, group, chunk, wanted, allowed, codec):
            held.setdefault(job.consumer, []).append(job)
    known.sort(key=lambda consumer: (not consumer.alive, consumer.name))
    return [ConsumerActivity(one, tuple(held.get(one.name, ()))) for one in known]
