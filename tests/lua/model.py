"""A stream with its groups in plain Python: what the scripts are meant to do.

Time is reduced to two questions: is a parked entry due, has a lease run out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streamq.wire.entry import id_key
from streamq.wire.keys import PARKED

ANYONE = ""
"""An entry that is for every group."""


UNSEEN = 10
"""Deliveries that an entry for another group may have."""


@dataclass
class Held:
    """One line of a pending entries list."""

    consumer: str
    count: int
    stalled: bool = False


@dataclass
class Letter:
    """A dead letter."""

    entry: str
    count: int
    consumer: str
    reason: str
    kept: bool
    """Whether it has the entry's own fields: these were not deleted before it died."""
    target: str
    origin: str


@dataclass
class Entry:
    """What an entry is: for whom, and what it was before."""

    target: str = ANYONE
    origin: str = ""


@dataclass
class ModelGroup:
    """One group's state."""

    born: tuple[int, int]
    """It gets the entries after this ID."""
    last: tuple[int, int]
    held: dict[str, Held] = field(default_factory=dict)
    retry: dict[str, bool] = field(default_factory=dict)
    """Entry ID → whether its retry time has come."""
    letters: list[Letter] = field(default_factory=list)
    records: dict[str, str] = field(default_factory=dict)
    """Entry ID → ``succeeded``, or ``failed`` while it is being retried."""
    settled: dict[str, str] = field(default_factory=dict)
    """The ledger: entry ID → how its time in this group ended."""

    def end(self, id: str, how: str) -> None:
        """Note that the group is done with an entry, for the first and only time."""
        assert id not in self.settled, f"{id} was settled twice: {self.settled[id]}, then {how}"
        self.settled[id] = how
        self.held.pop(id, None)


