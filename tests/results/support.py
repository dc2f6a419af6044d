"""Waiting for results in a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis

from streamq import App, Dead, Job, Settings
from tests.waiting import eventually
from tests.worker.support import running

PATIENCE = 10.0

GATE = "{jobs}:group:images:results"


def waiting(client: redis.Redis, group: str = "images") -> int:
    """How many connections wait for results of a group."""
    [(_, count)] = client.pubsub_shardnumsub(f"{{jobs}}:group:{group}:results")
    return int(count)


def heard(client: redis.Redis) -> int:
    """How many jobs are waited for, by all connections together."""
    channels: Any = client.pubsub_shardchannels("*:results:*")
    return len(channels)


@asynccontextmanager
async def waited_for(client: redis.Redis, work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """Wait for a job's end meanwhile; once in the block, the server knows of it."""
    before = heard(client)
    task = asyncio.ensure_future(work)
    try:
        await eventually(lambda: task.done() or heard(client) > before)
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def images(app: App) -> None:
    """A group with a handler for every way in which a job can end."""

    @app.group("images", retries=0).handler("*")
    async def handle(job: Job) -> Any:
        if job.type == "dead":
            raise Dead("no good")
        if job.type == "fails":
            raise ValueError("broken")
        if job.type == "large":
            return "x" * 100_000
        if job.type == "odd":
            return float("nan")
        return job.data


__all__ = ["GATE", "PATIENCE", "Settings", "heard", "images", "running", "waited_for", "waiting"]
