"""Pending jobs: running, waiting for a retry, or stalled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from streamq import lua
from streamq.admin.consumers import consumers_of
from streamq.admin.content import content, shown_data
from streamq.admin.paging import Page
from streamq.admin.reading import PAGE, count_of, pending_pages, text
from streamq.codec import Codec
from streamq.errors import ConfigError, GroupNotFound
from streamq.limits import LEASE
from streamq.results.progress import read_progress
from streamq.server import Server
from streamq.wire.entry import check_id
from streamq.wire.keys import HELD, PARKED, group_keys

State = Literal["running", "retrying", "held", "stalled"]
STATES: tuple[State, ...] = get_args(State)

HeldFor = Literal["key", "rate", "room", "paused"]
"""What a held job waits for: for another job of its key, for its turn by a rate, for room in the
group, or for its type to be resumed."""
HELD_FOR: tuple[HeldFor, ...] = get_args(HeldFor)

Allowed = Callable[[str, str, str], int | None]
"""Given a stream, a group and a job type: how many attempts such a job may have."""

PREVIEW = 120
"""Characters of a job's data that a row shows."""

_CUT = 4 * PREVIEW
"""The bytes that this many characters can take."""


@dataclass(frozen=True, slots=True)
class PendingJob:
    """One job that was delivered to a group and is not settled.

    Attributes:
        consumer: the consumer that holds it; ``None`` while it waits for a retry.
        consumer_alive: whether the server has heard of that consumer within the lease.
        idle: seconds since its last delivery, heartbeat or failure.
        attempt: the number of its last delivery, from 1.
        max_attempts: how many it may have; ``None`` where that is not known.
        state: ``running``, ``retrying`` (waits for its retry time), ``held`` (the rules of the
            group do not let it run yet) or ``stalled`` (idle for longer than the lease: a
            worker will reclaim it).
        next_attempt: seconds until its retry is due, or a rate lets it run; 0 when it may now.
        held_for: what a held job waits for: ``key``, ``rate``, ``room`` or ``paused``.
        place: its place in line, from 1, where it waits for its key or for room.
        error: the error of its last failed delivery.
        progress: how far its handler says it is, 0 to 1, while it runs.
        progress_note: what it says of that.
        preview: the beginning of its data, on one line.
        in_stream: ``False`` when its entry was deleted while it was pending.
        offloaded: how many bytes its data has, if that is kept outside the stream.
    """

    id: str
    type: str
    stream: str
    group: str
    consumer: str | None
    consumer_alive: bool | None
    idle: float
    attempt: int
    max_attempts: int | None
    state: State
    next_attempt: float | None
    error: str | None
    preview: str
    in_stream: bool
    offloaded: int | None = None
    held_for: HeldFor | None = None
    place: int | None = None
    progress: float | None = None
    progress_note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


PROGRESS = (b"progress", b"progress_note", b"progress_of")
"""The fields of a record that say how far a job is, and at which delivery."""


def progress_of(
    done: bytes | None, note: bytes | None, of: bytes | None, *, deliveries: int, parked: bool
) -> tuple[float | None, str | None]:
    """How far a running job is; what an earlier delivery has left is not meant."""
    if not done or parked or of != b"%d" % deliveries:
        return None, None
    found = read_progress(text(done), text(note or b""))
    return (None, None) if found is None else (found.done, found.note or None)


class Wanted(NamedTuple):
    """Which pending jobs are wanted; times in seconds, and only those after an ID."""

    consumer: str | None = None
    min_idle: float = 0.0
    states: Collection[str] = ()
    lease: float = LEASE
    after: str | None = None

    @property
    def only(self) -> str | None:
        """The one consumer that can hold them, if there is but one."""
        holders = {"retrying": PARKED, "held": HELD}
        [*states] = set(self.states)
        return holders.get(states[0], self.consumer) if len(states) == 1 else self.consumer

    def has(self, consumer: str, idle_ms: int) -> bool:
        """Whether a job is, that this consumer holds for so long."""
        return (
            (self.consumer is None or self.consumer == consumer)
            and idle_ms >= self.min_idle * 1000
            and (not self.states or state_of(consumer, idle_ms, self.lease) in self.states)
        )


def check_states(states: Collection[str]) -> Collection[str]:
    """Return ``states`` if all are states of a pending job, else raise :class:`ConfigError`."""
    for state in states:
        if state not in STATES:
            raise ConfigError(f"{state!r} is not a state: use {', '.join(STATES)}")
    return states


