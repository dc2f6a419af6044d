"""Consumer groups: created and deleted, with nothing lost for the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streamq import lua
from streamq.admin.dead_letters import offloaded_of
from streamq.admin.existing import require_group
from streamq.admin.reading import text
from streamq.errors import StillInUse
from streamq.offload import Store, delete_unheld, let_go
from streamq.server import Server
from streamq.server.group import check_start
from streamq.server.group import create_group as create
from streamq.text import printable
from streamq.wire.keys import check_stream, group_keys

PRUNED_AT_ONCE = 100
"""Entries that one script call looks at."""


@dataclass(frozen=True, slots=True)
class DeletedGroup:
    """What was deleted with a group.

    Attributes:
        entries: entries of the stream that only this group had kept.
        dead_letters: its dead letters.
    """

    entries: int
    dead_letters: int

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


async def create_group(server: Server, stream: str, group: str, start: str) -> bool:
    """See :meth:`streamq.admin.Admin.create_group`."""
    group_keys(stream, group)  # checks both names
    check_start(start)
    async with server.borrowed() as link:
        return await create(link, stream, group, start)


async def delete_group(
    server: Server,
    stream: str,
    group: str,
    lease: float,
    *,
    force: bool,
    dead_letters: bool,
    store: Store | None = None,
) -> DeletedGroup:
    """See :meth:`streamq.admin.Admin.delete_group`."""
    keys = group_keys(stream, group)
    await require_group(server, stream, group)
    silence = 0 if force else int(lease * 1000)
    refs = await offloaded_of(server, keys) if dead_letters else []
    dead, alive = await server.run(lua.destroy(keys, silence, dead_letters=dead_letters))
    if alive:
        raise StillInUse(
            f"the group {group} of {printable(stream, 100)} is in use: its consumer "
            f"{printable(text(alive[0]), 200)} is alive; stop it first"
        )
    if refs:
        await let_go(server, stream, refs, store)
    return DeletedGroup(await prune(server, stream, store), dead)


async def prune(server: Server, stream: str, store: Store | None = None) -> int:
    """See :meth:`streamq.admin.Admin.prune`."""
    pruned, start = 0, "-"
    check_stream(stream)
    while start:
        count, following = await server.run(lua.prune(stream, start, PRUNED_AT_ONCE))
        pruned += count
        start = following.decode()
    await delete_unheld(server, stream, store)
    return pruned
