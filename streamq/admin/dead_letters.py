"""The dead letters of a group: listed, redriven, purged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from streamq import lua
from streamq.admin.dead_letter import DeadLetter, job_of, read_letter
from streamq.admin.existing import require_group
from streamq.admin.paging import Page
from streamq.admin.reading import PAGE, Entry, pages, text
from streamq.codec import Codec
from streamq.errors import JobNotFound, WrongKeyType
from streamq.limits import LOOKED_AT
from streamq.offload import Store, delete_unheld
from streamq.server import Arg, Server
from streamq.text import printable
from streamq.wire.entry import check_id, id_key
from streamq.wire.keys import GroupKeys, group_keys
from streamq.wire.offloaded import Ref

if TYPE_CHECKING:
    from streamq.admin.causes import Causes

BATCH = 50
"""Dead letters that one script call redrives or purges."""

_AT_ONCE = 250
"""Dead letters that one script call reads to count them."""

_CUT = 512
"""Bytes of each value that are read where only IDs, types and causes matter."""

Where = Callable[[DeadLetter], bool]
"""Picks dead letters out of all."""


class _Wanted(NamedTuple):
    """Which dead letters are wanted.

    Attributes:
        until: the own ID of the last one, ``None`` for the last there is now.
    """

    type: str | None = None
    older_than: float = 0.0
    cause: str | None = None
    where: Where | None = None
    until: str | None = None

    @property
    def all(self) -> bool:
        """Whether that is all there are."""
        return self == _Wanted()

    @property
    def cut(self) -> int:
        """Bytes of each value that have to be read to tell."""
        return _CUT if self.where is None else -1

    def has(self, letter: DeadLetter) -> bool:
        """Whether a letter is one of them; ``older_than`` and ``until`` end the reading."""
        return (
            self.type in (None, letter.type)
            and self.cause in (None, letter.cause)
            and (self.where is None or self.where(letter))
        )


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of one dead letter that was to be redriven.

    Attributes:
        id: the ID by which it was asked for: the job's or the letter's own.
        new_id: the ID of the new entry; ``None`` when nothing was done.
        error: why nothing was done; empty otherwise.
    """

    id: str
    new_id: str | None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RedriveSummary:
    """What became of many dead letters.

    Attributes:
        redriven: how many were sent back.
        failed: how many could not be, and are still dead letters.
    """

    redriven: int
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Matching:
    """How many dead letters match some filters.

    Attributes:
        count: how many were found.
        until: the own ID of the newest letter there is, whether or not it matches, to redrive or
            purge just what was counted; ``None`` where there is none.
        complete: whether all were looked at.
    """

    count: int
    until: str | None
    complete: bool


