"""Several groups on one stream, several streams in one worker, several workers in a group."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Dead, Job, Settings
from tests.lua.support import ids_of
from tests.worker.support import QUIET, Outcome, Watch, drain, running

pytestmark = pytest.mark.anyio


async def test_every_group_gets_every_job(app: App, client: redis.Redis) -> None:
    seen: dict[str, list[int]] = {}
    for group in ("a", "b", "c"):

        @app.group(group).handler("t")
        async def handle(job: Job, n: int) -> None:
            seen.setdefault(job.group, []).append(n)

    await app.produce_many(("t", {"n": n}) for n in range(100))
    await drain(app)
    assert seen.keys() == {"a", "b", "c"}
    assert all(sorted(got) == list(range(100)) for got in seen.values())
    assert client.keys("*") == ["jobs"]
    assert ids_of(client) == []


async def test_one_group_fails_and_the_other_does_not_care(app: App, client: redis.Redis) -> None:
    @app.group("a").handler("t")
    async def a() -> None:
        raise Dead("no")

    app.group("b").handler("t")(lambda: None)
    await app.produce("t")
    await drain(app)
    assert sorted(client.keys("*")) == ["jobs", "{jobs}:group:a:dlq"]
    assert ids_of(client) == []


async def test_a_group_that_is_behind_keeps_what_it_needs(app: App, client: redis.Redis) -> None:
    app.group("fast").handler("t")(lambda: None)
    app.group("slow").handler("t")(lambda: None)
    client.xgroup_create("jobs", "slow", id="0", mkstream=True)
    ids = [job.id for job in await app.produce_many(("t", {}) for _ in range(10))]
    await drain(app, groups=["fast"])
    assert ids_of(client) == ids
    await drain(app, groups=["slow"])
    assert ids_of(client) == []


@pytest.mark.parametrize(("start", "expected"), [("0", [0, 1, 2]), ("$", [2])])
async def test_where_a_new_group_starts(
    app: App, client: redis.Redis, start: str, expected: list[int]
) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    await app.produce_many(("t", {"n": n}) for n in range(2))
    watch = Watch()
    settings = Settings(start=start, result_ttl=0)
    async with running(app, observers=[watch], settings=settings):
        await watch.until(lambda: watch.events)
        await app.produce("t", {"n": 2})
        await watch.until(lambda: 2 in seen)
    assert sorted(seen) == expected


async def test_a_group_that_starts_at_an_entry(app: App) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(5))]
    await drain(app, settings=Settings(start=ids[1], result_ttl=0))
    assert sorted(seen) == [2, 3, 4]


async def test_several_streams(app: App, client: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []
    for stream in ("one", "two", "{tag}three"):

        @app.handler("t", stream=stream)
        async def handle(job: Job, n: int) -> None:
            seen.append((job.stream, n))

        await app.produce_many((("t", {"n": n}) for n in range(5)), stream=stream)
    await drain(app)
    assert sorted(seen) == sorted(
        (stream, n) for stream in ("one", "two", "{tag}three") for n in range(5)
    )
    assert sorted(client.keys("*")) == ["one", "two", "{tag}three"]


async def test_workers_of_one_group_share_its_jobs(app: App, client: redis.Redis) -> None:
    seen: list[tuple[str, int]] = []

    @app.handler("t")
    async def handle(job: Job, n: int) -> None:
        seen.append((job.consumer, n))
        await asyncio.sleep(0.002)

    watch = Watch()
    options = {"observers": [watch], "settings": Settings(concurrency=2, result_ttl=0)}
    async with running(app, **options), running(app, **options):
        await app.produce_many(("t", {"n": n}) for n in range(100))
        await watch.until(lambda: len(watch.verdicts) == 100)
    assert sorted(n for _, n in seen) == list(range(100))
    assert len({consumer for consumer, _ in seen}) == 2


# -- types --------------------------------------------------------------------


async def test_types_that_a_group_ignores(app: App, client: redis.Redis) -> None:
    app.handler("t")(lambda: None)
    app.group("default", ignore=["thumbnail_*", ""])
    for type in ("t", "thumbnail_ready", "thumbnails"):
        await app.produce(type)
    client.xadd("jobs", {"foreign": "1"})
    watch = await drain(app)
    assert {v.job.type: v.outcome for v in watch.verdicts} == {
        "": Outcome.SKIPPED,
        "t": Outcome.SUCCEEDED,
        "thumbnail_ready": Outcome.SKIPPED,
        "thumbnails": Outcome.DEAD,
    }
    assert ids_of(client) == []


async def test_a_handler_is_stronger_than_a_pattern(app: App) -> None:
    app.handler("thumbnail_ready")(lambda: None)
    app.group("default", ignore=["thumbnail_*"])
    await app.produce("thumbnail_ready")
    assert (await drain(app)).outcomes == [Outcome.SUCCEEDED]


async def test_a_handler_for_the_rest(app: App, client: redis.Redis) -> None:
    seen: list[str] = []

    @app.handler("t")
    async def handle() -> None: ...

    @app.handler("*")
    async def rest(job: Job) -> None:
        seen.append(job.type)

    for type in ("t", "u", "v"):
        await app.produce(type)
    client.xadd("jobs", {"foreign": "1"})
    await drain(app, settings=QUIET)
    assert sorted(seen) == ["", "u", "v"]
