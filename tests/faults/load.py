"""The load of a storm: jobs of all kinds at a steady pace, and what became of writing them."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass, field
from typing import Any

import anyio

from streamq import App, StreamqError
from streamq.errors import OutcomeUnknown

LEASE = 0.5
"""Seconds of lease that a storm's workers have; some jobs take longer."""

PATIENCE = 2.0
"""Seconds after which the producer gives up: streamq itself would wait longer."""


@dataclass
class Load:
    """What the producer did.

    Attributes:
        jobs: IDs of the jobs that were acknowledged.
        once: numbers of the jobs that must exist exactly once, whatever the network did.
        unknown: how many produces ended without their outcome being known.
        failed: how many the server refused or did not get.
    """

    jobs: list[str] = field(default_factory=list)
    once: list[int] = field(default_factory=list)
    unknown: int = 0
    failed: int = 0


class Producer:
    """Writes jobs at a steady pace, in a thread of its own, through the proxy."""

    offload: int | None = None
    """Bytes above which data is kept outside the stream."""

    def __init__(self, url: str, seed: int, rate: float) -> None:
        self.load = Load()
        self._url = url
        self._random = random.Random(seed)
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._produce()))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the job that is being written."""
        self._stop.set()
        self._thread.join()

    async def _produce(self) -> None:
        n = 0
        async with App(self._url, offload=self.offload) as app:
            while not self._stop.is_set():
                n += 1
                try:
                    with anyio.fail_after(PATIENCE):
                        await self._write(app, n)
                except (OutcomeUnknown, TimeoutError):
                    self.load.unknown += 1
                except StreamqError:
                    self.load.failed += 1
                    await asyncio.sleep(0.02)
                await asyncio.sleep(self._random.expovariate(self._rate))
            await self._written(app)

    async def _written(self, app: App) -> None:
        """Called when nothing more is to be written."""

    async def _write(self, app: App, n: int) -> None:
        type, data = self._job(n)
        kind = self._random.random()
        if kind < 0.1:
            self.load.jobs.append((await app.produce(type, data, unique=f"job {n}")).id)
            self.load.once.append(n)
        elif kind < 0.2:
            await app.produce(type, data, delay=self._random.random())
            self.load.once.append(n)
        else:
            self.load.jobs.append((await app.produce(type, data)).id)

    def _job(self, n: int) -> tuple[str, dict[str, Any]]:
        chance = self._random.random()
        for share, type, data in MIX:
            chance -= share
            if chance < 0:
                return type, {"n": n, **data}
        return "work", {"n": n}


MIX: list[tuple[float, str, dict[str, Any]]] = [
    (0.0015, "work", {"do": "kill"}),
    (0.0015, "work", {"do": "leave", "until": 1}),
    (0.0015, "work", {"do": "block", "seconds": 2 * LEASE, "until": 1}),
    (0.0015, "bounded", {"do": "stubborn", "until": 1}),
    (0.002, "work", {"do": "cancelled", "until": 1}),
    (0.002, "work", {"do": "exit", "until": 1}),
    (0.002, "process", {"do": "kill", "until": 1}),
    (0.01, "bounded", {"do": "sleep", "seconds": 5.0, "until": 1}),
    (0.01, "work", {"do": "dead"}),
    (0.01, "work", {"do": "fail"}),
    (0.05, "work", {"do": "fail", "until": 1}),
    (0.05, "thread", {}),
    (0.05, "batch", {}),
    (0.20, "work", {"do": "sleep", "seconds": 0.05}),
]
"""Share of the load, type and data of the jobs that are not plain ones."""
