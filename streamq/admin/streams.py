"""How far the groups of a stream have come, what they hold, and which of them pins it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from streamq import lua
from streamq.admin.consumers import ConsumerInfo, consumers_of
from streamq.admin.existing import stream_not_found
from streamq.admin.reading import ask, pending_pages, text
from streamq.admin.settings import AbandonedGroup, read_settings
from streamq.errors import ConfigError, GroupNotFound
from streamq.flow.state import NOTHING_SET, GroupState, parse_state
from streamq.server import Server
from streamq.wire.entry import created_at, id_key
from streamq.wire.keys import HELD, PARKED, RETAINED, WAITING, check_stream, group_keys, stream_keys

COUNTED = 5000
"""Entries that are counted where the server does not know a group's lag."""


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """One group of a stream.

    Attributes:
        queued: entries not yet delivered to it (the lag); ``None`` when the server cannot
            tell and they are too many to count.
        pending: entries delivered and not yet settled: the sum of the next four.
        running: those that a consumer works on.
        retrying: those that wait for their retry time.
        held: those that the rules of the group do not let run yet.
        stalled: those whose consumer has not been heard of for longer than the lease.
        dead: its dead letters.
        oldest: the oldest entry that it has not settled.
        last_delivered: the entry that was delivered to it last.
    """

    stream: str
    name: str
    queued: int | None
    pending: int
    running: int
    retrying: int
    held: int
    stalled: int
    dead: int
    oldest: str | None
    last_delivered: str
    consumers: tuple[ConsumerInfo, ...]
    state: GroupState = NOTHING_SET

    @property
    def alive(self) -> int:
        """How many consumers are alive."""
        return sum(consumer.alive for consumer in self.consumers)

    @property
    def gone(self) -> int:
        """How many consumers are gone."""
        return len(self.consumers) - self.alive

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self) | {"state": self.state.to_dict()}


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream and its groups.

    Attributes:
        length: its entries: those that some group has not settled yet, and where settled
            ones are retained, these as well.
        oldest: the oldest that some group has not settled.
        pinned_by: the groups that keep this one.
        scheduled: jobs that will be written to it later.
        orphaned_dead_letters: dead letters of groups that no longer exist, by group.
        retain: seconds for which a settled entry is kept; ``None`` for not at all.
        abandoned: the groups that keep no entries, since they have no live consumer.
    """

    name: str
    length: int
    oldest: str | None
    pinned_by: tuple[str, ...]
    scheduled: int
    groups: tuple[GroupInfo, ...]
    orphaned_dead_letters: Mapping[str, int]
    retain: float | None = None
    abandoned: Mapping[str, AbandonedGroup] = field(default_factory=dict)

    @property
    def pinned_since(self) -> float | None:
        """When the oldest unsettled entry was written: Unix time in seconds."""
        return None if self.oldest is None else created_at(self.oldest)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        groups = [group.to_dict() for group in self.groups]
        return asdict(self) | {"groups": groups, "pinned_since": self.pinned_since}


async def stream_info(
    server: Server, stream: str, lease: float, orphaned: Mapping[str, int] | None = None
) -> StreamInfo:
    """One stream and its groups.

    Args:
        lease: seconds of silence after which a consumer counts as gone.
        orphaned: dead letters of groups that no longer exist.

    Raises:
        StreamNotFound: there is no such stream.
    """
    reply = await server.run(lua.progress(check_stream(stream), COUNTED))
    if reply is None:
        raise stream_not_found(stream)
    length, *rows = reply
    standings = [_Standing.of(row) for row in rows if row[0] != RETAINED.encode()]
    settings = await read_settings(server, stream)
    groups = []
    for standing in standings:
        try:
            groups.append(await _group_info(server, stream, standing, lease))
        except GroupNotFound:
            pass  # deleted since
    unsettled = [standing.oldest for standing in standings if standing.oldest is not None]
    first = min(unsettled, key=id_key, default=None)
    pinned_by = tuple(s.group for s in standings if first is not None and s.oldest == first)
    scheduled = await server.call("ZCARD", stream_keys(stream).scheduled)
    return StreamInfo(
        stream, length, first, pinned_by, scheduled, tuple(groups), orphaned or {},
        settings.retain, settings.abandoned,
    )  # fmt: skip


class _Standing(NamedTuple):
    """How far a group has come."""

    group: str
    last_delivered: str
    queued: int | None
    oldest: str | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> _Standing:
        name, last, queued, first_queued, first_pending, *_ = row
        unsettled = [text(id) for id in (first_queued, first_pending) if id]
        return cls(
            text(name), text(last), None if queued < 0 else queued,
            min(unsettled, key=id_key, default=None),
        )  # fmt: skip


async def _group_info(server: Server, stream: str, standing: _Standing, lease: float) -> GroupInfo:
    group = standing.group
    consumers = await consumers_of(server, stream, group, lease)
    pending = sum(consumer.pending for consumer in consumers)
    retrying = sum(consumer.pending for consumer in consumers if consumer.name == PARKED)
    held = sum(consumer.pending for consumer in consumers if consumer.name == HELD)
    workers = tuple(consumer for consumer in consumers if consumer.name not in WAITING)
    stalled = 0
    for consumer in workers:
        if not consumer.alive:
            stalled += consumer.pending
        elif consumer.pending:
            async for page in pending_pages(server, stream, group, consumer.name):
                stalled += sum(row.idle >= lease * 1000 for row in page)
    dead, state = await _dead_and_state(server, stream, group)
    return GroupInfo(
        stream, group, standing.queued, pending,
        running=max(pending - retrying - held - stalled, 0), retrying=retrying, held=held,
        stalled=stalled, dead=dead, oldest=standing.oldest,
        last_delivered=standing.last_delivered, consumers=workers, state=state,
    )  # fmt: skip


async def _dead_and_state(server: Server, stream: str, group: str) -> tuple[int, GroupState]:
    try:
        keys = group_keys(stream, group)
    except ConfigError:
        return 0, NOTHING_SET  # another program's group, with a name that streamq does not use
    dead, state = await ask(server, ("XLEN", keys.dlq), ("HGETALL", keys.state))
    for reply in (dead, state):
        if isinstance(reply, Exception):
            raise reply
    return dead, parse_state(state)
