"""Calls one after the other, each timed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

CALLS = 2_000
"""The most calls, for :data:`CALL_FOR` seconds."""

CALL_FOR = 0.7


async def one_by_one(
    call: Callable[[], Awaitable[Any]], most: int, *, unless: Callable[[], bool] = lambda: False
) -> list[float]:
    """Seconds of each of several calls, one after the other."""
    seconds: list[float] = []
    clock = time.perf_counter
    now = clock()
    end = now + CALL_FOR
    while len(seconds) < most and now < end and not unless():
        await call()
        before, now = now, clock()
        seconds.append(now - before)
    return seconds
