"""Consumer groups: made and deleted, with nothing lost for the others."""

from __future__ import annotations

from typing import NamedTuple

from streamq import lua
from streamq.admin.reading import require_group, text
from streamq.errors import StillInUse
from streamq.limits import LEASE
from streamq.server import Server
from streamq.server.group import check_start, create_group
from streamq.text import printable
from streamq.wire.keys import check_stream, group_keys

SWEPT_AT_ONCE = 100
"""Entries that one script call looks at."""


class Deleted(NamedTuple):
    """What went with a group.

    Attributes:
        entries: entries of the stream that only this group had kept.
        dead_letters: its dead letters.
    """

    entries: int
    dead_letters: int


class Groups:
    """The consumer groups of one stream.

    Raises:
        ConfigError: the stream cannot be called so.
    """

    def __init__(self, server: Server, stream: str, *, lease: float = LEASE) -> None:
        self.stream = check_stream(stream)
        self._server = server
        self._lease = lease

    async def create(self, group: str, start: str = "0") -> bool:
        """Create a group, and the stream where there is none.

        Args:
            start: the group gets the entries after this ID; ``0`` for all that are in
                the stream, ``$`` for those still to come.

        Returns:
            Whether it was created; ``False`` when it existed.

        Raises:
            ConfigError: the group cannot be called so, or that is no place to start.
            WrongKeyType: the stream's key holds something else.
        """
        group_keys(self.stream, group)
        check_start(start)
        async with self._server.borrowed() as link:
            return await create_group(link, self.stream, group, start)

    async def delete(
        self, group: str, *, force: bool = False, dead_letters: bool = False
    ) -> Deleted:
        """Delete a group, with all that is queued and pending in it.

        The entries that only this group had kept go too; what another group has not
        settled stays. If it is the last group, all entries stay, queued for the next.

        Args:
            force: even if it has consumers alive. These make it anew, from the beginning
                of the stream.
            dead_letters: delete its dead letters as well.

        Raises:
            StillInUse: it has consumers alive.
            StreamNotFound: there is no such stream.
            GroupNotFound: the stream has no such group.
        """
        keys = group_keys(self.stream, group)
        await require_group(self._server, self.stream, group)
        silence = 0 if force else int(self._lease * 1000)
        dead, alive = await self._server.run(lua.destroy(keys, silence, dead_letters=dead_letters))
        if alive:
            raise StillInUse(
                f"the group {group} of {printable(self.stream, 100)} is in use: its consumer "
                f"{printable(text(alive[0]), 200)} is alive; stop it first"
            )
        return Deleted(await self.sweep(), dead)

    async def sweep(self) -> int:
        """Delete the entries that every group has settled, and return how many.

        There are none, unless a deletion of a group was interrupted, or a group was
        deleted by other means.
        """
        swept, start = 0, "-"
        while start:
            count, following = await self._server.run(lua.prune(self.stream, start, SWEPT_AT_ONCE))
            swept += count
            start = following.decode()
        return swept
