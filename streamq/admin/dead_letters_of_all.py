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

from streamq.admin.dead_letter import DeadLetter
from streamq.admin.dead_letters import DeadLetters, Redriven, RedriveSummary
from streamq.codec import Codec
from streamq.errors import ConfigError, GroupNotFound, StreamNotFound
from streamq.offload import Store
from streamq.server import Server
from streamq.text import printable

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

    async def count(self, *, type: str | None = None, older_than: float = 0.0) -> int:
        """See :meth:`DeadLetters.count`."""
        parts = await self._parts()
        return sum([await part.count(type=type, older_than=older_than) for part in parts])

    async def list(
        self,
        *,
        type: str | None = None,
        older_than: float = 0.0,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """See :meth:`DeadLetters.list`; partition by partition, where there are some."""
        left = limit
        for part in await self._parts():
            if left == 0:
                return
            async for letter in part.list(
                type=type, older_than=older_than, newest_first=newest_first, limit=left
            ):
                yield letter
                left = None if left is None else left - 1

    async def get(self, id: str) -> DeadLetter:
        """See :meth:`DeadLetters.get`."""
        [part] = await self._homes([id])
        return await part.get(id)

    async def find(self, job_id: str) -> DeadLetter | None:
        """See :meth:`DeadLetters.find`."""
        for part in await self._parts():
            letter = await part.find(job_id)
            if letter is not None:
                return letter
        return None

    # -- redriving and purging ------------------------------------------------

    async def redrive(self, ids: Iterable[str]) -> Sequence[Redriven]:
        """See :meth:`DeadLetters.redrive`."""
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
        progress: Callable[[Sequence[Redriven]], object] | None = None,
    ) -> RedriveSummary:
        """See :meth:`DeadLetters.redrive_all`."""
        done: Sequence[RedriveSummary] = []
        missing: Exception | None = None
        for part in await self._parts():
            try:
                one = await part.redrive_all(type=type, older_than=older_than, progress=progress)
            except (GroupNotFound, StreamNotFound) as error:
                missing = error
            else:
                done = [*done, one]
        if missing is not None and not done:
            raise missing
        return RedriveSummary(sum(one.redriven for one in done), sum(one.failed for one in done))

    async def purge(self, ids: Iterable[str]) -> Mapping[str, bool]:
        """See :meth:`DeadLetters.purge`."""
        done: dict[str, bool] = {}
        for part, some in (await self._homes(ids)).items():
            done |= await part.purge(some)
        return done

    async def purge_all(
        self,
        *,
        type: str | None = None,
        older_than: float = 0.0,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """See :meth:`DeadLetters.purge_all`."""
        parts = await self._parts()
        return sum(
            [
                await part.purge_all(type=type, older_than=older_than, progress=progress)
                for part in parts
            ]
        )

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
