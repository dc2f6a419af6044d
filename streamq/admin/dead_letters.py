"""Dead letters: the jobs that a group has given up.

Each group of a stream keeps its own, as a stream of letters: what streamq knows of
the death, then the fields that the entry had.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamq import lua
from streamq.admin.reading import Entry, content, pages, plain_data, require_group, text
from streamq.errors import JobNotFound, WrongKeyType
from streamq.server import Arg, Server
from streamq.text import printable
from streamq.wire.entry import check_id, created_at, decode_data, id_key
from streamq.wire.keys import group_keys

BATCH = 50
"""Dead letters that one script call redrives or purges."""

META = [b"id", b"reason", b"error", b"attempts", b"consumer"]
"""What ``dead_letter.lua`` writes in front of the entry's own fields, each with its value."""

_CUT = 512
"""Bytes of each value that are read where only IDs and types matter."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that a group has given up.

    Attributes:
        id: the letter's own ID, which also tells when the job died.
        job_id: the ID that the job had.
        type: the job's type.
        reason: a short fixed phrase, such as ``retries exhausted``.
        error: what went wrong, for a person.
        attempts: the deliveries that it had.
        consumer: the consumer that held it last.
        raw: its data as it was written, JSON as a rule; ``None`` when it was gone.
        origin: the ID that it had before it was first redriven.
    """

    id: str
    job_id: str
    stream: str
    group: str
    type: str
    reason: str
    error: str
    attempts: int
    consumer: str
    raw: bytes | None
    origin: str | None = None

    @property
    def died_at(self) -> float:
        """Unix time in seconds."""
        return created_at(self.id)

    @property
    def created_at(self) -> float:
        """When the job was written: Unix time in seconds."""
        return created_at(self.job_id)

    @property
    def data(self) -> Any:
        """The job's data, decoded; ``None`` when it was gone.

        Raises:
            InvalidEntry: it is not JSON.
        """
        return None if self.raw is None else decode_data(self.raw)

    def to_dict(self) -> dict[str, Any]:
        """The letter as plain data. ``data`` that is not JSON comes as text in ``raw``."""
        return {
            "id": self.id,
            "job_id": self.job_id,
            "stream": self.stream,
            "group": self.group,
            "type": self.type,
            "reason": self.reason,
            "error": self.error,
            "attempts": self.attempts,
            "consumer": self.consumer,
            "created_at": self.created_at,
            "died_at": self.died_at,
            "origin": self.origin,
            **plain_data(self.raw),
        }


class Redriven(NamedTuple):
    """What became of one dead letter that was to be redriven.

    Attributes:
        id: the ID by which it was asked for: the job's or the letter's own.
        new_id: the ID of the new entry; ``None`` when nothing was done.
        why_not: then, why.
    """

    id: str
    new_id: str | None
    why_not: str = ""


