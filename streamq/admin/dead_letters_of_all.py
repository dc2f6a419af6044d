"""The dead letters of a group in all partitions of a stream."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from typing import TYPE_CHECKING, Any

from streamq.admin.dead_letter import DeadLetter
from streamq.admin.dead_letters import (
    DeadLetters,
    Matching,
    Redriven,
    RedriveSummary,
    Where,
)
from streamq.admin.paging import Page
from streamq.codec import Codec
from streamq.errors import ConfigError, GroupNotFound, StreamNotFound
from streamq.limits import LOOKED_AT
from streamq.offload import Store
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import id_key

if TYPE_CHECKING:
    from streamq.admin.causes import Causes

KeysOf = Callable[[str], Awaitable[Sequence[str]]]
"""The keys of the server that have the jobs of a stream."""


class DeadLettersOfAll(DeadLetters):
    """The dead letters of one group, in every partition of its stream.

    Args:
        keys: tells which keys these are.
    """

    def __init__(
        self, server: Server, stream: str, group: str, codec: Codec | None, store: Store | None, *,
        keys: KeysOf,
    ) -> None:  # fmt: skip
        super().__init__(server, stream, group, codec, store)
        self._keys_of = keys

    async def _parts(self) -> Sequence[DeadLetters]:
        return [
            DeadLetters(self._server, key, self.group, self._codec, self._store)
            for key in await self._keys_of(self.stream)
        ]

    # -- looking --------------------------------------------------------------

    async def count(
        self,
        *,
        type: str | None = None,
        older_than: float = 0.0,
        cause: str | None = None,
        where: Where | None = None,
        until: str | None = None,
    ) -> int:
        wanted: dict[str, Any] = {
            "type": type, "older_than": older_than, "cause": cause, "where": where, "until": until,
        }  # fmt: skip
        return sum([await part.count(**wanted) for part in await self._parts()])

    async def matching(
        self,
        *,
        type: str | None = None,
        cause: str | None = None,
        where: Where | None = None,
        look_at: int = LOOKED_AT,
    ) -> Matching:
        parts = await self._parts()
        most = -(-look_at // len(parts))
        found = [
            await part.matching(type=type, cause=cause, where=where, look_at=most) for part in parts
        ]
        newest = [one.until for one in found if one.until is not None]
        return Matching(
            sum(one.count for one in found),
            max(newest, key=id_key, default=None),
            all(one.complete for one in found),
        )

    async def causes(self, *, limit: int = LOOKED_AT) -> Causes:
        from streamq.admin.adding_up import causes_of_all

        parts = await self._parts()
        if len(parts) == 1:
            return await parts[0].causes(limit=limit)
        return causes_of_all([await part.causes(limit=-(-limit // len(parts))) for part in parts])

    async def page(
        self,
        *,
        type: str | None = None,
        cause: str | None = None,
        where: Where | None = None,
        after: str | None = None,
        limit: int = 50,
        look_at: int = LOOKED_AT,
    ) -> Page[DeadLetter]:
        parts = await self._parts()
        if len(parts) == 1:
            return await parts[0].page(
                type=type, cause=cause, where=where, after=after, limit=limit, look_at=look_at
            )
        from streamq.admin.merging import cursor

        found: list[DeadLetter] = []
        looked_at = 0
        async for letter in self.list(newest_first=True, after=after):
            looked_at += 1
            if (
                type in (None, letter.type)
                and cause in (None, letter.cause)
                and (where is None or where(letter))
            ):
                found.append(letter)
            if len(found) == limit or looked_at == look_at:
                return Page(found, cursor(letter.id, letter.stream), looked_at)
        return Page(found, None, looked_at)

    async def list(
        self,
        *,
        type: str | None = None,
        older_than: float = 0.0,
        cause: str | None = None,
        where: Where | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        after: str | None = None,
    ) -> AsyncIterator[DeadLetter]:
        from streamq.admin.merging import cursors, in_order

        wanted: dict[str, Any] = {
            "type": type, "older_than": older_than, "cause": cause, "where": where,
            "newest_first": newest_first, "limit": limit,
        }  # fmt: skip
        parts = await self._parts()
        keys = [part.stream for part in parts]
        places = cursors(after, keys, backwards=newest_first)
        sources = [part.list(after=id, **wanted) for part, id in zip(parts, places, strict=True)]
        left = limit
        async for letter in in_order(
            sources, lambda letter: id_key(letter.id), backwards=newest_first
        ):
            if left == 0:
                return
            yield letter
            left = None if left is None else left - 1

    async def get(self, id: str) -> DeadLetter:
        [part] = await self._homes([id])
        return await part.get(id)

    async def find(self, job_id: str) -> DeadLetter | None:
        for part in await self._parts():
            letter = await part.find(job_id)
            if letter is not None:
                return letter
        return None

    # -- redriving and purging ------------------------------------------------

    async def redrive(self, ids: Iterable[str]) -> Sequence[Redriven]:
        wanted = dict.fromkeys(ids)
        done: dict[str, Redriven] = {}
        for part, some in (await self._homes(wanted)).items():
            done |= {one.id: one for one in await part.redrive(some)}
        return [done[id] for id in wanted]

    async def redrive_all(
        self,
        *,
        type: str | None = None,
        older_than: float = 0.0,
        cause: str | None = None,
        where: Where | None = None,
        until: str | None = None,
        progress: Callable[[Sequence[Redriven]], object] | None = None,
    ) -> RedriveSummary:
        done: Sequence[RedriveSummary] = []
        missing: Exception | None = None
        for part in await self._parts():
            try:
                one = await part.redrive_all(
                    type=type, older_than=older_than, cause=cause, where=where, until=until,
                    progress=progress,
                )  # fmt: skip
            except (GroupNotFound, StreamNotFound) as error:
                missing = error
            else:
                done = [*done, one]
        if missing is not None and not done:
            raise missing
        return RedriveSummary(sum(one.redriven for one in done), sum(one.failed for one in done))

    async def purge(self, ids: Iterable[str]) -> Mapping[str, bool]:
        done: dict[str, bool] = {}
        for part, some in (await self._homes(ids)).items():
            done |= await part.purge(some)
        return done

    async def purge_all(
        self,
        *,
        type: str | None = None,
        older_than: float = 0.0,
        cause: str | None = None,
        where: Where | None = None,
        until: str | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        wanted: dict[str, Any] = {
            "type": type, "older_than": older_than, "cause": cause, "where": where, "until": until,
            "progress": progress,
        }  # fmt: skip
        return sum([await part.purge_all(**wanted) for part in await self._parts()])

    async def _homes(self, ids: Iterable[str]) -> Mapping[DeadLetters, Sequence[str]]:
        """Some IDs, by the partitions that have their letters.

        Raises:
            ConfigError: several have a letter of the same ID.
        """
        parts, wanted = await self._parts(), dict.fromkeys(ids)
        if len(parts) == 1:
            return {parts[0]: [*wanted]}
        having: dict[str, Sequence[DeadLetters]] = {}
        for part in parts:
            for id, own in (await part._resolve(wanted)).items():
                if own is not None:
                    having[id] = [*having.get(id, ()), part]
        homes: dict[DeadLetters, Sequence[str]] = {}
        for id in wanted:
            some = having.get(id, parts[:1])
            if len(some) > 1:
                names = " and ".join(printable(part.stream, 100) for part in some)
                raise ConfigError(
                    f"several partitions of {printable(self.stream, 100)} have a dead letter {id}, "
                    f"{names}: name the one that is meant as the stream"
                )
            homes[some[0]] = [*homes.get(some[0], ()), id]
        return homes
