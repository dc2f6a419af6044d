"""Periodic jobs while workers are killed: each tick is one job, and none is lost."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import redis

from streamq import App
from tests.lua.support import raw_entries
from tests.servers import RedisServer
from tests.waiting import eventually

WORKER = """
import sys
from streamq import App

app = App(sys.argv[1])

@app.every(1, type="often", missed="all")
async def often() -> None: ...

app.run()
"""


def ticks(client: redis.Redis) -> list[int]:
    """Of all jobs that were ever written: a group that nobody reads keeps them."""
    return [int(dict(fields)["tick"]) for _, fields in raw_entries(client, "jobs")]


def has_more(client: redis.Redis, count: int) -> bool:
    return len(ticks(client)) > count


def start(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, url], stderr=subprocess.DEVNULL)


@pytest.mark.anyio
async def test_killed_workers_lose_and_double_no_tick(
    server: RedisServer, client: redis.Redis
) -> None:
    client.xgroup_create("jobs", "reads-nothing", "0", mkstream=True)
    for _ in range(3):
        workers = [start(server.unix_url) for _ in range(2)]
        try:
            await eventually(partial(has_more, client, len(ticks(client))))
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    async with App(server.unix_url) as app:
        last = (await app.admin.schedules.get("jobs", "often")).last_tick
    written = ticks(client)
    assert last is not None
    assert written == list(range(written[0], int(last * 1000) + 1000, 1000))