class DeadLetters:
    """The dead letters of one group on one stream.

    A letter is asked for by the ID that its job had, or by its own.

    Raises:
        ConfigError: the stream or the group cannot be called so.
    """

    def __init__(self, server: Server, stream: str, group: str) -> None:
        self.stream, self.group = stream, group
        self._keys = group_keys(stream, group)
        self._server = server

    async def count(self, *, type: str | None = None, older_than: float = 0.0) -> int:
        """How many there are, or how many the filters let through; see :meth:`letters`."""
        if type is None and older_than <= 0:
            return int(await self._ask("XLEN", self._keys.dlq))
        return sum([len(batch) async for batch in self._batches(type, older_than)])

    async def letters(
        self,
        *,
        type: str | None = None,
        older_than: float = 0.0,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """The dead letters, oldest first; read page by page.

        Args:
            type: only jobs of this type.
            older_than: only those that died so many seconds ago or longer.
            newest_first: the other way round.
            limit: stop after so many.
        """
        left = limit
        async for page in self._pages(older_than, newest_first=newest_first):
            for entry in page:
                if left == 0:
                    return
                letter = self._letter(entry)
                if type is None or letter.type == type:
                    yield letter
                    left = None if left is None else left - 1

    async def get(self, id: str) -> DeadLetter:
        """One dead letter.

        Raises:
            JobNotFound: there is none with that ID.
        """
        letter = await self._read((await self._resolve([id]))[id])
        if letter is None:
            raise JobNotFound(self._missing(id))
        return letter

    async def of_job(self, job_id: str) -> DeadLetter | None:
        """The dead letter of one job, if it has one."""
        by_job, _ = await self._find([job_id])
        return await self._read(by_job.get(job_id))

    async def redrive(self, ids: Iterable[str]) -> list[Redriven]:
        """Send dead letters back to their stream, as new jobs for this group only.

        Each is written to the stream and taken out of the dead letters in one step.

        Raises:
            GroupNotFound: the group does not exist any more, so nobody would process them.
        """
        await self._require_group()
        found = await self._resolve(list(ids))
        batch = [(id, own) for id, own in found.items() if own is not None]
        done = {id: Redriven(id, None, self._missing(id)) for id in found}
        for start in range(0, len(batch), BATCH):
            for result in await self._redrive(batch[start : start + BATCH]):
                done[result.id] = result
        return list(done.values())

    async def redrive_all(
        self, *, type: str | None = None, older_than: float = 0.0
    ) -> AsyncIterator[list[Redriven]]:
        """Redrive all dead letters there are now, or those that the filters let through.

        Those that die again meanwhile stay. It may be interrupted at any time: what is
        not yet redriven is still a dead letter. Yields what was done, batch by batch.

        Args:
            type: only jobs of this type.
            older_than: only those that died so many seconds ago or longer.

        Raises:
            GroupNotFound: as for :meth:`redrive`.
        """
        await self._require_group()
        async for batch in self._batches(type, older_than):
            yield await self._redrive([(letter.job_id, letter.id) for letter in batch])

    async def purge(self, ids: Iterable[str]) -> list[str]:
        """Delete dead letters for good.

        Returns:
            The IDs for which there was none.
        """
        found = await self._resolve(list(ids))
        missing = [id for id, own in found.items() if own is None]
        batch = [(id, own) for id, own in found.items() if own is not None]
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + BATCH]
            gone = await self._server.run(lua.purge(self._keys.dlq, [own for _, own in part]))
            missing += [id for (id, _), deleted in zip(part, gone, strict=True) if not deleted]
        return missing

    async def purge_all(
        self, *, type: str | None = None, older_than: float = 0.0
    ) -> AsyncIterator[int]:
        """Delete all dead letters there are now, or those that the filters let through.

        Yields how many were deleted, batch by batch.

        Args:
            type: only jobs of this type.
            older_than: only those that died so many seconds ago or longer.
        """
        async for batch in self._batches(type, older_than):
            call = lua.purge(self._keys.dlq, [letter.id for letter in batch])
            yield sum(await self._server.run(call))

    async def _read(self, id: str | None) -> DeadLetter | None:
        if id is not None:
            async for page in pages(self._server, self._keys.dlq, id, id):
                return self._letter(page[0])
        return None

    async def _redrive(self, batch: Sequence[tuple[str, str]]) -> list[Redriven]:
        call = lua.redrive(self._keys, [own for _, own in batch])
        results = []
        for (id, _), answer in zip(batch, await self._server.run(call), strict=True):
            if answer == b"":
                results.append(Redriven(id, None, self._missing(id)))
            elif answer == b"!empty":
                results.append(Redriven(id, None, f"the data of {id} was gone before it died"))
            else:
                results.append(Redriven(id, answer.decode()))
        return results

    async def _batches(
        self, type: str | None, older_than: float
    ) -> AsyncIterator[list[DeadLetter]]:
        batch: list[DeadLetter] = []
        async for page in self._pages(older_than, cut=_CUT):
            for letter in map(self._letter, page):
                if type is None or letter.type == type:
                    batch.append(letter)
                    if len(batch) == BATCH:
                        yield batch
                        batch = []
        if batch:
            yield batch

    async def _pages(
        self, older_than: float, *, newest_first: bool = False, cut: int = -1
    ) -> AsyncIterator[list[Entry]]:
        """The pages of what is there now: what comes later is left out."""
        if older_than > 0:
            seconds, micros = await self._server.call("TIME")
            now = int(seconds) * 1000 + int(micros) // 1000
            end = str(max(now - int(older_than * 1000), 0))
        else:
            newest = await self._ask("XREVRANGE", self._keys.dlq, "+", "-", "COUNT", 1)
            if not newest:
                return
            end = text(newest[0][0])
        async for page in pages(
            self._server, self._keys.dlq, end=end, newest_first=newest_first, cut=cut
        ):
            yield page

    async def _resolve(self, ids: Sequence[str]) -> dict[str, str | None]:
        """The letter's own ID for each of the IDs, ``None`` where there is no letter.

        The same ID may be one letter's own and that of another letter's job: then the
        job is meant, because that is the ID people see everywhere else.
        """
        by_job, own = await self._find(ids)
        return {id: by_job.get(id) or own.get(id) for id in ids}

    async def _find(self, ids: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """The own IDs of letters: by the ID of the job, and by their own."""
        wanted = set(map(check_id, ids))
        by_job: dict[str, str] = {}
        own: dict[str, str] = {}
        # A letter is written after its job, so it is looked for from the job's time on.
        start = min((id_key(id)[0] for id in wanted), default=0)
        async for page in pages(self._server, self._keys.dlq, str(start), cut=_CUT):
            for entry in page:
                job_id = text(_split(entry)[0][0])
                if entry.id in wanted:
                    own[entry.id] = entry.id
                if job_id in wanted:
                    by_job.setdefault(job_id, entry.id)
            if len(by_job) == len(wanted):
                break
        return by_job, own

    async def _ask(self, *command: Arg) -> Any:
        try:
            return await self._server.call(*command)
        except WrongKeyType:
            raise WrongKeyType(
                f"the key {self._keys.dlq} holds another type than dead letters, which is a "
                "stream: give it another name with RENAME"
            ) from None

    def _missing(self, id: str) -> str:
        return f"the group {self.group} of {printable(self.stream, 100)} has no dead letter {id}"

    async def _require_group(self) -> None:
        await require_group(self._server, self.stream, self.group)

    def _letter(self, entry: Entry) -> DeadLetter:
        meta, own = _split(entry)
        id, reason, error, attempts, consumer = map(text, meta)
        job = content(own)
        return DeadLetter(
            entry.id, id, self.stream, self.group, job.type, reason, error,
            int(attempts), consumer, job.raw, job.origin,
        )  # fmt: skip


def _split(entry: Entry) -> tuple[list[bytes], list[bytes]]:
    """The values that ``dead_letter.lua`` wrote, and the entry's own fields."""
    size = 2 * len(META)
    meta, own = entry.fields[:size], entry.fields[size:]
    if meta[::2] == META:
        return meta[1::2], own
    # Somebody has written to the dead letters by hand.
    return [entry.id.encode(), b"", b"not a dead letter of streamq's", b"0", b""], entry.fields
