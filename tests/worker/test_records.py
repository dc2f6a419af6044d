"""Status records: what a finished job leaves, and for how long."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from streamq import App, Job, Settings
from tests.worker.support import AT_ONCE, drain

pytestmark = pytest.mark.anyio

KEEP = Settings(result_ttl=60)


def record(client: redis.Redis, id: str) -> dict[str, str]:
    found: Any = client.hgetall(f"{{jobs}}:group:default:job:{id}")
    return dict(found)


async def test_a_success(app: App, client: redis.Redis) -> None:
    @app.handler("t")
    async def handle(n: int) -> dict[str, int]:
        return {"twice": 2 * n}

    before = time.time() * 1000
    id = (await app.produce("t", {"n": 3})).id
    await drain(app, settings=KEEP)
    found = record(client, id)
    assert found.pop("result") == '{"twice":6}'
    started, finished = int(found.pop("started_at")), int(found.pop("finished_at"))
    assert before - 1 <= started <= finished <= time.time() * 1000
    assert found == {"state": "succeeded", "type": "t", "data": '{"n":3}', "attempts": "1"}
    assert 0 < int(client.ttl(f"{{jobs}}:group:default:job:{id}")) <= 60


async def test_no_records(app: App, client: redis.Redis) -> None:
    @app.handler("t", backoff=AT_ONCE)
    async def handle(job: Job) -> int:
        if job.attempt == 1:
            raise ValueError("again")
        return 1

    await app.produce("t")
    await drain(app, settings=Settings(result_ttl=0))
    assert client.keys("*") == ["jobs"]


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        (None, None), (0, "0"), ("", '""'), ([], "[]"), (Point(1), '{"x":1}'),
        (b"bytes", '"bytes"'), (object(), None), ({1: 2}, '{"1":2}'), ("x" * 70_000, None),
        (float("nan"), None), ("\ud800", None), (2**70, str(2**70)),
    ],
)  # fmt: skip
async def test_results(app: App, client: redis.Redis, result: Any, kept: str | None) -> None:
    @app.handler("t")
    async def handle() -> Any:
        return result

    id = (await app.produce("t")).id
    watch = await drain(app, settings=KEEP)
    found = record(client, id)
    assert found["state"] == "succeeded"
    assert found.get("result") == kept
    lost = kept is None and result is not None
    assert ("was not kept" in found.get("note", "")) == lost
    assert ("was not kept" in watch.verdicts[0].error) == lost


async def test_long_data_is_not_kept_twice(app: App, client: redis.Redis) -> None:
    app.handler("t")(lambda: None)
    short = (await app.produce("t", {"text": "x" * 100})).id
    long = (await app.produce("t", {"text": "x" * 10_000})).id
    await drain(app, settings=KEEP)
    assert len(record(client, short)["data"]) > 100
    assert record(client, long)["data"] == ""


async def test_foreign_data_is_kept_as_json(app: App, client: redis.Redis) -> None:
    app.handler("")(lambda: None)
    id = str(client.xadd("jobs", {"file": "a.png"}))
    await drain(app, settings=KEEP)
    assert record(client, id)["data"] == '{"file":"a.png"}'


async def test_a_failure_that_is_tried_again(app: App, client: redis.Redis) -> None:
    @app.handler("t", retries=1, backoff=AT_ONCE)
    async def handle(job: Job) -> None:
        if job.attempt > 1:
            found.update(record(client, job.id))
        raise ValueError(f"failure {job.attempt}")

    found: dict[str, str] = {}
    id = (await app.produce("t")).id
    await drain(app, settings=KEEP)
    assert found["error"] == "ValueError: failure 1"
    assert [*record(client, id)] == ["attempt:1", "attempt:2"], "a dead letter says the rest"
    assert 0 < int(client.ttl(f"{{jobs}}:group:default:job:{id}")) <= 60
