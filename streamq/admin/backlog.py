"""How much each group of some streams has to do: cheap enough to ask every few seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from streamq import lua
from streamq.admin.consumers import read_consumers
from streamq.admin.reading import ask, text
from streamq.errors import GroupNotFound
from streamq.server import Arg, Server
from streamq.text import printable
from streamq.wire.entry import created_at
from streamq.wire.keys import HELD, PARKED, WAITING, group_keys

MAX_GROUPS = 100
"""Groups reported for one stream, those asked for first."""

COUNTED = 1000
"""Entries that the server counts on either side of a group's position where it does not
know the lag."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much one group of a stream has to do.

    Attributes:
        queued: entries not yet delivered to the group.
        pending: entries delivered and not settled.
        retrying: how many of these wait for a retry.
        held: how many the rules of the group do not let run yet.
        oldest: seconds since the oldest of all these was written; 0.0 for none.
        consumers: how many are alive.
        dead_letters: how many; ``None`` for a group that was not asked for.
    """

    queued: int
    pending: int = 0
    retrying: int = 0
    held: int = 0
    oldest: float = 0.0
    consumers: int = 0
    dead_letters: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


Backlogs = Mapping[tuple[str, str], Backlog]
"""By stream and group."""


async def backlogs(server: Server, groups: Mapping[str, Sequence[str]], lease: float) -> Backlogs:
    """See :meth:`streamq.admin.Admin.backlogs`."""
    found: dict[tuple[str, str], Backlog] = {}
    existing: list[tuple[str, Sequence[Any], int]] = []
    for stream, own in groups.items():
        length, *rows = await server.run(lua.progress(stream, COUNTED)) or (0,)
        by_name = {row[0]: row for row in rows}
        names = dict.fromkeys([*(group.encode() for group in own), *by_name])
        for name in list(names)[: max(MAX_GROUPS, len(own))]:
            if name in by_name:
                existing.append((stream, by_name[name], length))
            else:
                found[stream, name.decode()] = Backlog(queued=length)

    dlqs = [(stream, group) for stream, own in groups.items() for group in own]
    commands: list[Sequence[Arg]] = [("TIME",)]
    commands += [("XINFO", "CONSUMERS", stream, row[0]) for stream, row, _ in existing]
    commands += [("XLEN", group_keys(stream, group).dlq) for stream, group in dlqs]
    time, *replies = await ask(server, *commands)
    for reply in (time, *replies):
        if isinstance(reply, Exception) and not isinstance(reply, GroupNotFound):
            raise reply

    now = int(time[0]) + int(time[1]) / 1e6
    for (stream, row, length), reply in zip(existing, replies, strict=False):
        if not isinstance(reply, GroupNotFound):  # else it was deleted just now
            found[stream, printable(row[0], 128)] = _backlog(row, length, reply, now, lease)
    for place, dead_letters in zip(dlqs, replies[len(existing) :], strict=True):
        if place in found:
            found[place] = replace(found[place], dead_letters=dead_letters)
    return found


def _backlog(
    row: Sequence[Any], length: int, consumers: list[Any], now: float, lease: float
) -> Backlog:
    _name, _last, queued, first_queued, first_pending = row
    known = read_consumers(consumers, lease)
    pending = sum(consumer.pending for consumer in known)
    if queued < 0:  # too many to count; exact all the same where there is no other group
        queued = max(length - pending, 0)
    # What is pending was delivered, so it is older than what is queued.
    oldest: bytes = first_pending or first_queued
    return Backlog(
        queued=queued,
        pending=pending,
        retrying=sum(consumer.pending for consumer in known if consumer.name == PARKED),
        held=sum(consumer.pending for consumer in known if consumer.name == HELD),
        oldest=max(now - created_at(text(oldest)), 0.0) if oldest else 0.0,
        consumers=sum(consumer.alive for consumer in known if consumer.name not in WAITING),
    )
