"""Results: the face of whoever waits for the ends of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from streamq.errors import ConfigError, ResultTimeout, ServerRefused, StreamqError
from streamq.results.finished import Decode, Finished, State
from streamq.results.progress import OnProgress
from streamq.results.scheduled import entry_of, is_scheduled, look_up
from streamq.results.watches import Place, Watches
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import decode_data
from streamq.wire.keys import check_group, check_stream

LAST_LOOK = 2.0
"""Seconds that a last look may take when the time is up."""

GroupsOf = Callable[[str], Sequence[str]]
"""The groups that a program has for a stream, as far as it knows."""

Places = Callable[[str], Awaitable[Sequence[str]]]
"""The keys of the server that a stream has, one a partition."""


class Results:
    """Waits for the ends of jobs, over one connection for all who wait in an event loop.

    Args:
        server: where the jobs are.
        groups_of: the groups of a stream; those that the server knows, where it names none.
        decode: makes a value of a result as it was written.
        places: tells which partitions a stream has, where streams may have some.
    """

    def __init__(
        self, server: Server, groups_of: GroupsOf | None = None, decode: Decode = decode_data,
        places: Places | None = None,
    ) -> None:  # fmt: skip
        self._server = server
        self._decode = decode
        self._groups_of = groups_of
        self._places = places
        self._watches: Watches | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def result(
        self, stream: str, job_id: str, group: str | None = None, timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:  # fmt: skip
        """What the handler of a group has returned, as soon as it has; see :meth:`finished`.

        Raises:
            JobDead: the group has given the job up.
            JobCancelled: it was cancelled.
            JobExpired: its ``expires`` passed before its turn came.
            JobSkipped: it is for another group.
            ResultExpired: it is finished, but its result is not kept, or no longer.
            ResultTimeout: it is not finished within ``timeout``.
            JobNotFound: there is no such job.
        """
        return (await self.finished(stream, job_id, group, timeout, on_progress)).value

    async def wait(
        self, stream: str, job_id: str, group: str | None = None, timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> State:  # fmt: skip
        """The state in which a job has ended in a group; see :meth:`finished`.

        Raises:
            ResultTimeout: it is not finished within ``timeout``.
            JobNotFound: there is no such job.
        """
        end = await self.finished(stream, job_id, group, timeout, on_progress)
        if end.state == "missing":
            assert end.error is not None
            raise end.error
        return end.state

    async def finished(
        self, stream: str, job_id: str, group: str | None = None, timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Finished:  # fmt: skip
        """What became of a job in a group, as soon as it is finished.

        Args:
            job_id: what ``produce`` has returned, the name of a job for later included.
            group: may be left out where the stream has one.
            timeout: seconds; without one, it waits for as long as it takes. 0 only looks.
            on_progress: called whenever the handler has told how far it is.

        Raises:
            ConfigError: there are several groups, or an argument cannot be used.
            ResultTimeout: it is not finished within ``timeout``.
            ServerUnavailable: the server cannot be reached. One that is lost while a job is
                waited for is waited for, too.
        """
        check_stream(stream)
        check_timeout(timeout)
        later = is_scheduled(job_id)
        if self._places is not None:
            stream = await self._place_of(stream, job_id, group, self._places)
        name = await self.group(stream, group)
        known = None if later else job_id
        try:
            async with asyncio.timeout(timeout or None) as scope:
                if later and timeout != 0:
                    known = await entry_of(self._server, stream, job_id, self._watching().few)
                    if known is None:
                        return _gone(stream, job_id, name)
                if timeout != 0 and known is not None:
                    place = Place(stream, name, known)
                    end = await self._watching().end_of(place, on_progress)
                    return replace(end, id=job_id)
        except TimeoutError:
            if not scope.expired():
                raise
        return await self._last_look(stream, job_id, known, name, timeout or 0.0)

    async def as_finished(
        self, jobs: Iterable[tuple[str, str]], group: str | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Finished]:  # fmt: skip
        """What became of each of some jobs, in the order in which they finish.

        Args:
            jobs: stream and ID of each.
            group: may be left out where the streams have one.
            timeout: seconds for all of them.

        Raises:
            ResultTimeout: some are not finished within ``timeout``; those that were have been
                returned.
        """
        check_timeout(timeout)
        wanted = list(dict.fromkeys(jobs))
        ended: asyncio.Queue[asyncio.Task[Finished]] = asyncio.Queue()
        names = {stream: await self.group(stream, group) for stream, _ in wanted}
        tasks = [
            asyncio.ensure_future(self.finished(stream, id, names[stream], timeout))
            for stream, id in wanted
        ]
        for task in tasks:
            task.add_done_callback(ended.put_nowait)
        try:
            for _ in wanted:
                task = await ended.get()
                try:
                    end = task.result()
                except ResultTimeout as error:
                    left = sum(1 for one in tasks if not one.done() or one.exception() is not None)
                    raise ResultTimeout(
                        f"{left:,} of {len(wanted):,} jobs are not finished after {timeout:g} s: "
                        f"{error}",
                        error.job_id,
                        error.group,
                    ) from None
                yield end
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def group(self, stream: str, given: str | None) -> str:
        """The group that is meant: the one given, or else the only one.

        Raises:
            ConfigError: there are several, or none.
        """
        if given is not None:
            return check_group(given)
        names = list(dict.fromkeys(self._groups_of(stream) if self._groups_of else ()))
        if not names:
            names = await self._known_groups(stream)
        if len(names) == 1:
            return names[0]
        where = f"the stream {printable(stream, 100)}"
        if not names:
            raise ConfigError(f"{where} has no group yet: say which one is meant with group=")
        some = ", ".join(sorted(names)[:10])
        raise ConfigError(f"{where} has several groups, say which is meant with group=: {some}")

    async def close(self) -> None:
        """Close the connection; it is opened again when it is needed."""
        watches, self._watches = self._watches, None
        if watches is not None and self._loop is asyncio.get_running_loop():
            await watches.close()

    async def _place_of(self, stream: str, job_id: str, group: str | None, places: Places) -> str:
        """The key of the server that has a job.

        Raises:
            ConfigError: several have one of that ID.
        """
        names = await places(stream)
        if len(names) == 1:
            return names[0]
        name = await self.group(names[0], group)
        looks = [self._has(place, job_id, name) for place in names]
        found = [
            place for place, has in zip(names, await asyncio.gather(*looks), strict=True) if has
        ]
        if len(found) > 1:
            raise ConfigError(
                f"several partitions of {printable(stream, 100)} have a job {job_id}: name the one "
                f"that is meant as the stream, {' or '.join(map(printable, found))}"
            )
        return found[0] if found else names[0]

    async def _has(self, stream: str, job_id: str, group: str) -> bool:
        """Whether there is a trace of a job under one key."""
        if is_scheduled(job_id):
            return any(one is not None for one in await look_up(self._server, stream, job_id))
        end = await self._watching().look_once(Place(stream, group, job_id))
        # That an entry is no longer there does not tell that it was.
        return not isinstance(end, Finished) or end.state not in ("missing", "settled")

    def _watching(self) -> Watches:
        loop = asyncio.get_running_loop()
        if self._watches is None or loop is not self._loop:
            # A program may call asyncio.run() more than once.
            self._watches, self._loop = Watches(self._server, self._decode), loop
        return self._watches

    async def _known_groups(self, stream: str) -> list[str]:
        try:
            async with self._watching().few:
                rows = await self._server.call("XINFO", "GROUPS", stream)
        except ServerRefused as error:
            if "no such key" in str(error):
                return []
            raise
        names = []
        for row in rows:
            try:
                names.append(check_group(row[1].decode("utf-8", "replace")))
            except ConfigError:
                pass  # another program's, with a name that streamq does not use
        return names

    async def _last_look(
        self, stream: str, job_id: str, known: str | None, group: str, timeout: float
    ) -> Finished:
        """What the record says when the time is up: a worker may lack the right to tell."""
        after = f" after {timeout:g} s" if timeout else ""
        watches = self._watching()
        try:
            async with asyncio.timeout(LAST_LOOK):
                if known is None:
                    async with watches.few:
                        known, due = await look_up(self._server, stream, job_id)
                    if known is None and due is None:
                        return _gone(stream, job_id, group)
                end = await watches.look_once(Place(stream, group, known)) if known else None
        except (TimeoutError, StreamqError) as error:
            why = f"; the server cannot be asked now: {watches.trouble or error}"
        else:
            if isinstance(end, Finished):
                return replace(end, id=job_id)
            why = "; that group does not exist yet: is its worker running?" if end else ""
            if end is None:
                why = "; it is for later, and is not written yet"
        raise ResultTimeout(
            f"the job {job_id} is not finished in the group {group}{after}{why}", job_id, group
        )


def check_timeout(timeout: float | None) -> None:
    """Refuse a time that is none.

    Raises:
        ConfigError: it is negative, or no number.
    """
    if timeout is not None and not (isinstance(timeout, int | float) and 0 <= timeout < 1e10):
        raise ConfigError(f"timeout={timeout!r}: give seconds, zero or more, or None to wait")


def _gone(stream: str, name: str, group: str) -> Finished:
    note = "it was cancelled before its time, or was written more than an hour ago"
    return Finished(name, stream, group, "missing", note=note)
