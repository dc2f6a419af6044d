"""Once only: keys that are free when their job is settled, and jobs that find theirs taken."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from streamq import AlreadyEnqueued, App, NewJob, Settings, StreamqError, lua
from streamq.errors import ConfigError
from streamq.lua.loader import with_data
from streamq.new_job import Options
from tests.lua.support import ids_of
from tests.servers import RedisServer
from tests.worker.proxy import proxied

pytestmark = pytest.mark.anyio


@pytest.fixture
def seen(app: App) -> list[Any]:
    """What the handler was given."""
    seen: list[Any] = []
    app.handler("*")(lambda job: seen.append(job.data))
    return seen


async def work(app: App, jobs: int = 1) -> None:
    await app.worker(max_jobs=jobs, settings=Settings(result_ttl=0)).run()


async def test_a_key_is_free_when_its_job_is_settled(app: App, seen: list[Any]) -> None:
    first = await app.produce("sync", {"n": 1}, unique="user-7", unique_until="settled")
    again = await app.produce("sync", {"n": 2}, unique="user-7", unique_until="settled")
    assert (first.created, again.created, again.id) == (True, False, first.id)
    await work(app)
    assert (await app.produce("sync", {"n": 3}, unique="user-7", unique_until="settled")).created
    await work(app)
    assert seen == [{"n": 1}, {"n": 3}]


async def test_it_stays_taken_while_the_job_is_for_later_and_in_the_stream(
    app: App, seen: list[Any]
) -> None:
    async def produce() -> Any:
        return await app.produce("sync", unique="user-7", unique_until="settled", delay=3600)

    first = await produce()
    assert not (await produce()).created
    assert await app.admin.run_now("jobs", first.id)
    await work(app)
    assert len(seen) == 1
    assert (await produce()).created


async def test_a_dead_job_has_its_key_no_longer(app: App, client: redis.Redis) -> None:
    @app.handler("sync", retries=0)
    async def sync() -> None:
        raise ValueError("no good")

    await app.produce("sync", unique="user-7", unique_until="settled")
    await work(app)
    assert (await app.produce("sync", unique="user-7", unique_until="settled")).created


async def test_replaced_is_the_data_and_the_time(app: App, seen: list[Any]) -> None:
    first = await app.produce("save", {"n": 1}, unique="doc", delay=3600, on_conflict="replace")
    assert (first.created, first.replaced) == (True, False)
    for n in (2, 3):
        again = await app.produce("save", {"n": n}, unique="doc", delay=7200, on_conflict="replace")
        assert (again.id, again.created, again.replaced) == (first.id, False, True)
        assert first.scheduled_for is not None
        assert again.scheduled_for is not None
        assert again.scheduled_for > first.scheduled_for
    at_once = await app.produce("save", {"n": 4}, unique="doc", on_conflict="replace")
    assert at_once.replaced
    await work(app)
    assert seen == [{"n": 4}]


async def test_what_already_runs_does_not_swallow_what_is_new(app: App) -> None:
    seen: list[int] = []
    writes: list[Any] = []

    @app.handler("save")
    async def save(n: int) -> None:
        seen.append(n)
        if n == 1:
            for later in (2, 3):
                writes.append(
                    await app.produce(
                        "save", {"n": later}, unique="doc", delay=0.2, on_conflict="replace"
                    )
                )

    await app.produce("save", {"n": 1}, unique="doc", on_conflict="replace")
    await work(app, 2)
    assert seen == [1, 3]
    assert [(job.created, job.replaced) for job in writes] == [(True, False), (False, True)]


async def test_an_error_says_which_job_has_the_key(app: App) -> None:
    first = await app.produce("sync", unique="user-7", on_conflict="error")
    with pytest.raises(AlreadyEnqueued, match=f"taken by the job {first.id};") as caught:
        await app.produce("sync", unique="user-7", on_conflict="error")
    assert isinstance(caught.value, StreamqError)
    assert (caught.value.job.id, caught.value.job.created) == (first.id, False)
    assert caught.value.job.scheduled_for is None
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.job.id) == (str(caught.value), first.id)


async def test_the_job_that_has_the_key_can_be_waited_for(app: App) -> None:
    """Also one that is for later: by its name, which leads to its entry."""

    @app.group("g").handler("sum")
    async def add(a: int, b: int) -> int:
        return a + b

    later = await app.produce("sum", {"a": 1, "b": 2}, unique="k", delay=0.05)
    with pytest.raises(AlreadyEnqueued) as caught:
        await app.produce("sum", unique="k", on_conflict="error")
    with pytest.raises(AlreadyEnqueued) as many:
        await app.produce_many([("sum", {})], unique="k", on_conflict="error")
    await app.worker(max_jobs=1).run()
    for job in (later, caught.value.job, many.value.job):
        assert await job.result(group="g", timeout=10) == 3


async def test_the_error_tells_when_that_job_is_due(app: App) -> None:
    when = datetime(2100, 1, 1, tzinfo=UTC)
    first = await app.produce("sync", unique="user-7", at=when)
    with pytest.raises(AlreadyEnqueued, match=r"is due at 2100-01-01T00:00:00\+00:00") as caught:
        await app.produce("sync", unique="user-7", on_conflict="error")
    assert (caught.value.job.id, caught.value.job.scheduled_for) == (first.id, when)


async def test_many_with_rules(app: App, client: redis.Redis) -> None:
    jobs = await app.produce_many(
        [("save", {"n": n}) for n in range(3)],
        unique="doc", delay=3600, on_conflict="replace", unique_until="settled",
    )  # fmt: skip
    assert [(job.created, job.replaced) for job in jobs] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip
    assert len({job.id for job in jobs}) == 1
    [job] = [one async for one in app.admin.scheduled("jobs")]
    assert job.data == {"n": 2}

    with pytest.raises(AlreadyEnqueued, match=job.name):
        await app.produce_many(
            [
                NewJob("save", unique="other", on_conflict="error"),
                NewJob("save", unique="doc", on_conflict="error"),
            ]
        )
    assert len(ids_of(client)) == 1


async def test_a_throttle_lets_one_through_in_its_time(app: App, client: redis.Redis) -> None:
    made = [(await app.produce("ping", unique="user-7", unique_for=3600)).created for _ in range(3)]
    assert made == [True, False, False]
    client.pexpire("{jobs}:unique:user-7", 1)
    while client.exists("{jobs}:unique:user-7"):
        pass
    assert (await app.produce("ping", unique="user-7", unique_for=3600)).created


@pytest.mark.parametrize("delay", [None, 3600.0])
async def test_data_outside_the_stream_is_let_go_when_it_is_replaced(
    server: RedisServer, client: redis.Redis, delay: float | None
) -> None:
    seen: list[Any] = []

    def kept() -> list[Any]:
        return [key for key in client.scan_iter("{jobs}:data:*") if client.type(key) == "string"]

    async with App(server.unix_url, offload=10) as app:
        app.handler("*")(lambda job: seen.append(job.data))
        options: Options = {"unique": "doc", "on_conflict": "replace", "delay": 3600}
        await app.produce("save", {"text": "1" * 20}, **options)
        options["delay"] = delay
        job = await app.produce("save", {"text": "2" * 20}, **options)
        assert job.replaced
        assert client.zcard("{jobs}:data:unheld") == 1
        assert len(kept()) == 2
        with pytest.raises(AlreadyEnqueued):
            await app.produce("save", {"text": "3" * 20}, unique="doc", on_conflict="error")
        assert len(kept()) == 2, "what was refused has left nothing"
        assert await app.admin.run_now("jobs", job.id)
        await work(app)
    assert seen == [{"text": "2" * 20}]


async def test_data_of_a_repeated_call_is_not_kept_twice(
    server: RedisServer, client: redis.Redis
) -> None:
    produce = "produce_unique"
    async with proxied(server.socket) as proxy, App(proxy.url, offload=10) as app:
        call = lua.load(produce)
        script = with_data(call)
        client.script_load(script.source)
        proxy.lose_reply(script.sha.encode(), times=1)
        job = await app.produce("save", {"text": "1" * 20}, unique="d", unique_until="settled")
        assert proxy.lost.is_set()
        assert job.created
        assert ids_of(client) == [job.id]
        keys = list(client.scan_iter("{jobs}:data:*"))
        assert len(keys) == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"unique_until": "settled"}, "unique_until"),
        ({"on_conflict": "replace"}, "on_conflict"),
        ({"on_conflict": "error"}, "on_conflict"),
        ({"unique_for": 1.0}, "unique_for"),
        ({"unique": "k", "unique_until": "done"}, "unique_until='done': give 'settled'"),
        ({"unique": "k", "unique_until": ""}, "unique_until=''"),
        ({"unique": "k", "on_conflict": "ignore"}, "on_conflict='ignore': give 'keep'"),
        ({"unique": "k", "on_conflict": None}, "on_conflict=None"),
        ({"unique": "", "on_conflict": "error"}, "unique="),
        ({"unique": "k", "on_conflict": "replace", "delay": -1.0}, "delay=-1.0"),
        ({"unique": "k", "on_conflict": "replace", "at": datetime(2030, 1, 1)}, "no time zone"),
    ],
)
async def test_rules_that_cannot_be_are_refused_where_they_are_given(
    app: App, client: redis.Redis, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        await app.produce("t", **options)
    with pytest.raises(ConfigError, match=named):
        await app.produce_many([("t", {})], **options)
    assert client.keys("*") == []
