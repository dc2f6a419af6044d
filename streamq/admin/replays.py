"""Entries that a group has settled, given to it once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streamq import lua
from streamq.admin.existing import group_names, group_not_found, require_group
from streamq.admin.reading import text
from streamq.server import Server
from streamq.wire.entry import check_id
from streamq.wire.keys import group_keys

BATCH = 50
"""Entries that one script call replays."""

_WHY = {
    "": "the stream has no such entry: it was not retained, or never existed",
    "!queued": "the group has not come to it yet",
    "!pending": "it is pending: the group has not settled it yet",
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one entry that was to be replayed.

    Attributes:
        id: its ID.
        new_id: the ID of the new entry; ``None`` when nothing was done.
        error: why nothing was done; empty otherwise.
    """

    id: str
    new_id: str | None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def replay(server: Server, stream: str, group: str, ids: Iterable[str]) -> Sequence[Replayed]:
    """See :meth:`streamq.admin.Admin.replay`."""
    keys = group_keys(stream, group)
    wanted = [check_id(id) for id in dict.fromkeys(ids)]
    await require_group(server, stream, group)
    done: list[Replayed] = []
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        answers = await server.run(lua.replay(keys, batch))
        if answers is None:
            raise group_not_found(stream, group, await group_names(server, stream))
        for id, answer in zip(batch, map(text, answers), strict=True):
            why = _WHY.get(answer, "")
            done.append(Replayed(id, None if why else answer, why))
    return done
