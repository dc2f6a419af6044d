"""What all workers of a stream agree on: how long it retains entries, which groups may go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streamq import lua
from streamq.admin.reading import named, text
from streamq.option_checks import milliseconds_of
from streamq.server import Server
from streamq.wire.keys import check_group, stream_keys

OF_A_GROUP = ("abandon_after", "abandoned", "given_up", "silent", "looked")
"""What is noted of a single group, as ``abandoned:audit``."""


@dataclass(frozen=True, slots=True)
class AbandonedGroup:
    """A group that keeps no entries, since it has had no live consumer for long.

    Attributes:
        since: Unix time in seconds.
        unread: how many entries have been given up since then, which it will not be given.
            What was pending is in its dead letters.
    """

    since: float
    unread: int

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What all workers of a stream agree on.

    Attributes:
        retain: seconds for which an entry that every group has settled is kept; ``None``
            for not at all.
        abandon_after: seconds after which a group without a live consumer keeps its entries
            no longer; ``None`` for never.
        abandon_group_after: the same for single groups; 0 for never.
        abandoned: the groups of which that is so now.
        partitions: how many the stream has; ``None`` for one that has none.
        growing: how many it is about to have, while it grows.
    """

    retain: float | None
    abandon_after: float | None
    abandon_group_after: Mapping[str, float]
    abandoned: Mapping[str, AbandonedGroup]
    partitions: int | None = None
    growing: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def read_settings(server: Server, stream: str) -> StreamSettings:
    """See :meth:`streamq.admin.Admin.settings`."""
    found = {
        text(name): int(value)
        for name, value in named(await server.run(lua.settings(stream_keys(stream)))).items()
        if value.isdigit()
    }
    retain, abandon = found.get("retain"), found.get("abandon_after")
    return StreamSettings(
        None if retain is None else retain / 1000,
        abandon / 1000 if abandon else None,
        {group: ms / 1000 for group, ms in _of_groups(found, "abandon_after")},
        {
            group: AbandonedGroup(ms / 1000, found.get(f"given_up:{group}", 0))
            for group, ms in _of_groups(found, "abandoned")
        },
    )


async def change_settings(
    server: Server, stream: str, retain: str | float | None, abandon_after: str | float | None,
    group: str | None,
) -> StreamSettings:  # fmt: skip
    """See :meth:`streamq.admin.Admin.set_stream`."""
    keys = stream_keys(stream)
    changes: dict[str, int | None] = {}
    if retain is not None:
        changes["retain"] = milliseconds_of("retain", retain) or None
    if abandon_after is not None:
        ms = milliseconds_of("abandon_after", abandon_after)
        if group is None:
            changes["abandon_after"] = ms or None
        else:
            changes[f"abandon_after:{check_group(group)}"] = ms
    if changes:
        await server.run(lua.configure(keys, changes))
    return await read_settings(server, stream)


async def forget_group(server: Server, stream: str, group: str) -> None:
    """Take away what is noted of a group: one of that name begins anew."""
    keys = stream_keys(stream)
    if await server.run(lua.settings(keys)):
        notes: dict[str, int | None] = {f"{what}:{group}": None for what in OF_A_GROUP}
        await server.run(lua.configure(keys, notes))


def _of_groups(found: Mapping[str, int], what: str) -> list[tuple[str, int]]:
    start = f"{what}:"
    return [(key.removeprefix(start), ms) for key, ms in found.items() if key.startswith(start)]
