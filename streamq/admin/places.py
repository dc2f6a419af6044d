"""Places in a stream: how many entries come after one, and moving a group back to one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from streamq import lua
from streamq.admin.existing import group_names, group_not_found, stream_not_found
from streamq.admin.reading import named, text
from streamq.errors import ConfigError, ServerRefused, StillInUse
from streamq.server import Server
from streamq.server.group import check_start
from streamq.text import printable
from streamq.wire.entry import after, id_key
from streamq.wire.keys import group_keys

MOST_COUNTED = 1_000_000
"""Entries that are counted so that the server knows a group's lag."""


@dataclass(frozen=True, slots=True)
class RewoundGroup:
    """A group that was moved back.

    Attributes:
        place: the ID after which it goes on.
        entries: how many entries it is given once more.
        pending: how many of these were pending; they are queued again.
    """

    place: str
    entries: int
    pending: int

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def rewind_group(
    server: Server, stream: str, group: str, to: str | datetime, lease: float, *,
    force: bool, dry_run: bool,
) -> RewoundGroup:  # fmt: skip
    """See :meth:`streamq.admin.Admin.rewind_group`."""
    keys = group_keys(stream, group)
    place = check_start(to)
    if place == "$":
        raise ConfigError("to='$' is no way back: give 0, an entry ID or a time")
    place = place if "-" in place else f"{place}-0"
    last = await _place_of(server, stream, group)
    if id_key(place) > id_key(last):
        raise _ahead(group, last, place)
    start = after(place)
    entries = await count(server, stream, start, last) if start else 0
    if dry_run:
        return RewoundGroup(place, entries, 0)
    read = await entries_read(server, stream, place)
    call = lua.rewind(keys, place, read, int(lease * 1000), force=force)
    outcome, *detail = await server.run(call)
    shown = printable(stream, 100)
    match outcome:
        case b"gone":
            raise group_not_found(stream, group, await group_names(server, stream))
        case b"ahead":
            raise _ahead(group, text(detail[0]), place)
        case b"alive":
            raise StillInUse(
                f"the group {group} of {shown} is in use: its consumer "
                f"{printable(text(detail[0]), 200)} is alive; stop it first"
            )
        case b"pending":
            raise StillInUse(
                f"the group {group} of {shown} has {detail[0]:,} pending jobs after that place: "
                "let workers settle them first" + (", or force it" if not force else "")
            )
    return RewoundGroup(place, entries, detail[0])


async def count(server: Server, stream: str, start: str, stop: str, most: int | None = None) -> int:
    """How many entries are in a range, counted in steps.

    Args:
        most: stop there.
    """
    counted, place = 0, start
    while place and (most is None or counted <= most):
        more, following = await server.run(lua.count(stream, place, stop))
        counted += more
        place = following.decode()
    return counted


async def entries_read(server: Server, stream: str, place: str) -> int:
    """How many entries the stream ever had up to there; -1 where it is not known.

    Told to the server with the place of a group, it makes the group's lag known.
    """
    try:
        about = named(await server.call("XINFO", "STREAM", stream))
    except ServerRefused as error:
        if "no such key" in str(error):
            return -1
        raise
    whole = place if "-" in place else f"{place}-0"
    if id_key(text(about[b"max-deleted-entry-id"])) > id_key(whole):
        return -1  # nor would the server know
    last, start = text(about[b"last-generated-id"]), after(whole)
    if start is None or id_key(whole) >= id_key(last):
        return int(about[b"entries-added"])
    counted = await count(server, stream, start, last, MOST_COUNTED)
    return -1 if counted > MOST_COUNTED else int(about[b"entries-added"]) - counted


async def _place_of(server: Server, stream: str, group: str) -> str:
    try:
        rows = [named(row) for row in await server.call("XINFO", "GROUPS", stream)]
    except ServerRefused as error:
        if "no such key" in str(error):
            raise stream_not_found(stream) from None
        raise
    for row in rows:
        if text(row[b"name"]) == group:
            return text(row[b"last-delivered-id"])
    raise group_not_found(stream, group, await group_names(server, stream))


def _ahead(group: str, last: str, place: str) -> ConfigError:
    return ConfigError(
        f"to={place}: the group {group} has come to {last} only, so that is no way back"
    )
