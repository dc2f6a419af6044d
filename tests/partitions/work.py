"""A worker, or somebody who lets the stream grow, as a process that may be killed.

``python -m tests.partitions.work worker URL LOG [burst]`` notes each job that it begins;
``python -m tests.partitions.work grow URL TO CALLS`` dies, as by SIGKILL, after so many calls.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from typing import Any

from streamq import App, Job, Partitioned, Settings
from streamq.partitions import grow
from streamq.server import Server
from streamq.worker import partitions

CONCURRENCY = 8


class Deadly(Server):
    """A server whose client is killed after some calls."""

    left = 0

    async def call(self, *args: Any) -> Any:
        self._count()
        return await super().call(*args)

    async def run(self, script: Any) -> Any:
        self._count()
        return await super().run(script)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def consume(url: str, log: str, *, burst: bool) -> None:
    """Note each job that is begun: key, number, partition."""
    partitions.EVERY, partitions.GATE = 0.3, 0.05
    noted = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    app = App(url, streams={"jobs": Partitioned(4)})
    group = app.group("g", order=True, retries=50)

    @group.handler("t")
    async def handle(job: Job, n: int) -> None:
        os.write(noted, f"{job.key} {n} {job.partition}\n".encode())
        await asyncio.sleep(random.random() * 0.01)

    async with app:
        settings = Settings(concurrency=CONCURRENCY, lease=0.5, result_ttl=0)
        await app.worker(settings=settings, burst=burst).run(signals=True)


async def let_grow(url: str, to: int, calls: int) -> None:
    """Let the stream grow, as far as that goes."""
    server = Deadly(url)
    server.left = calls
    await grow(server, "jobs", to)


if __name__ == "__main__":
    what, url, *rest = sys.argv[1:]
    if what == "worker":
        asyncio.run(consume(url, rest[0], burst=len(rest) > 1))
    else:
        asyncio.run(let_grow(url, int(rest[0]), int(rest[1])))
