"""Running a worker inside a test, and waiting for what it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from streamq import App, Backoff, Settings, Worker
from streamq.signals import Settled, Signal
from streamq.verdict import Outcome, Verdict
from tests.waiting import PATIENCE, eventually

AT_ONCE = Backoff(base=0, cap=0)
"""Retries without a wait."""

QUIET = Settings(result_ttl=0)
"""No records, so that nothing but the stream is left."""

E = TypeVar("E")


class Watch:
    """An observer that remembers what it was told, and wakes those who wait for it."""

    def __init__(self) -> None:
        self.events: list[Signal] = []
        self._news = asyncio.Event()

    def __call__(self, event: Signal) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type[E]) -> list[E]:
        """All events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def verdicts(self) -> list[Verdict]:
        """All verdicts that the server has applied, in order."""
        return [verdict for event in self.of(Settled) for verdict in event.verdicts]

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each delivery, in order."""
        return [verdict.outcome for verdict in self.verdicts]

    async def until(self, done: Callable[[], Any]) -> None:
        """Wait until ``done()``, looked at after every event."""
        async with asyncio.timeout(PATIENCE):
            while not done():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def running(app: App, **options: Any) -> AsyncIterator[Worker]:
    """A worker that works meanwhile, and is stopped in good order at the end."""
    worker = app.worker(**options)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(PATIENCE):
            await task


async def drain(app: App, **options: Any) -> Watch:
    """Work until nothing is left, and return what happened."""
    watch = Watch()
    options = {"settings": QUIET, "burst": True, **options}
    options["observers"] = [watch, *options.get("observers", ())]
    async with asyncio.timeout(PATIENCE):
        await app.worker(**options).run()
    return watch


async def together(waiting: asyncio.Event) -> None:
    """Wait for an event, but not for ever."""
    async with asyncio.timeout(PATIENCE):
        await waiting.wait()


__all__ = [
    "AT_ONCE", "PATIENCE", "QUIET", "Outcome", "Watch", "drain", "eventually", "running",
    "together",
]  # fmt: skip
