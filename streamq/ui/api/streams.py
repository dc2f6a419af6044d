"""Streams, their groups and the schedules of periodic jobs."""

from __future__ import annotations

from typing import Any, Literal

from streamq.errors import GroupNotFound, StreamNotFound
from streamq.text import printable
from streamq.ui.api.jobs import Data
from streamq.ui.api.operation import Call, Reply, StreamQuery, Taken, Told
from streamq.ui.api.values import PAGE, Limit, TypeName


class Consumer(Told):
    """A consumer of a group."""

    name: str
    pending: int
    idle: float
    """Seconds since the server last heard of it."""
    alive: bool


class GroupState(Told):
    """What an operator has set for a group."""

    paused_since: float | None
    paused_types: dict[str, float]
    """Types that do not run, and since when."""
    limits: dict[str, Any]
    """Rules that were changed, by name."""


class Group(Told):
    """How far a group has come, and what it holds."""

    stream: str
    name: str
    queued: int | None
    """Entries not yet delivered to it: the lag; `null` when they are too many to count."""
    pending: int
    running: int
    retrying: int
    held: int
    stalled: int
    dead: int
    oldest: str | None
    """The oldest entry that it has not settled."""
    last_delivered: str
    consumers: list[Consumer]
    state: GroupState


class Abandoned(Told):
    """A group that keeps no entries, since it has no live consumer."""

    since: float
    unread: int
    """How many entries it will not be given."""


class Stream(Told):
    """A stream and its groups."""

    name: str
    length: int
    oldest: str | None
    pinned_by: list[str]
    """The groups that keep its oldest entry."""
    pinned_since: float | None
    scheduled: int
    groups: list[Group]
    orphaned_dead_letters: dict[str, int]
    retain: float | None
    abandoned: dict[str, Abandoned]
    partitions: int | None
    """How many it has; `null` for a stream that has none."""


class StreamsQuery(Taken):
    """Which streams."""

    limit: Limit = PAGE
    """How many at most."""


class Streams(Told):
    """The streams that are served."""

    items: list[Stream]
    more: bool
    """Whether there are others."""


async def streams(call: Call) -> Reply:
    """List the streams that are served, and their groups."""
    names = sorted([name async for name in call.served.streams()])
    limit, found = call.query.limit, []
    for name in names[:limit]:
        try:
            found.append((await call.served.admin.stream(name)).to_dict())
        except StreamNotFound:
            pass  # deleted since, or not there yet
    return Reply({"items": found, "more": len(names) > limit})


async def stream(call: Call) -> Reply:
    """Show a stream and its groups."""
    name = call.served.stream(call.named("stream"))
    return Reply((await call.served.admin.stream(name)).to_dict())


# -- groups -------------------------------------------------------------------


class Groups(Told):
    """The groups of a stream."""

    items: list[Group]


async def groups(call: Call) -> Reply:
    """List the groups of a stream."""
    found = await call.served.admin.groups(call.stream)
    return Reply({"items": [group.to_dict() for group in found]})


async def group(call: Call) -> Reply:
    """Show a group: how far it has come, what it holds, and its consumers."""
    stream, name = call.stream, call.named("group")
    for found in await call.served.admin.groups(stream):
        if found.name == name:
            return Reply(found.to_dict())
    raise GroupNotFound(f"the stream {printable(stream, 100)} has no group {printable(name, 128)}")


class PauseQuery(StreamQuery):
    """What is paused or resumed."""

    type: TypeName | None = None
    """Only jobs of this type. [default: the whole group]"""


class Changed(Told):
    """What became of a group that was to be paused or resumed."""

    changed: bool
    """`false` when it was so already."""
    paused: bool


async def pause(call: Call) -> Reply:
    """Let a group begin no more jobs, or none of a type. Those that run go on."""
    changed = await call.served.admin.pause(call.stream, call.named("group"), type=call.query.type)
    return Reply({"changed": changed, "paused": True})


async def resume(call: Call) -> Reply:
    """Let a group go on, or a type in it."""
    changed = await call.served.admin.resume(call.stream, call.named("group"), type=call.query.type)
    return Reply({"changed": changed, "paused": False})


# -- periodic jobs ------------------------------------------------------------


class Schedule(Data):
    """The schedule of a periodic job. Times are Unix time in seconds."""

    name: str
    stream: str
    type: str
    cron: str | None
    tz: str | None
    every: float | None
    group: str | None
    key: str | None
    expires: float | None
    missed: Literal["latest", "all", "skip"]
    most: int
    overlap: Literal["allow", "skip"]
    declared: bool
    has_worker: bool | None
    paused_since: float | None
    last_tick: float | None
    next_tick: float | None
    last_job: str | None
    problem: str | None
    """Why it does not tick although it should."""


class Schedules(Told):
    """The schedules of a stream, by name."""

    items: list[Schedule]


async def schedules(call: Call) -> Reply:
    """List the schedules of periodic jobs."""
    found = await call.served.admin.schedules.list(call.stream)
    return Reply({"items": [one.to_dict() for one in found]})


# -- the service itself -------------------------------------------------------


class Health(Told):
    """The server of the streams answers."""

    status: Literal["ok"]


async def healthz(call: Call) -> Reply:
    """Tell whether the Redis server answers; for probes, which need no token."""
    await call.served.admin.time()
    return Reply({"status": "ok"})