def state_of(consumer: str, idle_ms: int, lease: float) -> State:
    """The state of a pending entry, from who holds it and for how long."""
    if consumer == PARKED:
        return "retrying"
    if consumer == HELD:
        return "held"
    return "stalled" if idle_ms >= lease * 1000 else "running"


async def pending_jobs(
    server: Server, stream: str, groups: Sequence[str], wanted: Wanted, allowed: Allowed,
    codec: Codec | None = None,
) -> AsyncIterator[PendingJob]:  # fmt: skip
    """The pending jobs of some groups, group by group, the oldest first."""
    for group in groups:
        try:
            found = pending_pages(server, stream, group, wanted.only, beyond=wanted.after)
            async for page in found:
                ids = [row.id for row in page if wanted.has(row.consumer, row.idle)]
                for start in range(0, len(ids), PAGE):
                    chunk = ids[start : start + PAGE]
                    for job in await look(server, stream, group, chunk, wanted, allowed, codec):
                        yield job
        except GroupNotFound:
            pass  # deleted since


async def pending_page(
    server: Server, stream: str, group: str, wanted: Wanted, allowed: Allowed,
    codec: Codec | None, type: str | None, after: str | None, limit: int, look_at: int,
) -> Page[PendingJob]:  # fmt: skip
    """See :meth:`streamq.admin.Admin.pending_page`."""
    found: list[PendingJob] = []
    looked_at = 0
    beyond = None if after is None else check_id(after)
    async for page in pending_pages(server, stream, group, wanted.only, beyond=beyond):
        page = page[: look_at - looked_at]
        places = {row.id: looked_at + n for n, row in enumerate(page, 1)}
        ids = [row.id for row in page if wanted.has(row.consumer, row.idle)]
        # Without a type to look for, nearly all that is looked at is found.
        step = min(PAGE, limit if type is None else PAGE)
        for at in range(0, len(ids), step):
            for job in await look(
                server, stream, group, ids[at : at + step], wanted, allowed, codec
            ):
                if type in (None, job.type):
                    found.append(job)
                if len(found) == limit:
                    return Page(found, job.id, places[job.id])
        looked_at += len(page)
        if looked_at >= look_at:
            return Page(found, page[-1].id, looked_at)
    return Page(found, None, looked_at)


async def look(
    server: Server, stream: str, group: str, ids: list[str], wanted: Wanted, allowed: Allowed,
    codec: Codec | None,
) -> list[PendingJob]:  # fmt: skip
    """The jobs with these IDs as they are now: what is settled meanwhile is left out."""
    keys = group_keys(stream, group)
    cut = _CUT if codec is None else -1  # what a codec has written is read whole, or not at all
    jobs = []
    alive: dict[str, bool] = {}
    while ids:
        now, *rows = await server.run(lua.peek(keys, cut, ids))
        if not alive:
            consumers = await consumers_of(server, stream, group, wanted.lease)
            alive = {consumer.name: consumer.alive for consumer in consumers}
        for id, row in zip(ids, rows, strict=False):
            if row == 0:
                continue
            raw_consumer, idle, deliveries, due, error, fields, noted, progress, why, place = row
            consumer = text(raw_consumer)
            if not wanted.has(consumer, idle):
                continue
            job = content(fields, codec)
            waits = consumer in (PARKED, HELD)
            held_for = cast("HeldFor | None", text(why) or None)
            if held_for == "rate":
                due, place = place, 0
            done, said = progress_of(*progress, deliveries=deliveries, parked=waits)
            jobs.append(
                PendingJob(
                    id, job.type, stream, group,
                    consumer=None if waits else consumer,
                    consumer_alive=None if waits else alive.get(consumer, True),
                    idle=idle / 1000,
                    attempt=deliveries,
                    max_attempts=(
                        allowed(stream, group, job.type) if fields else None
                    ) or count_of(noted),
                    state=state_of(consumer, idle, wanted.lease),
                    next_attempt=max(float(due) - now, 0) / 1000 if waits and due else None,
                    error=text(error) or None,
                    preview=shown_data(job.raw, job.ref, PREVIEW),
                    offloaded=None if job.ref is None else job.ref.size,
                    in_stream=bool(fields),
                    held_for=held_for,
                    place=int(place) or None,
                    progress=done,
                    progress_note=said,
                )
            )  # fmt: skip
        ids = ids[len(rows) :]
    return jobs
