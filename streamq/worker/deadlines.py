"""Deadlines of many runners, watched with a single timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextvars import copy_context
from typing import Generic, Protocol, TypeVar

NEVER = float("inf")


class HasDeadline(Protocol):
    """Whatever must be done by a time of the event loop's clock."""

    deadline: float


T = TypeVar("T", bound=HasDeadline)


class Deadlines(Generic[T]):
    """Calls ``missed`` for each item whose deadline has passed.

    Setting a deadline costs a comparison: the timer is moved only for one that comes
    before all others, and finds the next one when it rings.

    Args:
        items: all there are; may change at any time.
        missed: called once, the last item first where they have an order; it must move the
            item's deadline, or take it out.
    """

    def __init__(self, items: Collection[T], missed: Callable[[T], None]) -> None:
        self._items = items
        self._missed = missed
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = NEVER
        self._context = copy_context()  # or it would ring in that of some job

    def set(self, item: T, seconds: float) -> None:
        """Let the item's deadline be ``seconds`` from now."""
        loop = asyncio.get_running_loop()
        item.deadline = loop.time() + seconds
        if item.deadline < self._rings_at:
            self._ring_at(item.deadline)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, NEVER

    def _ring_at(self, when: float) -> None:
        self.stop()
        self._rings_at = when
        self._timer = asyncio.get_running_loop().call_at(when, self._ring, context=self._context)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, NEVER
        now = asyncio.get_running_loop().time()
        for item in reversed(list(self._items)):
            if item.deadline <= now:
                self._missed(item)
        earliest = min((item.deadline for item in self._items), default=NEVER)
        if earliest < self._rings_at:
            self._ring_at(earliest)
