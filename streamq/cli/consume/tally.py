"""What a worker has done, for its last line."""

from __future__ import annotations

import time
from collections import Counter

from streamq.cli.output import duration
from streamq.signals import DeadLettered, Settled, Signal
from streamq.verdict import Outcome, count_outcomes


class Tally:
    """Counts what became of the jobs, for the last line."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._counts: Counter[Outcome] = Counter()

    def __call__(self, event: Signal) -> None:
        """Take note of an event."""
        match event:
            case Settled(verdicts):
                self._counts.update(count_outcomes(verdicts))
            case DeadLettered():
                self._counts[Outcome.DEAD] += 1

    def add(self, outcome: Outcome, count: int) -> None:
        """Count more deliveries of one outcome."""
        self._counts[outcome] += count

    def __str__(self) -> str:
        counts = self._counts
        told = [
            f"{counts[Outcome.SUCCEEDED]:,} done",
            f"{counts[Outcome.RETRY]:,} retried",
            f"{counts[Outcome.DEAD]:,} dead",
        ]
        for outcome, words in (
            (Outcome.EXPIRED, "expired"),
            (Outcome.CANCELLED, "cancelled"),
            (Outcome.SKIPPED, "skipped"),
            (Outcome.RELEASED, "given back"),
        ):
            if counts[outcome]:
                told.append(f"{counts[outcome]:,} {words}")
        return f"{', '.join(told)} in {duration(time.monotonic() - self._started)}"
