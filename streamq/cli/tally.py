"""What a worker has done, for its last line."""

from __future__ import annotations

import time
from collections import Counter

from streamq.cli.common import duration
from streamq.events import Buried, Event, Outcome, Settled


class Tally:
    """Counts what became of the jobs, for the last line."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case Settled(verdicts):
                self._counts.update(verdict.outcome.value for verdict in verdicts)
            case Buried():
                self._counts[Outcome.DEAD.value] += 1

    def add(self, outcome: Outcome, count: int) -> None:
        """Count more deliveries of one outcome."""
        self._counts[outcome.value] += count

    def __str__(self) -> str:
        counts = self._counts
        told = [
            f"{counts[Outcome.SUCCEEDED.value]:,} done",
            f"{counts[Outcome.RETRY.value]:,} retried",
            f"{counts[Outcome.DEAD.value]:,} dead",
        ]
        for outcome, words in (
            (Outcome.EXPIRED, "expired"),
            (Outcome.SKIPPED, "skipped"),
            (Outcome.RELEASED, "given back"),
        ):
            if counts[outcome.value]:
                told.append(f"{counts[outcome.value]:,} {words}")
        return f"{', '.join(told)} in {duration(time.monotonic() - self._started)}"
