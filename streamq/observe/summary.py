"""Many messages that are alike, summed up once a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

FIRST = 20
"""Messages of a kind that are logged one by one in each second."""

EVERY = 1.0
"""Seconds between two sums."""


@dataclass
class _Kind:
    """The messages of one kind in one second."""

    since: float
    count: int = 0
    left_out: int = 0


class Summary(logging.Filter):
    """Lets the first messages of a kind through, and tells how many more there were.

    A kind is what a message says before its arguments are put in. At DEBUG all go through.

    Args:
        logger: whose messages these are; it logs the sums.
        clock: tells the time in seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._logger = logger
        self._clock = clock
        self._kinds: dict[tuple[int, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this message is logged by itself."""
        if self._logger.isEnabledFor(logging.DEBUG) or hasattr(record, "sum"):
            return True
        key, now = (record.levelno, str(record.msg)), self._clock()
        kind = self._kinds.get(key)
        if kind is None or now - kind.since >= EVERY:
            self._sum_up(key)
            kind = self._kinds[key] = _Kind(now)
        kind.count += 1
        if kind.count <= FIRST:
            return True
        kind.left_out += 1
        if kind.left_out == 1:
            self._sum_up_in_time(key)
        return False

    def _sum_up_in_time(self, key: tuple[int, str]) -> None:
        try:
            asyncio.get_running_loop().call_later(EVERY, self._sum_up, key)
        except RuntimeError:
            pass  # no event loop in this thread: the next message of the kind brings the sum

    def _sum_up(self, key: tuple[int, str]) -> None:
        kind = self._kinds.pop(key, None)
        if kind is not None and kind.left_out:
            level, message = key
            self._logger.log(
                level, "... and %s more in %.0f s: %s",
                f"{kind.left_out:,}", EVERY, message, extra={"sum": True},
            )  # fmt: skip