class DeadLetters:
    """The dead letters of one group on one stream.

    A letter is asked for by the ID that its job had, or by its own.

    Raises:
        ConfigError: the stream or the group has an invalid name.
    """

    def __init__(
        self,
        server: Server,
        stream: str,
        group: str,
        codec: Codec | None = None,
        store: Store | None = None,
    ) -> None:
        self.stream, self.group = stream, group
        self._keys = group_keys(stream, group)
        self._server = server
        self._codec = codec
        self._store = store

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
        """How many there are, or how many match the filters; see :meth:`list`.

        Args:
            until: only those up to this one, by the letter's own ID.
        """
        wanted = _Wanted(type, older_than, cause, where, until)
        if wanted.all:
            return int(await self._ask("XLEN", self._keys.dlq))
        return sum([len(batch) async for batch in self._batches(wanted)])

    async def matching(
        self,
        *,
        type: str | None = None,
        cause: str | None = None,
        where: Where | None = None,
        look_at: int = LOOKED_AT,
    ) -> Matching:
        """How many match the filters, of the oldest ones where they are very many.

        Args:
            look_at: how many to look at.
        """
        newest = await self._ask("XREVRANGE", self._keys.dlq, "+", "-", "COUNT", 1)
        if not newest:
            return Matching(0, None, True)
        until = text(newest[0][0])
        wanted = _Wanted(type, 0.0, cause, where)
        if wanted.all:
            return Matching(await self.count(), until, True)
        count = looked_at = 0
        async for page in self._pages(wanted._replace(until=until), cut=wanted.cut, size=_AT_ONCE):
            if looked_at >= look_at:
                return Matching(count, until, False)
            looked_at += len(page)
            codec = None if where is None else self._codec
            for entry in page:
                count += wanted.has(read_letter(entry, self.stream, self.group, codec))
        return Matching(count, until, True)

    async def causes(self, *, limit: int = LOOKED_AT) -> Causes:
        """What the newest of them have in common, by error, the most frequent first.

        Args:
            limit: how many to look at.
        """
        from streamq.admin.causes import Counting

        counting = Counting()
        async for page in self._pages(_Wanted(), newest_first=True, size=_AT_ONCE):
            for entry in page:
                if counting.looked_at == limit:
                    return counting.causes(complete=False)
                counting.add(read_letter(entry, self.stream, self.group, self._codec))
        return counting.causes(complete=True)

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
        """A page of them, the newest first.

        Args:
            type: only jobs of this type.
            cause: only those with this :attr:`DeadLetter.cause`.
            where: only those for which it is true.
            after: what the page before says of where to go on.
            limit: how many at most.
            look_at: how many to look at before giving up for now, where few match.
        """
        wanted = _Wanted(type, 0.0, cause, where)
        found: list[DeadLetter] = []
        looked_at = 0
        beyond = None if after is None else check_id(after)
        async for page in self._pages(wanted, newest_first=True, cut=-1, beyond=beyond):
            for entry in page:
                looked_at += 1
                letter = read_letter(entry, self.stream, self.group, self._codec)
                if wanted.has(letter):
                    found.append(letter)
                if len(found) == limit or looked_at == look_at:
                    return Page(found, entry.id, looked_at)
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
        """The dead letters, oldest first; read page by page.

        Args:
            type: only jobs of this type.
            older_than: only those that have been dead for this many seconds.
            cause: only those with this :attr:`DeadLetter.cause`.
            where: only those for which it is true.
            newest_first: the other way round.
            limit: stop after this many.
            after: only those that come after the letter with this ID of its own, the last one
                of a page.
        """
        left = limit
        wanted = _Wanted(type, older_than, cause, where)
        beyond = None if after is None else check_id(after)
        async for page in self._pages(wanted, newest_first=newest_first, cut=-1, beyond=beyond):
            for entry in page:
                if left == 0:
                    return
                letter = read_letter(entry, self.stream, self.group, self._codec)
                if wanted.has(letter):
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

    async def find(self, job_id: str) -> DeadLetter | None:
        """The dead letter of one job, if it has one."""
        by_job: dict[str, str] = {}
        await self._search({job_id}, by_job, {}, *await self._likely(job_id))
        return await self._read(by_job.get(job_id))

    # -- redriving ------------------------------------------------------------

    async def redrive(self, ids: Iterable[str]) -> Sequence[Redriven]:
        """Send dead letters back to their stream, as new jobs for this group only.

        Each is written to the stream and taken out of the dead letters in one step.

        Returns:
            What became of each, in the order asked for.

        Raises:
            GroupNotFound: the group no longer exists, so no worker would process them.
        """
        await require_group(self._server, self.stream, self.group)
        found = await self._resolve(ids)
        batch = [(id, own) for id, own in found.items() if own is not None]
        done = {id: Redriven(id, None, self._missing(id)) for id in found}
        for start in range(0, len(batch), BATCH):
            for result in await self._redrive(batch[start : start + BATCH]):
                done[result.id] = result
        return [*done.values()]

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
        """Redrive all dead letters there are now, or those that match the filters.

        Those that become dead letters meanwhile stay. It may be interrupted at any time:
        what is not yet redriven is still a dead letter.

        Args:
            type: only jobs of this type.
            older_than: only those that have been dead for this many seconds.
            cause: only those with this :attr:`DeadLetter.cause`.
            where: only those for which it is true.
            until: only those up to this one, by the letter's own ID.
            progress: called with what became of each batch.

        Raises:
            GroupNotFound: as for :meth:`redrive`.
        """
        await require_group(self._server, self.stream, self.group)
        redriven = failed = 0
        async for batch in self._batches(_Wanted(type, older_than, cause, where, until)):
            results = await self._redrive([(letter.job_id, letter.id) for letter in batch])
            count = sum(result.new_id is not None for result in results)
            redriven, failed = redriven + count, failed + len(results) - count
            if progress is not None:
                progress(results)
        return RedriveSummary(redriven, failed)

    # -- purging --------------------------------------------------------------

    async def purge(self, ids: Iterable[str]) -> Mapping[str, bool]:
        """Delete dead letters for good.

        Returns:
            For each ID whether there was such a letter.
        """
        refs: dict[str, str] = {}
        found = await self._resolve(ids, refs)
        done = dict.fromkeys(found, False)
        batch = [(id, own) for id, own in found.items() if own is not None]
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + BATCH]
            gone = await self._purge([own for _, own in part], refs)
            done |= zip((id for id, _ in part), map(bool, gone), strict=True)
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
        """Delete all dead letters there are now, or those that match the filters.

        Args:
            type: only jobs of this type.
            older_than: only those that have been dead for this many seconds.
            cause: only those with this :attr:`DeadLetter.cause`.
            where: only those for which it is true.
            until: only those up to this one, by the letter's own ID.
            progress: called with the number deleted in each batch.

        Returns:
            How many were deleted.
        """
        total = 0
        async for batch in self._batches(_Wanted(type, older_than, cause, where, until)):
            refs = {letter.id: letter.ref.place for letter in batch if letter.ref is not None}
            count = sum(await self._purge([letter.id for letter in batch], refs))
            total += count
            if progress is not None:
                progress(count)
        return total

    # -- how ------------------------------------------------------------------

    async def _read(self, id: str | None) -> DeadLetter | None:
        if id is not None:
            async for page in pages(self._server, self._keys.dlq, id, id):
                return read_letter(page[0], self.stream, self.group, self._codec)
        return None

    async def _purge(self, ids: Sequence[str], refs: Mapping[str, str]) -> Sequence[int]:
        """Delete letters.

        Args:
            refs: by a letter's own ID, where its data is if that is outside the stream.

        Returns:
            For each 1, or 0 where there is no such letter.
        """
        if not refs:
            gone: Sequence[int] = await self._server.run(lua.purge(self._keys.dlq, ids))
            return gone
        places = [refs.get(id, "") for id in ids]
        gone = await self._server.run(lua.purge_offloaded(self._keys, ids, places))
        await delete_unheld(self._server, self.stream, self._store)
        return gone

    async def _redrive(self, batch: Sequence[tuple[str, str]]) -> Sequence[Redriven]:
        call = lua.redrive(self._keys, [own for _, own in batch])
        results = []
        for (id, _), answer in zip(batch, await self._server.run(call), strict=True):
            if answer == b"":
                results.append(Redriven(id, None, self._missing(id)))
            elif answer == b"!empty":
                error = f"the data of {id} had been deleted before it became a dead letter"
                results.append(Redriven(id, None, error))
            else:
                results.append(Redriven(id, answer.decode()))
        return results

    async def _batches(self, wanted: _Wanted) -> AsyncIterator[Sequence[DeadLetter]]:
        batch = []
        codec = None if wanted.where is None else self._codec
        async for page in self._pages(wanted, cut=wanted.cut):
            for entry in page:
                letter = read_letter(entry, self.stream, self.group, codec)
                if wanted.has(letter):
                    batch.append(letter)
                    if len(batch) == BATCH:
                        yield batch
                        batch = []
        if batch:
            yield batch

    async def _pages(
        self,
        wanted: _Wanted,
        *,
        newest_first: bool = False,
        cut: int = _CUT,
        size: int = PAGE,
        beyond: str | None = None,
    ) -> AsyncIterator[Sequence[Entry]]:
        """The pages of what is there now: what comes later is left out.

        Args:
            beyond: only what comes after this one.
        """
        start, end = "-", wanted.until and check_id(wanted.until)
        if end is None:
            newest = await self._ask("XREVRANGE", self._keys.dlq, "+", "-", "COUNT", 1)
            if not newest:
                return
            end = text(newest[0][0])
        if wanted.older_than > 0:
            last = max(await self._now() - int(wanted.older_than * 1000), 0)
            end = min(f"{last}-{2**64 - 1}", end, key=id_key)
        if beyond is not None and not newest_first:
            start = f"({beyond}"
        elif beyond is not None and id_key(beyond) <= id_key(end):
            end = f"({beyond}"
        async for page in pages(
            self._server, self._keys.dlq, start, end, newest_first=newest_first, cut=cut, size=size
        ):
            yield page

    async def _resolve(
        self, ids: Iterable[str], refs: dict[str, str] | None = None
    ) -> dict[str, str | None]:
        """The letter's own ID for each of the IDs, ``None`` where there is no letter.

        Args:
            refs: gets by own ID where the data of letters is that is outside the stream.

        The same ID may be one letter's own and that of another letter's job: then the
        job is meant, because that is the ID people see everywhere else.
        """
        wanted = dict.fromkeys(map(check_id, ids))
        by_job: dict[str, str] = {}
        own: dict[str, str] = {}
        if wanted:
            start, end = await self._likely(*wanted)
            await self._search(set(wanted), by_job, own, start, end, refs)
            left = {id for id in wanted if id not in by_job and id not in own}
            if left and start != "-":
                await self._search(left, by_job, own, "-", f"({start}", refs)
        return {id: by_job.get(id) or own.get(id) for id in wanted}

    async def _likely(self, *job_ids: str) -> tuple[str, str]:
        """The range in which the letters of jobs are to be looked for first.

        A letter is written after its job, so it has a later ID, unless that of the job
        was written by hand and lies in the future.
        """
        start = min(id_key(id)[0] for id in job_ids)
        latest = max(id_key(id)[0] for id in job_ids)
        return ("-" if start == 0 or latest > await self._now() else str(start)), "+"

    async def _search(
        self, wanted: set[str], by_job: dict[str, str], own: dict[str, str], start: str, end: str,
        refs: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Note the letters' own IDs, by the IDs of their jobs and by themselves."""
        async for page in pages(self._server, self._keys.dlq, start, end, cut=_CUT):
            for entry in page:
                job_id = job_of(entry)
                if entry.id in wanted:
                    own[entry.id] = entry.id
                if job_id in wanted:
                    by_job.setdefault(job_id, entry.id)
                if refs is not None and (entry.id in wanted or job_id in wanted):
                    ref = read_letter(entry, self.stream, self.group).ref
                    if ref is not None:
                        refs[entry.id] = ref.place
            if all(id in by_job for id in wanted):
                break

    async def _now(self) -> int:
        """The server's time in ms."""
        seconds, micros = await self._server.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

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


async def offloaded_of(server: Server, keys: GroupKeys) -> Sequence[Ref]:
    """Where the data of a group's dead letters is, of those that have it outside the stream."""
    found: list[Ref] = []
    async for page in pages(server, keys.dlq, cut=_CUT):
        letters = (read_letter(entry, keys.stream, keys.group) for entry in page)
        found += (letter.ref for letter in letters if letter.ref is not None)
    return found
