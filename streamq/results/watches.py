"""Watching for the ends of jobs: one connection that hears of them, for all who wait.

A watch subscribes first, then reads the job's record, and reads it again when it is told that the
job has ended. After a lost connection all watches do both again, so nothing is missed in between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple

from streamq import lua
from streamq.errors import ServerError, ServerUnavailable, StreamqError
from streamq.results.finished import STATES, Decode, Finished, State
from streamq.results.letters import Letter, find_letters
from streamq.results.progress import OnProgress, Progress, read_progress
from streamq.retry import Backoff
from streamq.server import Server
from streamq.server.listener import Heard
from streamq.wire.entry import decode_data
from streamq.wire.keys import group_keys

BACKOFF = Backoff(base=0.05, factor=2, cap=0.8)
"""Between two attempts to reach a server that was lost."""

LOOK_AGAIN = 30.0
"""Seconds after which all are looked at again, although nothing was heard: a worker may lack the
permission to tell, or be of a version that does not."""

CHUNK = 100
"""Jobs looked at in one call."""

FEW = 4
"""Calls at once."""

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """One job in one group."""

    stream: str
    group: str
    id: str


class Watch:
    """A job whose end is waited for.

    Attributes:
        end: what became of it, or the error because of which that cannot be known.
        waiting: how many wait.
        on_progress: called with how far it is.
        progress: how far it was when it last told.
        letter: the ID of its dead letter, if that was told.
        told: whether it was told that it has ended otherwise.
    """

    __slots__ = ("end", "letter", "on_progress", "progress", "told", "waiting")

    def __init__(self) -> None:
        self.end: asyncio.Future[Finished | Exception] = asyncio.get_running_loop().create_future()
        self.waiting = 0
        self.on_progress: list[OnProgress] = []
        self.progress: Progress | None = None
        self.letter = ""
        self.told = False

    def tell(self, progress: Progress | None) -> None:
        """Tell those who wait how far it is."""
        if progress is not None and progress != self.progress:
            self.progress = progress
            for callback in list(self.on_progress):
                _call(callback, progress)

    def finish(self, end: Finished | Exception) -> None:
        """Let those who wait go on."""
        if not self.end.done():
            self.end.set_result(end)


class Watches:
    """All jobs that are waited for in one event loop, and the connection that hears of them.

    Attributes:
        trouble: why the server cannot be reached at the moment, if it cannot.
    """

    def __init__(self, server: Server, decode: Decode = decode_data) -> None:
        self.trouble: StreamqError | None = None
        self._server = server
        self._decode = decode
        self._listener = server.listener("streamq-results")
        self._watches: dict[Place, Watch] = {}
        self._channels: dict[str, Place] = {}
        self._gates: dict[str, int] = {}
        """By the channel of a group: how many jobs of it are watched."""
        self._unseen: dict[tuple[str, str], dict[str, None]] = {}
        """By stream and group, the jobs that are to be looked at."""
        self._asked: dict[Place, list[asyncio.Future[Finished | str | Exception]]] = {}
        """Those who want to know what the next look at a job finds."""
        self.few = asyncio.Semaphore(FEW)
        """For all else that is asked: a thousand that wait open no thousand connections."""
        self._listening: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def end_of(self, place: Place, on_progress: OnProgress | None = None) -> Finished:
        """Wait for the end of a job.

        Raises:
            ServerUnavailable: the server could not be reached, and never was; one that was
                is waited for.
            StreamqError: the server does not permit it, or a key is of another type.
        """
        watch = self._watches.get(place) or self._begin(place)
        watch.waiting += 1
        if on_progress is not None:
            watch.on_progress.append(on_progress)
            if watch.progress is not None:
                _call(on_progress, watch.progress)
        try:
            end = await asyncio.shield(watch.end)
        finally:
            if on_progress is not None:
                watch.on_progress.remove(on_progress)
            watch.waiting -= 1
            if not watch.waiting:
                self._forget(place, watch)
        if isinstance(end, Exception):
            raise end
        return end

    async def look_once(self, place: Place) -> Finished | str:
        """What a job's record says now; a word about it while there is no end.

        Raises:
            StreamqError: the server does not permit it, or a key is of another type.
        """
        asked: asyncio.Future[Finished | str | Exception]
        asked = asyncio.get_running_loop().create_future()
        self._asked.setdefault(place, []).append(asked)
        self._look_at(place)
        answer = await asked
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        """Close the connection. Whoever still waits is told so."""
        self._fail(ServerUnavailable("the connection was closed while a job was waited for"))
        tasks = [task for task in (self._listening, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._listener.close()

    # -- beginning and ending -------------------------------------------------

    def _begin(self, place: Place) -> Watch:
        watch = self._watches[place] = Watch()
        keys = group_keys(place.stream, place.group)
        channel = keys.result(place.id)
        self._channels[channel] = place
        others = self._gates.get(keys.results, 0)
        self._gates[keys.results] = others + 1
        # The group's first: once the job's own is confirmed, both are there.
        self._listener.subscribe([channel] if others else [keys.results, channel])
        if self._listening is None:
            self._listening = self._start(self._listen())
        return watch

    def _forget(self, place: Place, watch: Watch) -> None:
        if self._watches.get(place) is not watch:
            return
        del self._watches[place]
        if place not in self._asked:
            self._unseen.get((place.stream, place.group), {}).pop(place.id, None)
        keys = group_keys(place.stream, place.group)
        channel = keys.result(place.id)
        del self._channels[channel]
        left = self._gates[keys.results] = self._gates[keys.results] - 1
        if not left:
            del self._gates[keys.results]
        self._listener.unsubscribe([channel] if left else [channel, keys.results])

    def _fail(self, error: Exception) -> None:
        for watch in self._watches.values():
            watch.finish(error)
        for place in list(self._asked):
            self._answer(place, error)

    def _answer(self, place: Place, answer: Finished | str | Exception) -> None:
        for asked in self._asked.pop(place, ()):
            if not asked.done():
                asked.set_result(answer)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):  # a defect: nobody is to wait for ever
            self._fail(error)

    # -- hearing --------------------------------------------------------------

    async def _listen(self) -> None:
        """Hear what is published, for as long as anybody waits and a little longer."""
        attempt, has_heard = 0, False
        try:
            while self._watches:
                try:
                    await self._listener.open()
                    self._listener.subscribe([*self._gates, *self._channels])
                    async for heard in self._heard():
                        self.trouble, attempt, has_heard = None, 0, True
                        self._take(heard)
                    return
                except ServerError as error:
                    if not error.passing or not has_heard:
                        raise
                    self.trouble = error
                    attempt += 1
                    await asyncio.sleep(BACKOFF.delay(attempt))
        except StreamqError as error:
            self._fail(error)
        finally:
            self._listener.close()
            self._listening = None

    async def _heard(self) -> Any:
        """What the connection hears, until nobody has waited for a while."""
        look_at = time.monotonic() + LOOK_AGAIN
        while True:
            news = await self._listener.hear()
            if not news and not self._watches:
                return
            for heard in news:
                yield heard
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_AGAIN
                for place in self._watches:
                    self._look_at(place)

    def _take(self, heard: Heard) -> None:
        place = self._channels.get(heard.channel)
        if place is None:
            return  # of a group, or forgotten since
        watch = self._watches[place]
        what, _, rest = (heard.message or "").partition(" ")
        if what == "at":
            done, _, note = rest.partition(" ")
            watch.tell(read_progress(done, note))
            return
        if what == "dead":
            watch.letter = rest
        elif what == "done":
            watch.told = True
        self._look_at(place)

    # -- looking --------------------------------------------------------------

    def _look_at(self, place: Place) -> None:
        self._unseen.setdefault((place.stream, place.group), {})[place.id] = None
        if self._looking is None:
            self._looking = self._start(self._look())

    async def _look(self) -> None:
        """Read the records of those that are to be looked at, many in one call."""
        attempt = 0
        try:
            while self._unseen:
                (stream, group), ids = next(iter(self._unseen.items()))
                chunk = list(ids)[:CHUNK]
                for id in chunk:
                    del ids[id]
                if not ids:
                    del self._unseen[stream, group]
                try:
                    await self._look_at_some(stream, group, chunk)
                    attempt = 0
                except StreamqError as error:
                    places = [Place(stream, group, id) for id in chunk]
                    if not (isinstance(error, ServerError) and error.passing):
                        self._give_up(places, error)
                        continue
                    self.trouble = error
                    attempt += 1
                    await asyncio.sleep(BACKOFF.delay(attempt))
                    for place in places:
                        if place in self._watches or place in self._asked:
                            self._look_at(place)
        finally:
            self._looking = None

    def _give_up(self, places: list[Place], error: StreamqError) -> None:
        for place in places:
            self._answer(place, error)
            if watch := self._watches.get(place):
                watch.finish(error)

    async def _look_at_some(self, stream: str, group: str, ids: list[str]) -> None:
        ends = await self._ends(stream, group, ids) if ids else []
        for id, end in zip(ids, ends, strict=True):
            place = Place(stream, group, id)
            self._answer(place, end)
            watch = self._watches.get(place)
            if watch is not None and isinstance(end, Finished):
                watch.finish(end)

    async def _ends(self, stream: str, group: str, ids: list[str]) -> list[Finished | str]:
        keys = group_keys(stream, group)
        rows: list[list[bytes]] = await self._server.run(lua.outcomes(keys, ids))
        without: dict[str, str] = {}
        for id, row in zip(ids, rows, strict=True):
            watch = self._watches.get(Place(stream, group, id))
            if row[0] == b"settled" and not (watch and watch.told):
                without[id] = watch.letter if watch else ""
        letters = await find_letters(self._server, keys, without) if without else {}
        return [
            self._end(Place(stream, group, id), row, letters.get(id))
            for id, row in zip(ids, rows, strict=True)
        ]

    def _end(self, place: Place, row: list[bytes], letter: Letter | None) -> Finished | str:
        """Out of a row of ``outcomes.lua``."""
        what, first, second = (*row, b"", b"")[:3]
        state = what.decode("utf-8", "backslashreplace")
        note = second.decode("utf-8", "backslashreplace")
        stream, group, id = place
        if state == "waiting":
            word = first.decode("utf-8", "backslashreplace")
            if watch := self._watches.get(place):
                watch.tell(read_progress(word, note))
            return word
        if state == "elsewhere":
            note = f"it is for the group {first.decode('utf-8', 'backslashreplace')} only"
            return Finished(id, stream, group, "skipped", note=note)
        if letter is not None:
            return Finished(id, stream, group, "dead", letter=letter)
        known: State = next((one for one in STATES if one == state), "settled")
        raw = first if known == "succeeded" else b""
        return Finished(id, stream, group, known, raw, note, decode=self._decode)


def _call(callback: OnProgress, progress: Progress) -> None:
    try:
        callback(progress)
    except Exception:
        _log.exception("on_progress failed for a job that is waited for")
