"""What the workers did, in their own words, which survive them.

Every worker process writes lines to one FIFO. A write of at most ``PIPE_BUF`` bytes is
atomic and is in the kernel's hands at once, so that the words of a process that is
killed a moment later still arrive, and the order of the lines is the order of events.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 20.0
"""Seconds after which an event that does not come fails the test."""


class Delivery(NamedTuple):
    """One delivery of one job to one group."""

    group: str
    job: str
    attempt: int


class Begin(NamedTuple):
    """A handler was entered."""

    delivery: Delivery
    consumer: str
    pid: int


class Step(NamedTuple):
    """A handler was entered, or left.

    Attributes:
        what: ``begin``, ``end``, or ``lost`` for a worker that was killed or stopped just now; of
            that only the process is known.
    """

    what: str
    delivery: Delivery
    consumer: str
    pid: int
    key: str | None = None


class Recorder:
    """Reads the FIFO, and lets a test wait for what it wants to see.

    Attributes:
        begins: every handler entry, in order.
        steps: the same with the ends of those whose jobs have a key, and when workers were lost.
        outcomes: the verdicts that workers believe to be applied: outcome → deliveries.
        refused: the verdicts that the server refused.
        events: how often each kind of event was told.
        notes: the events other than settlements, in order, as they were written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begins: list[Begin] = []
        self.steps: list[Step] = []
        self.outcomes: dict[str, list[Delivery]] = defaultdict(list)
        self.refused: list[Delivery] = []
        self.events: Counter[str] = Counter()
        self.notes: list[Mapping[str, Any]] = []
        self.settled_at: list[float] = []
        """Monotonic times at which batches were settled."""
        self.context: Callable[[], str] = str
        """What else to show when a wait was in vain."""
        self._changed = threading.Condition()
        os.mkfifo(path)
        # Opened for both, so that the last writer's leaving is not the end.
        self._fd = os.open(path, os.O_RDWR)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def note_lost(self, pid: int) -> None:
        """Take note, in its place among the workers' words, that one was killed or stopped."""
        os.write(self._fd, json.dumps({"what": "lost", "pid": pid}).encode() + b"\n")

    def close(self) -> None:
        """Read no more."""
        os.write(self._fd, b"\n")
        self._thread.join()
        os.close(self._fd)

    def wait(
        self, condition: Callable[[Recorder], object], what: str, seconds: float = PATIENCE
    ) -> None:
        """Wait until ``condition`` holds; fail the test if that takes too long."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), seconds):
                raise AssertionError(f"waited {seconds:g} s in vain for {what}: {self.summary()}")

    def wait_begun(self, count: int) -> None:
        """Wait until handlers have been entered ``count`` times."""
        self.wait(lambda _: len(self.begins) >= count, f"{count} handler entries")

    def wait_event(self, kind: str, count: int = 1) -> None:
        """Wait until an event has been told ``count`` times."""
        self.wait(lambda _: self.events[kind] >= count, f"{count} times {kind!r}")

    def wait_settled(self, count: int, outcome: str = "succeeded") -> None:
        """Wait until ``count`` verdicts of an outcome have been applied."""
        self.wait(lambda _: len(self.outcomes[outcome]) >= count, f"{count} {outcome}")

    def told(self, kind: str) -> list[Mapping[str, Any]]:
        """The events of one kind."""
        return [note for note in self.notes if note["what"] == kind]

    def attempts(self, job: str, group: str | None = None) -> list[int]:
        """The delivery numbers at which a job's handler was entered, in order."""
        return [
            begin.delivery.attempt
            for begin in list(self.begins)
            if begin.delivery.job == job and group in (None, begin.delivery.group)
        ]

    def summary(self) -> str:
        """What has been seen, and what the workers have logged."""
        outcomes = {name: len(found) for name, found in self.outcomes.items()}
        seen = f"{len(self.begins)} begun, {outcomes}, {len(self.refused)} refused"
        return f"{seen}, {dict(self.events)}{self.context()}"

    def _read(self) -> None:
        with os.fdopen(os.dup(self._fd), "rb") as lines:
            for line in lines:
                if line == b"\n":
                    return
                with self._changed:
                    self._take(json.loads(line))
                    self._changed.notify_all()

    def _take(self, note: Mapping[str, Any]) -> None:
        what = note["what"]
        self.events[what] += 1
        if what in ("begin", "end"):
            delivery = Delivery(note["group"], note["job"], note["attempt"])
            consumer, pid = note["consumer"], note["pid"]
            self.steps.append(Step(what, delivery, consumer, pid, note.get("key")))
            if what == "begin":
                self.begins.append(Begin(delivery, consumer, pid))
        elif what == "lost":
            self.steps.append(Step(what, Delivery("", "", 0), "", note["pid"]))
        elif what == "settled":
            self.settled_at.append(note["at"])
            found = self.outcomes[note["outcome"]]
            found += (Delivery(note["group"], job, attempt) for job, attempt in note["jobs"])
        else:
            if what == "refused":
                self.refused.append(Delivery(note["group"], note["job"], note["attempt"]))
            self.notes.append(note)


class Pen:
    """A worker's end of the FIFO."""

    LONGEST = 4000  # below PIPE_BUF, so that each write is atomic

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND)

    def write(self, what: str, **fields: Any) -> None:
        """Write one event."""
        line = json.dumps({"what": what, **fields}).encode() + b"\n"
        assert len(line) <= self.LONGEST
        os.write(self._fd, line)

    def write_many(self, what: str, name: str, values: Iterable[Any], **fields: Any) -> None:
        """Write an event with a list as long as it likes, in as many lines as that takes."""
        values = list(values)
        for start in range(0, len(values), 80):
            self.write(what, **fields, **{name: values[start : start + 80]})
