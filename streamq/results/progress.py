"""How far a job is, as whoever waits for it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
        done: the part that is done, 0 to 1.
        note: what the handler said of it, ``""`` for nothing.
    """

    done: float
    note: str


OnProgress = Callable[[Progress], object]
"""Called in the event loop whenever a job that is waited for has told how far it is."""


def read_progress(done: str, note: str) -> Progress | None:
    """Out of a record or a message; ``None`` for what is none."""
    try:
        part = float(done)
    except ValueError:
        return None
    return Progress(part, note) if 0 <= part <= 1 else None
