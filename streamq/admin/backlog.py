"""How much each group of some streams has to do: cheap enough to ask every second."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from streamq import lua
from streamq.admin.consumers import read_consumers
from streamq.admin.pending import HELD_FOR, HeldFor
from streamq.admin.reading import ask, text
from streamq.errors import AuthenticationFailed, ConfigError, GroupNotFound
from streamq.flow.state import parse_state
from streamq.server import Arg, Server
from streamq.text import printable
from streamq.wire.entry import created_at
from streamq.wire.keys import HELD, PARKED, RETAINED, WAITING, group_keys

MAX_GROUPS = 100
"""Groups reported for one stream, those asked for first."""

COUNTED = 1000
"""Entries that the server counts on either side of a group's position where it does not
know the lag."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much one group of a stream has to do.

    Attributes:
        queued: entries not yet delivered to the group: its lag.
        pending: entries delivered and not settled.
        retrying: how many of these wait for a retry.
        held: how many the rules of the group do not let run yet.
        held_for: how many of these wait for what, as in :attr:`PendingJob.held_for`; empty where
            the server does not permit to ask.
        stalled: how many are with consumers that are gone.
        oldest: seconds since the oldest of all these was written; 0.0 for none.
        oldest_queued: the same of those that are queued.
        oldest_pending: the same of those that are pending.
        consumers: how many are alive.
        gone: how many consumers are gone.
        dead_letters: how many; ``None`` where the server does not permit to ask.
        paused_since: Unix time in seconds; ``None`` for a group that works.
        paused_types: the job types that are paused.
        settled: how many entries it has settled since it was made, for the difference between two
            looks; ``None`` when the server cannot tell.
    """

    queued: int
    pending: int = 0
    retrying: int = 0
    held: int = 0
    stalled: int = 0
    oldest: float = 0.0
    oldest_queued: float = 0.0
    oldest_pending: float = 0.0
    consumers: int = 0
    gone: int = 0
    dead_letters: int | None = None
    paused_since: float | None = None
    paused_types: tuple[str, ...] = ()
    settled: int | None = None
    held_for: Mapping[HeldFor, int] = field(default_factory=dict)

    @property
    def running(self) -> int:
        """How many a live consumer holds: running or fetched ahead."""
        return max(self.pending - self.retrying - self.held - self.stalled, 0)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self) | {"running": self.running}


Backlogs = Mapping[tuple[str, str], Backlog]
"""By stream and group."""


class Look(NamedTuple):
    """What one look at some streams has found.

    Attributes:
        at: when, by the server's clock: Unix time in seconds.
        lengths: the entries of each stream; streams that do not exist are left out.
        added: how many entries each stream ever had, where that is known.
        forbidden: streams that the user's ACL does not permit.
    """

    at: float
    lengths: Mapping[str, int]
    added: Mapping[str, int]
    backlogs: Backlogs
    forbidden: Sequence[str]


async def backlogs(server: Server, groups: Mapping[str, Sequence[str]], lease: float) -> Backlogs:
    """See :meth:`streamq.admin.Admin.backlogs`."""
    found = await look(server, groups, lease, MAX_GROUPS)
    if found.forbidden:
        raise AuthenticationFailed(
            f"the user may not look at the stream {printable(found.forbidden[0], 100)}"
        )
    return found.backlogs


async def look(
    server: Server, groups: Mapping[str, Sequence[str]], lease: float, most_groups: int
) -> Look:
    """How far the groups of some streams are.

    Args:
        groups: for each stream the groups that are reported even if they do not exist.
        most_groups: that many of a stream, those of ``groups`` first.
    """
    places: list[_Place] = []
    lengths: dict[str, int] = {}
    added: dict[str, int] = {}
    forbidden: list[str] = []
    for stream, reply in await _progress(server, list(groups)):
        if isinstance(reply, AuthenticationFailed):
            forbidden.append(stream)
            continue
        length, *rows = reply or (0,)
        if reply:
            lengths[stream] = length
        standings = {row[0]: _Standing(*row[1:]) for row in rows}
        # Where settled entries are retained, what is too many to count: as far as counted.
        most = COUNTED if standings.pop(RETAINED.encode(), None) else length
        ever = [s.read + s.queued for s in standings.values() if s.read >= 0 <= s.queued]
        if ever:
            added[stream] = max(ever)
        own = groups[stream]
        names = dict.fromkeys([*(group.encode() for group in own), *standings])
        for name in list(names)[: max(most_groups, len(own))]:
            known = name in standings
            places.append(_Place(stream, name, most if known else length, standings.get(name)))

    time, *replies = await ask(server, ("TIME",), *(q for place in places for q in place.asks()))
    _check(time)
    now = int(time[0]) + int(time[1]) / 1e6
    found: dict[tuple[str, str], Backlog] = {}
    answers = iter(replies)
    for place in places:
        own_answers = [next(answers) for _ in place.asks()]
        if not isinstance(own_answers[0], GroupNotFound):  # else it was deleted just now
            shown = place.stream, printable(place.group, 128)
            found[shown] = _backlog(place, own_answers, now, lease)
    await _find_reasons(server, found)
    return Look(now, lengths, added, found, forbidden)


async def _find_reasons(server: Server, found: dict[tuple[str, str], Backlog]) -> None:
    """Add what the held jobs wait for, in the groups that have any."""
    # Without dead letters: a group that is another program's, or that may not be looked at.
    places = [p for p, one in found.items() if one.held and one.dead_letters is not None]
    asks: list[Sequence[Arg]] = []
    for stream, group in places:
        _, _, lines, due, queue, _ = group_keys(stream, group).flow
        asks += [
            # Lines of keys, and those of paused types; see includes/flow.lua.
            ("ZLEXCOUNT", lines, "[k", "(l"), ("ZCARD", due), ("ZCARD", queue),
            ("ZLEXCOUNT", lines, "[t", "(u"),
        ]  # fmt: skip
    replies = await ask(server, *asks) if asks else []
    for i, place in enumerate(places):
        counts = replies[4 * i : 4 * i + 4]
        if all(isinstance(count, int) for count in counts):
            held_for = dict(zip(HELD_FOR, counts, strict=True))
            found[place] = replace(found[place], held_for=held_for)


AT_ONCE = 8
"""Streams that are asked for at the same time."""


async def _progress(server: Server, streams: Sequence[str]) -> list[tuple[str, Any]]:
    """What progress.lua says of each stream; what is not permitted is an exception."""

    async def ask_one(stream: str) -> tuple[str, Any]:
        try:
            return stream, await server.run(lua.progress(stream, COUNTED))
        except AuthenticationFailed as error:
            return stream, error

    found = []
    for start in range(0, len(streams), AT_ONCE):
        found += await asyncio.gather(*map(ask_one, streams[start : start + AT_ONCE]))
    return found


class _Standing(NamedTuple):
    """How far a group has come, as progress.lua tells it."""

    last: bytes
    queued: int
    first_queued: bytes
    first_pending: bytes
    pending: int
    read: int


class _Place(NamedTuple):
    """A group that is reported; ``most`` is queued where that is not known."""

    stream: str
    group: bytes
    most: int
    standing: _Standing | None

    def asks(self) -> list[Sequence[Arg]]:
        """What the server is asked for it, beside how far it has come."""
        asks: list[Sequence[Arg]] = []
        if self.standing is not None:
            asks.append(("XINFO", "CONSUMERS", self.stream, self.group))
        try:
            keys = group_keys(self.stream, text(self.group))
        except ConfigError:
            return asks  # another program's group, with a name that streamq does not use
        return [*asks, ("XLEN", keys.dlq), ("HGETALL", keys.state)]


def _check(reply: Any) -> None:
    if isinstance(reply, Exception):
        raise reply


def _backlog(place: _Place, answers: list[Any], now: float, lease: float) -> Backlog:
    standing = place.standing
    consumers = [] if standing is None else answers.pop(0)
    _check(consumers)
    dead, state = answers or (None, None)
    known = read_consumers(consumers, lease)
    workers = [consumer for consumer in known if consumer.name not in WAITING]
    operator = parse_state(state if isinstance(state, list) else ())
    backlog = Backlog(
        queued=place.most,
        retrying=sum(consumer.pending for consumer in known if consumer.name == PARKED),
        held=sum(consumer.pending for consumer in known if consumer.name == HELD),
        stalled=sum(consumer.pending for consumer in workers if not consumer.alive),
        consumers=sum(consumer.alive for consumer in workers),
        gone=sum(not consumer.alive for consumer in workers),
        dead_letters=dead if isinstance(dead, int) else None,
        paused_since=operator.paused_since,
        paused_types=tuple(operator.paused_types),
    )
    if standing is None:
        return backlog
    _, queued, first_queued, first_pending, pending, read = standing

    def age(id: bytes) -> float:
        return max(now - created_at(text(id)), 0.0) if id else 0.0

    return replace(
        backlog,
        # Too many to count is exact all the same where there is no other group.
        queued=queued if queued >= 0 else max(place.most - pending, 0),
        pending=pending,
        # What is pending was delivered, so it is older than what is queued.
        oldest=age(first_pending or first_queued),
        oldest_queued=age(first_queued),
        oldest_pending=age(first_pending),
        settled=read - pending if read >= 0 else None,
    )
