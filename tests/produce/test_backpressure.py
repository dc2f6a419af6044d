"""A stream that is full: producers are told, or wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis

from streamq import App, NewJob
from streamq.errors import BacklogFull, ConfigError, NotReplicated, OutcomeUnknown, StreamqError
from streamq.produce.producer import Producer
from tests.servers import RedisServer
from tests.worker.support import drain, eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bounded(server: RedisServer) -> AsyncIterator[App]:
    """An app whose streams are full with five jobs."""
    async with App(server.unix_url, max_backlog=5) as app:
        app.handler("*")(lambda: None)
        yield app


def numbers(count: int) -> list[tuple[str, dict[str, int]]]:
    return [("t", {"n": n}) for n in range(count)]


async def test_a_produce_beyond_the_bound_is_refused(bounded: App, client: redis.Redis) -> None:
    for n in range(5):
        assert (await bounded.produce("t", {"n": n}, key="k")).created
    with pytest.raises(BacklogFull) as caught:
        await bounded.produce("t")
    full = caught.value
    assert (full.stream, full.backlog, full.max_backlog, full.job_ids) == ("jobs", 5, 5, [])
    assert str(full) == (
        "the stream jobs is full: 5 jobs wait, and 5 may (max_backlog); nothing more was written"
    )
    assert isinstance(full, StreamqError)
    assert client.xlen("jobs") == 5
    await drain(bounded)
    assert (await bounded.produce("t")).id


async def test_many_are_written_as_far_as_there_is_room(bounded: App, client: redis.Redis) -> None:
    await bounded.produce("t")
    with pytest.raises(
        BacklogFull, match="nothing more was written; 4 were written before"
    ) as full:
        await bounded.produce_many(numbers(10))
    ids = [id for id, _ in client.xrange("jobs")]  # type: ignore[union-attr]  # redis-py's types
    assert full.value.job_ids == ids[1:]


async def test_streams_by_name(server: RedisServer) -> None:
    async with App(server.unix_url, max_backlog={"jobs": 1}) as app:
        await app.produce("t")
        with pytest.raises(BacklogFull):
            await app.produce("t")
        await app.produce_many(numbers(700), stream="others")


async def test_what_is_for_later_is_never_refused_and_unique_jobs_are(
    bounded: App, client: redis.Redis
) -> None:
    jobs: list[Any] = [
        NewJob("t", {"n": 1}, unique="a"), NewJob("t", {"n": 2}, delay=3600), ("t", {}),
        NewJob("t", unique="b"), ("t", {}), ("t", {}), NewJob("t", delay=3600), ("t", {}),
    ]  # fmt: skip
    with pytest.raises(BacklogFull) as full:
        await bounded.produce_many(jobs)
    assert len(full.value.job_ids) == 7
    assert client.xlen("jobs") == 5
    with pytest.raises(BacklogFull):
        await bounded.produce("t", unique="c")
    assert not client.exists("{jobs}:unique:c")
    assert (await bounded.produce("t", delay=0)).scheduled_for
    await drain(bounded)
    assert client.xlen("jobs") == 0, "promotion drops nothing"


async def test_waiting_until_workers_have_made_room(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url, max_backlog=7, on_full="wait") as app:
        seen: list[int] = []

        @app.handler("t")
        async def handle(n: int) -> None:
            assert client.xlen("jobs") <= 7
            seen.append(n)

        many = asyncio.create_task(app.produce_many(numbers(100)))
        one = asyncio.create_task(app.produce("t", {"n": 100}, unique="u"))
        await eventually(lambda: client.xlen("jobs") == 7)
        assert not many.done()
        worker = app.worker()
        working = asyncio.create_task(worker.run())
        assert len(await many) == 100
        assert (await one).created
        await eventually(lambda: len(seen) == 101)
        worker.stop()
        await working
        assert [n for n in seen if n < 100] == sorted(n for n in seen if n < 100)


async def test_waiting_ends(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, max_backlog=2, on_full="wait", full_timeout=0.05) as app:
        with pytest.raises(BacklogFull, match=r"is after 0\.05 s still full: 2 jobs wait") as full:
            await app.produce_many(numbers(3))
        assert len(full.value.job_ids) == 2
    async with App(server.unix_url, max_backlog=2, on_full="wait", full_timeout=None) as app:
        waiting = asyncio.create_task(app.produce("t"))
        await asyncio.sleep(0)
        client.delete("jobs")
        assert (await waiting).created


async def test_what_is_retained_is_no_backlog(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, max_backlog=5, retain="7d") as app:
        app.handler("*")(lambda: None)
        for _ in range(3):
            await drain(app)
            await app.produce_many(numbers(5))
            with pytest.raises(BacklogFull):
                await app.produce("t")
        assert client.xlen("jobs") == 15


async def test_a_bad_job_stops_it_after_those_before(bounded: App, client: redis.Redis) -> None:
    with pytest.raises(ConfigError):
        await bounded.produce_many([("t", {}), ("t", {}), ("a\nb", {}), ("t", {})])
    assert client.xlen("jobs") == 2
    with pytest.raises(StreamqError):
        await bounded.produce("t", {"n": object()})
    with pytest.raises(ConfigError):
        await bounded.produce("t", stream="a\nb")


async def test_many_in_large_chunks(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, max_backlog=1000) as app:
        data = {"text": "x" * 100_000}
        written = await app.produce_many([("t", data)] * 60)
        assert [job.id for job in written] == [id for id, _ in client.xrange("jobs")]  # type: ignore[union-attr]  # redis-py's types
        with pytest.raises(BacklogFull):
            await app.produce_many(numbers(1000))
        assert client.xlen("jobs") == 1000


async def test_with_replicas_that_do_not_answer(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, max_backlog=2, replicas=1, replica_timeout=0.001) as app:
        with pytest.raises(NotReplicated) as missing:
            await app.produce_many(numbers(3))
        assert missing.value.job_ids == [id for id, _ in client.xrange("jobs")]  # type: ignore[union-attr]  # redis-py's types
        with pytest.raises(BacklogFull):
            await app.produce("t")
        with pytest.raises(BacklogFull):
            await app.produce("t", unique="a")


async def test_middleware_sees_each_job(server: RedisServer) -> None:
    seen: list[str] = []

    async def note(job: NewJob, call_next: Any) -> Any:
        seen.append(job.type)
        return await call_next(job)

    async with App(server.unix_url, max_backlog=2, produce_middleware=[note]) as app:
        with pytest.raises(BacklogFull) as full:
            await app.produce_many(numbers(3))
    assert (len(seen), len(full.value.job_ids)) == (3, 2)


async def test_a_reply_that_was_lost_with_the_last_room(
    make_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt wrote the job, and the second finds the stream full."""
    async with App(make_server().unix_url, max_backlog=1) as app:
        run, lost = Producer._run, [True]

        async def once_lost(self: Producer, call: Any) -> Any:
            reply = await run(self, call)
            if lost.pop() if lost else False:
                raise OutcomeUnknown("connection lost")
            return reply

        monkeypatch.setattr(Producer, "_run", once_lost)
        with pytest.raises(OutcomeUnknown):
            await app.produce("t", unique="a")


@pytest.mark.parametrize(
    "options",
    [
        {"max_backlog": 0}, {"max_backlog": True}, {"max_backlog": 1.5}, {"max_backlog": "10"},
        {"max_backlog": {"jobs": 0}}, {"max_backlog": {"a\nb": 1}},
        {"max_backlog": 1, "on_full": "drop"}, {"max_backlog": 1, "full_timeout": -1},
        {"max_backlog": 1, "full_timeout": "1s"}, {"on_full": "wait"},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"max_backlog|on_full|full_timeout|stream name"):
        App("redis://localhost", **options)
