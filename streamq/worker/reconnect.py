"""A lost server is normal life: one policy for every stage of a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streamq.errors import StreamqError
from streamq.retry import Backoff
from streamq.signals import ServerBack, ServerLost, Signals

T = TypeVar("T")

BACKOFF = Backoff(base=0.05, factor=2, cap=0.8)
"""So that a worker resumes within a second of the server's return."""


class Reconnect:
    """Calls the server until it answers, and tells once that it went and came back."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._down: set[str] = set()
        self._since = 0.0

    async def persist(
        self,
        stage: str,
        operation: Callable[[], Awaitable[T]],
        *,
        stop: asyncio.Event | None = None,
    ) -> T:
        """Repeat ``operation`` until it succeeds, and return what it returned.

        Args:
            stage: whose call it is; the server is back when every stage has succeeded.
            stop: once set, an error is raised to the caller instead.
        """
        attempt = 0
        while True:
            try:
                result = await operation()
            except StreamqError as error:
                if stop is not None and stop.is_set():
                    raise
                self._lost(stage, error)
                attempt += 1
                await _pause(BACKOFF.delay(attempt), stop)
            else:
                if self._down:
                    self._back(stage)
                return result

    def _lost(self, stage: str, error: StreamqError) -> None:
        if not self._down:
            self._since = time.monotonic()
            self._signals.send(ServerLost(error))
        self._down.add(stage)

    def _back(self, stage: str) -> None:
        if stage in self._down:
            self._down.discard(stage)
            if not self._down:
                self._signals.send(ServerBack(time.monotonic() - self._since))


async def _pause(seconds: float, stop: asyncio.Event | None) -> None:
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
