"""Entries with fields of streamq's own: for one group only, expired, redriven, with a key."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Dead, Job, Settings, lua
from streamq.wire.keys import group_keys
from tests.lua.support import ids_of, raw_entries, run
from tests.worker.support import QUIET, Outcome, drain

pytestmark = pytest.mark.anyio


async def test_for_one_group_only(app: App, client: redis.Redis) -> None:
    seen: list[str] = []
    for group in ("a", "b", "c"):

        @app.group(group).handler("t")
        async def handle(job: Job) -> None:
            seen.append(job.group)

    client.xadd("jobs", {"type": "t", "data": "{}", "for": "b"})
    watch = await drain(app)
    assert seen == ["b"]
    assert sorted(o.value for o in watch.outcomes) == ["skipped", "skipped", "succeeded"]
    assert client.keys("*") == ["jobs"]
    assert ids_of(client) == []


async def test_for_a_group_that_another_worker_serves(app: App, client: redis.Redis) -> None:
    app.group("a").handler("t")(lambda: None)
    app.group("b").handler("t")(lambda: None)
    client.xgroup_create("jobs", "b", id="0", mkstream=True)
    id = client.xadd("jobs", {"type": "t", "data": "{}", "for": "b"})
    watch = await drain(app, groups=["a"])
    assert watch.outcomes == [Outcome.SKIPPED]
    assert ids_of(client) == [id]
    watch = await drain(app, groups=["b"])
    assert watch.outcomes == [Outcome.SUCCEEDED]
    assert ids_of(client) == []


async def test_for_a_type_that_the_group_does_not_know(app: App, client: redis.Redis) -> None:
    """What is for another group is skipped, whatever its type and data."""
    app.group("a").handler("t")(lambda: None)
    client.xgroup_create("jobs", "b", id="0", mkstream=True)
    client.xadd("jobs", {"type": "unknown", "data": "{", "for": "b", "expires": "garbage"})
    watch = await drain(app)
    assert watch.outcomes == [Outcome.SKIPPED]


async def test_a_redriven_job_knows_its_origin(app: App, client: redis.Redis) -> None:
    seen: list[tuple[str, str | None, int, int]] = []
    repaired = False

    @app.group("a").handler("t", retries=0)
    async def a(job: Job, n: int) -> None:
        seen.append((job.group, job.origin, job.attempt, n))
        if not repaired:
            raise Dead("broken")

    @app.group("b").handler("t")
    async def b(job: Job, n: int) -> None:
        seen.append((job.group, job.origin, job.attempt, n))

    id = (await app.produce("t", {"n": 7})).id
    await drain(app)
    keys = group_keys("jobs", "a")
    letter = ids_of(client, keys.dlq)[0]
    repaired = True
    run(client, lua.redrive(keys, [letter]))
    await drain(app)
    assert sorted(seen[:2]) == [("a", None, 1, 7), ("b", None, 1, 7)]
    assert seen[2:] == [("a", id, 1, 7)]
    assert client.keys("*") == ["jobs"]


@pytest.mark.parametrize("own", [{"file": "a"}, {"file": "a", "for": "x", "origin": "y"}])
async def test_a_foreign_job_is_redriven_to_the_same_handler(
    app: App, client: redis.Redis, own: dict[str, str]
) -> None:
    seen: list[dict[str, str]] = []
    repaired = False

    @app.handler("")
    async def handle(**fields: str) -> None:
        seen.append(fields)
        if not repaired:
            raise Dead("broken")

    client.xadd("jobs", own)  # type: ignore[arg-type]  # redis-py wants the widest dict
    await drain(app)
    keys = group_keys("jobs", "default")
    repaired = True
    run(client, lua.redrive(keys, ids_of(client, keys.dlq)))
    await drain(app)
    assert seen == [own, own]


# -- expired ------------------------------------------------------------------


async def test_what_has_expired_is_not_run(app: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    late = (await app.produce("t", {"n": 0}, expires=0)).id
    await app.produce("t", {"n": 1}, expires=3600)
    watch = await drain(app, settings=Settings(result_ttl=60))
    assert seen == [1]
    assert {v.job.id: v.outcome for v in watch.verdicts}[late] is Outcome.EXPIRED
    record = client.hgetall(f"{{jobs}}:group:default:job:{late}")
    assert record["state"] == "expired"
    assert record["note"] == "expired before its turn came"
    assert ids_of(client) == []


async def test_a_retry_can_expire(app: App) -> None:
    attempts: list[int] = []

    @app.handler("t", retries=9)
    async def handle(job: Job) -> None:
        attempts.append(job.attempt)
        await asyncio.sleep(0.11)  # until it has expired, by the server's clock
        raise ValueError("again")

    await app.produce("t", expires=0.1)
    watch = await drain(app)
    assert attempts == [1]
    assert watch.outcomes == [Outcome.RETRY, Outcome.EXPIRED]


async def test_the_servers_clock_decides(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own is an hour slow."""
    import time

    really = time.time
    monkeypatch.setattr("time.time", lambda: really() - 3600)
    app.handler("t")(lambda: None)
    await app.produce("t", expires=0.001)
    await asyncio.sleep(0.005)
    watch = await drain(app)
    assert watch.outcomes == [Outcome.EXPIRED]


async def test_nobody_handles_it_and_it_has_expired(app: App, client: redis.Redis) -> None:
    app.handler("t")(lambda: None)
    client.xadd("jobs", {"type": "unknown", "data": "{}", "expires": "0"})
    watch = await drain(app, settings=QUIET)
    assert watch.outcomes == [Outcome.EXPIRED]
    assert raw_entries(client, "{jobs}:group:default:dlq") == []
