"""Jobs brought into the states that an operator asks about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import redis

from streamq import App, Job, Settings

GROUP = "images"


def add(client: redis.Redis, fields: dict[str, Any]) -> str:
    """Write an entry as a foreign producer would; its ID."""
    entry: Any = fields  # redis-py types a dict's keys more narrowly than it needs to
    return str(client.xadd("jobs", entry))


def entries(client: redis.Redis) -> dict[str, dict[str, str]]:
    """What is in the stream: fields by ID."""
    found: Any = client.xrange("jobs")
    return dict(found)


def read(client: redis.Redis, consumer: str, count: int = 1, group: str = GROUP) -> list[str]:
    """Deliver entries to a consumer that will never settle them; makes the group."""
    try:
        client.xgroup_create("jobs", group, "0", mkstream=True)
    except redis.ResponseError:
        pass
    reply: Any = client.xreadgroup(group, consumer, {"jobs": ">"}, count=count)
    return [job_id for job_id, _ in reply[0][1]] if reply else []


def make_idle(client: redis.Redis, job_id: str, seconds: float, group: str = GROUP) -> None:
    """Let an entry look as if its consumer had been silent about it for so long."""
    [row] = client.xpending_range("jobs", group, job_id, job_id, 1)
    holder = str(row["consumer"])
    client.xclaim("jobs", group, holder, 0, [job_id], idle=int(seconds * 1000), justid=True)


async def fail(server_url: str, *, retries: int, delay: float = 3600, jobs: int = 1) -> None:
    """Let the group's handler fail so many jobs once, with a server error of its own."""
    async with App(server_url) as app:

        @app.group(GROUP).handler("*", retries=retries)
        async def resize(job: Job) -> None:
            if retries == 0:
                raise RuntimeError("no such\x1b[31m file")
            from streamq import Retry

            raise Retry("disk full", delay=delay)

        await app.worker(max_jobs=jobs).run()


async def succeed(server_url: str, result: object = None, group: str = GROUP) -> None:
    """Let the group do all there is to do."""
    async with App(server_url) as app:

        @app.group(group).handler("*")
        async def resize(job: Job) -> object:
            return result

        await app.worker(burst=True).run()


@asynccontextmanager
async def running(server_url: str, jobs: int = 1) -> AsyncIterator[str]:
    """A worker that has so many jobs in hand; its consumer's name."""
    async with App(server_url) as app:
        begun, end = anyio.Semaphore(0), anyio.Event()

        @app.group(GROUP).handler("*")
        async def resize(job: Job) -> None:
            begun.release()
            await end.wait()

        worker = app.worker(max_jobs=jobs, settings=Settings(result_ttl=0))
        async with anyio.create_task_group() as background:
            background.start_soon(worker.run)
            for _ in range(jobs):
                await begun.acquire()
            yield worker.name
            end.set()
