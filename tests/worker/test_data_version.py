"""A worker that meets what a newer streamq writes: it stops, and says why."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Settings
from streamq.errors import DataTooNew
from streamq.signals import Stopping
from streamq.wire.keys import stream_keys
from streamq.wire.version import DATA_VERSION
from tests.servers import RedisServer
from tests.worker.support import QUIET, Watch, drain

pytestmark = pytest.mark.anyio

SETTINGS = stream_keys("jobs").settings
NEWER = DATA_VERSION + 1


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look after the settings all the time."""
    monkeypatch.setattr("streamq.worker.sources.upkeep.EVERY", 0.01)


async def test_it_does_not_start(app: App, client: redis.Redis) -> None:
    app.group("images").handler("t")(lambda: None)
    await app.produce("t")
    client.hset(SETTINGS, "version", NEWER)
    with pytest.raises(DataTooNew, match=f"of the stream jobs is of version {NEWER}"):
        await app.worker(settings=QUIET).run()
    assert client.xinfo_groups("jobs") == []


async def test_it_stops_when_a_newer_one_begins(app: App, client: redis.Redis) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    @app.group("images").handler("t")
    async def handle() -> None:
        begun.set()
        await end.wait()

    await app.produce_many([("t", {})] * 3)
    watch = Watch()
    worker = app.worker(
        settings=Settings(result_ttl=0, concurrency=1, prefetch=0), observers=[watch]
    )
    running = asyncio.create_task(worker.run())
    await begun.wait()
    client.hset(SETTINGS, "version", NEWER)
    await watch.until(lambda: watch.of(Stopping))
    end.set()  # what has begun is finished, and settled
    with pytest.raises(DataTooNew):
        await running
    [group] = client.xinfo_groups("jobs")
    assert (client.xlen("jobs"), group["consumers"]) == (2, 0)


@pytest.mark.parametrize("value", [str(DATA_VERSION), "", "old", "-7", "9" * 40])
async def test_one_that_it_knows_is_no_obstacle(
    app: App, client: redis.Redis, server: RedisServer, value: str
) -> None:
    app.group("images").handler("t")(lambda: None)
    client.hset(SETTINGS, "version", value)
    await app.produce("t")
    await drain(app)
    assert client.xlen("jobs") == 0
