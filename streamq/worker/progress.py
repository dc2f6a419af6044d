"""How far running jobs are: gathered here, and sent once a second at most.

Nothing of it exists for jobs that do not tell: the first one that does starts a task, which ends
when nothing was told for a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from streamq import lua
from streamq.errors import StreamqError
from streamq.job import REPORTERS
from streamq.lua import Arg
from streamq.server.link import Link
from streamq.verdict import Verdict
from streamq.wire.keys import GroupKeys
from streamq.worker.inflight import InFlight

EVERY = 1.0
"""Seconds between two calls."""

CHUNK = 250
"""Jobs in one call."""

KEEP = 24 * 3600 * 1000
"""Milliseconds for which a note is kept whose job is never settled."""


class Note(NamedTuple):
    """How far a job was at one of its deliveries."""

    attempt: int
    done: float
    text: str


class ProgressNotes:
    """What the jobs of one consumer tell of their progress.

    Attributes:
        told: whether any of those in flight has told anything.

    Args:
        link: the connection for the calls; closed by the owner.
    """

    def __init__(self, keys: GroupKeys, consumer: str, *, link: Link, in_flight: InFlight) -> None:
        self.told = False
        self._keys = keys
        self._consumer = consumer
        self._link = link
        self._in_flight = in_flight
        self._unsent: dict[str, Note] = {}
        self._sent: dict[str, int] = {}
        """Those whose records have a note, or are getting one, with their delivery counts."""
        self._place = (keys.stream, keys.group, consumer)
        self._sending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Let jobs tell."""
        self._loop = asyncio.get_running_loop()
        REPORTERS[self._place] = self.note

    async def close(self) -> None:
        """Let no job tell anything more."""
        REPORTERS.pop(self._place, None)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def note(self, id: str, attempt: int, done: float, text: str) -> None:
        """Take a note, in whatever thread."""
        self.told = True
        self._unsent[id] = Note(attempt, done, text)
        if not self._sending and self._loop is not None:
            self._sending = True
            try:
                self._loop.call_soon_threadsafe(self._begin)
            except RuntimeError:
                pass  # a thread that outlives its event loop

    def over(self, batch: Sequence[Verdict]) -> set[str]:
        """Those of some jobs that have a note; what they have told and was not sent is dropped."""
        noted = set()
        for verdict in batch:
            id = verdict.job.id
            self._unsent.pop(id, None)
            if id in self._sent:
                noted.add(id)
        return noted

    def settled(self, deliveries: Sequence[tuple[str, int]]) -> None:
        """Forget jobs that are settled: pairs of entry ID and delivery count."""
        for id, attempt in deliveries:
            if self._sent.get(id) == attempt:
                del self._sent[id]
        self.told = bool(self._unsent or self._sent)

    def _begin(self) -> None:
        if self._place in REPORTERS:
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while True:
            await self._send_some()
            await asyncio.sleep(EVERY)
            if not self._unsent:
                self._sending = False
                # A thread may have told something just before, and found it still true.
                if not self._unsent:
                    return
                self._sending = True

    async def _send_some(self) -> None:
        wanted: dict[str, Note] = {}
        for id in list(self._unsent)[:CHUNK]:
            note = self._unsent.pop(id, None)
            if note is not None and self._in_flight.holds(id, note.attempt):
                wanted[id] = note
        if not wanted:
            return
        held = {id: count for id, count in self._sent.items() if self._in_flight.holds(id, count)}
        self._sent = held | {id: note.attempt for id, note in wanted.items()}
        pairs: list[Arg] = []
        notes: list[Arg] = []
        for id, note in wanted.items():
            pairs += (id, note.attempt)
            notes += (round(note.done, 4), note.text)
        try:
            await self._link.run(
                lua.note_progress(self._keys, self._consumer, KEEP, [*wanted], pairs, notes)
            )
        except StreamqError:
            # It is not worth a word: whatever is wrong, the other stages tell. Once more later.
            for id, note in wanted.items():
                if self._in_flight.holds(id, note.attempt):
                    self._unsent.setdefault(id, note)
