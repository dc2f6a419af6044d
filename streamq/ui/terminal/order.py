"""What groups are sorted by."""

from __future__ import annotations

from enum import StrEnum


class Order(StrEnum):
    """Names from A on, numbers from the highest on."""

    NAME = "name"
    LAG = "lag"
    OLDEST = "oldest"
    DONE = "done"
    RUNNING = "running"
    RETRYING = "retrying"
    HELD = "held"
    STALLED = "stalled"
    DEAD = "dead"
