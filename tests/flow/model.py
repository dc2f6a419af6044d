"""A group with rules in plain Python: who runs, who waits, and who is next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamq.wire.entry import id_key
from streamq.wire.keys import HELD, PARKED


@dataclass
class Entry:
    """One job of the group.

    Attributes:
        key: its order key; ``None`` waits for no other.
        holder: who has it; ``None`` while it is queued.
        has: whether it has its key.
        offered: whether it may run, and only has to be asked for.
    """

    id: str
    key: str | None
    holder: str | None = None
    count: int = 0
    has: bool = False
    offered: bool = False


class FlowModel:
    """Jobs of some keys, ``limit`` of each at once.

    Args:
        block: whether a job that waits for a retry keeps its key.
    """

    def __init__(self, limit: int, *, block: bool) -> None:
        self.limit, self.block = limit, block
        self.entries: dict[str, Entry] = {}
        self.ghosts: dict[str, str] = {}
        """Jobs that other hands have acknowledged and whose key is not free yet: ID and key."""

    def add(self, id: str, key: str | None) -> None:
        """A new job."""
        self.entries[id] = Entry(id, key)

    def admit(self, worker: str, retries: Sequence[str]) -> set[str]:
        """What a worker gets: offered jobs, due retries, new ones in the order of their IDs."""
        given = {e.id for e in self.entries.values() if e.offered}
        for id in retries:
            if self._may_run(self.entries[id]):
                given.add(id)
            else:
                self.entries[id].holder = HELD
        for entry in self._in_order(lambda e: e.holder is None):
            if self._may_run(entry):
                given.add(entry.id)
            else:
                entry.holder = HELD
        self._give(worker, given)
        return given

    def settle(self, worker: str, id: str, verdict: str) -> set[str]:
        """What becomes of a job, and who may run next."""
        entry = self.entries[id]
        free = True
        if verdict in ("done", "dead"):
            del self.entries[id]
        else:
            entry.holder = PARKED
            if verdict == "back":
                entry.count = max(entry.count - 1, 0)
            free = verdict == "retry" and not self.block
            entry.has = entry.has and not free
        given = self._serve(entry.key) if free else set()
        self._give(worker, given)
        return given

    def taken_over(self, worker: str, ids: Iterable[str]) -> None:
        """Stalled jobs go to another worker."""
        self._give(worker, ids)

    def gone(self, id: str) -> None:
        """Other hands have acknowledged a job, or made it a dead letter."""
        entry = self.entries.pop(id)
        if entry.has and entry.key is not None:
            self.ghosts[id] = entry.key

    def sweep(self) -> None:
        """Keys that nobody has are free again."""
        keys = set(self.ghosts.values())
        self.ghosts.clear()
        for key in keys:
            for id in self._serve(key):
                self.entries[id].offered = True

    def _may_run(self, entry: Entry) -> bool:
        if entry.key is None or entry.has:
            return True
        if self._busy(entry.key) >= self.limit or self._line(entry.key):
            return False
        entry.has = True
        return True

    def _serve(self, key: str | None) -> set[str]:
        given: set[str] = set()
        if key is not None:
            while self._busy(key) < self.limit and (line := self._line(key)):
                line[0].has = True
                given.add(line[0].id)
        return given

    def _give(self, worker: str, ids: Iterable[str]) -> None:
        for id in ids:
            entry = self.entries[id]
            entry.holder, entry.offered = worker, False
            entry.count += 1

    def _busy(self, key: str) -> int:
        ghosts = list(self.ghosts.values()).count(key)
        return sum(e.has for e in self.entries.values() if e.key == key) + ghosts

    def _line(self, key: str) -> list[Entry]:
        return [e for e in self._in_order(lambda e: e.holder == HELD and not e.has) if e.key == key]

    def _in_order(self, wanted: object) -> list[Entry]:
        assert callable(wanted)
        return sorted(filter(wanted, self.entries.values()), key=lambda e: id_key(e.id))
