"""The worker, end to end, on real servers."""

from __future__ import annotations

import pytest
import redis

from streamq import App, Settings

pytestmark = pytest.mark.anyio


async def test_a_job_is_handled_and_leaves_nothing(app: App, client: redis.Redis) -> None:
    seen = []

    @app.handler("resize", group="images")
    async def resize(file: str, width: int = 256) -> None:
        seen.append((file, width))

    await app.produce("resize", file="a.png", width=64)
    await app.produce("resize", file="b.png")
    await app.worker(burst=True, settings=Settings(result_ttl=0)).run()

    assert seen == [("a.png", 64), ("b.png", 256)]
    assert client.xlen("jobs") == 0
    assert client.keys("*") == ["jobs"]
