"""A producer that goes on whatever happens, each job with an idempotency key of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

from streamq import App, StreamqError


class Writer:
    """Writes jobs at a steady pace, in a thread of its own, and writes again what failed.

    Args:
        replicas: that must have a job before it counts as written.
        data: of each job, beside its number.

    Attributes:
        jobs: the IDs of those that were acknowledged, in order, and when.
        troubles: the errors after which a job was written again.
    """

    def __init__(
        self, url: str, stream: str, *, replicas: int = 0, data: Mapping[str, Any] | None = None
    ) -> None:
        self.jobs: dict[str, float] = {}
        self.troubles: list[StreamqError] = []
        self._app = App(url, stream=stream, replicas=replicas, replica_timeout=1.0)
        self._data = data or {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()))

    def start(self) -> Writer:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> list[str]:
        """End, after the job that is being written; the IDs of all."""
        self._stop.set()
        self._thread.join()
        return list(self.jobs)

    async def _write(self) -> None:
        n = 0
        async with self._app as app:
            while not self._stop.is_set():
                n += 1
                while True:
                    try:
                        job = await app.produce("work", {"n": n, **self._data}, unique=f"job {n}")
                        break
                    except StreamqError as error:
                        self.troubles.append(error)
                        await asyncio.sleep(0.02)
                self.jobs[job.id] = time.monotonic()
                await asyncio.sleep(0.002)