class Model:
    """The stream, its groups, and one operation for each script."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.groups: dict[str, ModelGroup] = {}
        self.events = 0

    # -- what a plain client does ---------------------------------------------

    def add(self, id: str, target: str = ANYONE, origin: str = "") -> None:
        self.entries[id] = Entry(target, origin)

    def create(self, group: str, last: tuple[int, int]) -> None:
        self.groups[group] = ModelGroup(born=last, last=last)

    def read(self, group: str, consumer: str, count: int) -> list[str]:
        state = self.groups[group]
        new = [id for id in self.entries if id_key(id) > state.last][:count]
        for id in new:
            state.held[id] = Held(consumer, 1)
            state.last = id_key(id)
        return new

    def claim_by_hand(self, group: str, id: str, consumer: str) -> None:
        state = self.groups[group]
        if self._claim(state, id, consumer):
            state.held[id].count += 1

    # -- the scripts ----------------------------------------------------------

    def settle(
        self, group: str, consumer: str, verdicts: Sequence[tuple[str, int, str]]
    ) -> dict[str, str]:
        state = self.groups[group]
        refused: dict[str, str] = {}
        acked: list[str] = []
        for id, count, verdict in verdicts:
            line = state.held.get(id)
            if line is None:
                refused[id] = ""
                continue
            if (line.consumer, line.count) != (consumer, count):
                refused[id] = "=" + line.consumer
                continue
            if verdict in ("retry", "later"):
                if self._park(state, id, due=verdict == "retry"):
                    state.records[id] = "failed"
                else:
                    refused[id] = "!deleted"
            elif verdict == "back":
                if not self._park(state, id, due=True, count=count - 1):
                    refused[id] = "!deleted"
            elif verdict == "dead":
                self._dead_letter(state, id, count, consumer, "gave up")
                acked.append(id)
            elif verdict.startswith("skip "):
                if verdict.removeprefix("skip ") not in self.groups and id in self.entries:
                    self._dead_letter(state, id, count, consumer, "no such group", drop=False)
                    del self.entries[id]
                acked.append(id)
            else:
                assert verdict in ("done", "record", "emit")
                if verdict == "record":
                    state.records[id] = "succeeded"
                self.events += verdict == "emit"
                acked.append(id)
        for id in acked:
            state.end(id, "settled")
        self._remove(acked)
        return refused

    def extend(
        self, group: str, consumer: str, pairs: Iterable[tuple[str, int]]
    ) -> tuple[set[str], set[str]]:
        state = self.groups[group]
        lost, deleted = set(), set()
        for id, count in pairs:
            line = state.held.get(id)
            if line is None or (line.consumer, line.count) != (consumer, count):
                lost.add(id)
            elif not self._claim(state, id, consumer):
                deleted.add(id)
        return lost, deleted

    def due(self, group: str, consumer: str) -> tuple[dict[str, int], set[str]]:
        state = self.groups[group]
        claimed: dict[str, int] = {}
        deleted: set[str] = set()
        for id in [id for id, due in state.retry.items() if due]:
            del state.retry[id]
            line = state.held.get(id)
            if line is None or line.consumer != PARKED:
                continue
            if self._claim(state, id, consumer):
                state.held[id].count += 1
                claimed[id] = state.held[id].count
            else:
                deleted.add(id)
        return claimed, deleted

    def reclaim(
        self, group: str, consumer: str, most: int, allowed: int, last_chances: int
    ) -> tuple[list[tuple[str, int]], list[str], list[str], int]:
        state = self.groups[group]
        claimed: list[tuple[str, int]] = []
        dead: list[str] = []
        deleted: list[str] = []
        left, waiting = most, False
        by_consumer: dict[str, list[str]] = {}
        for id in sorted(state.held, key=id_key):
            by_consumer.setdefault(state.held[id].consumer, []).append(id)
        for name in sorted(by_consumer):
            if name == PARKED:
                if len(by_consumer[name]) > len(state.retry):
                    for id in by_consumer[name]:
                        state.retry.setdefault(id, True)
                continue
            looked_at, start = 0, 0
            stalled = [id for id in by_consumer[name] if state.held[id].stalled]
            while left > 0 and looked_at < 2 * most:
                page = stalled[start : start + left]
                full = len(page) == left
                for id in page:
                    line = state.held[id]
                    target = self.entries.get(id, Entry()).target
                    limit = allowed if target in (ANYONE, group) else UNSEEN
                    if id not in self.entries:
                        state.end(id, "deleted")
                        deleted.append(id)
                    elif line.count + 1 == limit and last_chances == 0:
                        waiting = True
                        continue
                    elif line.count >= limit:
                        self._dead_letter(
                            state, id, line.count, line.consumer, "worker lost", drop=False
                        )
                        state.end(id, "worker lost")
                        dead.append(id)
                    else:
                        last_chances -= line.count + 1 == limit
                        self._claim(state, id, consumer)
                        line.count += 1
                        claimed.append((id, line.count))
                    left -= 1
                start += len(page)
                looked_at += len(page)
                if not full:
                    break
        self._remove(dead)
        return claimed, dead, deleted, int(left == 0 or waiting)

    def release(self, group: str, consumer: str, known: Iterable[str]) -> tuple[int, int]:
        state = self.groups[group]
        mine = [id for id, line in state.held.items() if line.consumer == consumer]
        spared = set(known)
        released = [
            self._park(state, id, due=True, count=max(state.held[id].count - 1, 0))
            for id in mine
            if id not in spared
        ]
        return sum(released), len(mine)

    def retire(self, group: str, consumer: str) -> int:
        return int(all(line.consumer != consumer for line in self.groups[group].held.values()))

    def retry_now(self, group: str, ids: Iterable[str]) -> list[int]:
        state = self.groups[group]
        answers = []
        for id in ids:
            line = state.held.get(id)
            if line is None:
                answers.append(-1)
            elif line.consumer != PARKED and not line.stalled:
                answers.append(0)
            else:
                answers.append(1 if self._park(state, id, due=True) else -2)
        return answers

    def to_dead_letters(self, group: str, ids: Iterable[str]) -> list[int]:
        state = self.groups[group]
        answers, acked = [], []
        for id in ids:
            line = state.held.get(id)
            answers.append(-1 if line is None else 1)
            if line is not None:
                self._dead_letter(state, id, line.count, line.consumer, "by hand")
                state.retry.pop(id, None)
                state.end(id, "killed")
                acked.append(id)
        self._remove(acked)
        return answers

    def redrive(self, group: str, position: int) -> Letter | None:
        """Take a letter out, and say what its new entry is; ``None`` when it is empty."""
        state = self.groups[group]
        if not state.letters[position].kept:
            return None
        return state.letters.pop(position)

    def prune(self) -> int:
        if not self.groups:
            return 0
        return self._remove(list(self.entries))

    # -- pieces ---------------------------------------------------------------

    def _claim(self, state: ModelGroup, id: str, consumer: str) -> bool:
        """XCLAIM: the server drops what is no longer in the stream."""
        if id not in self.entries:
            state.end(id, "deleted")
            return False
        line = state.held[id]
        line.consumer, line.stalled = consumer, False
        return True

    def _park(self, state: ModelGroup, id: str, *, due: bool, count: int | None = None) -> bool:
        if not self._claim(state, id, PARKED):
            return False
        if count is not None:
            state.held[id].count = count
        state.retry[id] = due
        return True

    def _dead_letter(
        self, state: ModelGroup, id: str, count: int, consumer: str, reason: str,
        *, drop: bool = True,
    ) -> None:  # fmt: skip
        entry = self.entries.get(id)
        target, origin = (entry.target, entry.origin) if entry else (ANYONE, "")
        state.letters.append(
            Letter(id, count, consumer, reason, entry is not None, target, origin or id)
        )
        if drop:
            state.records.pop(id, None)

    def _remove(self, ids: Iterable[str]) -> int:
        """Delete those of the entries that every group has been given and holds no more."""
        removable = [
            id
            for id in ids
            if id in self.entries
            and all(
                id_key(id) <= state.last and id not in state.held for state in self.groups.values()
            )
        ]
        for id in removable:
            del self.entries[id]
        return len(removable)
