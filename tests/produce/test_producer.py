"""Writing jobs: what reaches the stream, what is refused, what is tried again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import redis

from streamq import App
from streamq.errors import (
    ConfigError,
    PayloadError,
    PayloadTooLarge,
    ServerRefused,
    StreamqError,
    WrongKeyType,
)
from streamq.new_job import NewJob
from streamq.produce.many import CHUNK, Pair
from streamq.produce.producer import Producer
from tests.lua.support import ids_of, raw_entries
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def producer(app: App) -> Producer:
    return Producer(app.server)


# -- one ----------------------------------------------------------------------


async def test_a_job_is_one_entry(app: App, client: redis.Redis) -> None:
    id = (await app.produce("resize", {"file": "a.png", "width": 7})).id
    assert raw_entries(client, "jobs") == [
        (id, [("type", "resize"), ("data", '{"file":"a.png","width":7}')])
    ]
    assert client.keys("*") == ["jobs"]


async def test_data_may_come_as_a_mapping(app: App, client: redis.Redis) -> None:
    await app.produce("t", {"key": 1, "delay": 2, "stream": 3, "type": 4, "more": 5})
    [(_, fields)] = raw_entries(client, "jobs")
    assert orjson.loads(dict(fields)["data"]) == {
        "key": 1, "delay": 2, "stream": 3, "type": 4, "more": 5,
    }  # fmt: skip


async def test_a_job_can_go_to_another_stream(app: App, client: redis.Redis) -> None:
    await app.produce("t", stream="other")
    assert (client.xlen("other"), client.exists("jobs")) == (1, 0)


async def test_every_field_of_an_entry(producer: Producer, client: redis.Redis) -> None:
    await producer.produce("jobs", NewJob("t", key="k", trace="00-ab-cd-01", expires=1.5))
    [(_, fields)] = raw_entries(client, "jobs")
    assert dict(fields) == {
        "type": "t", "data": "{}", "key": "k", "trace": "00-ab-cd-01", "expires": "1500",
    }  # fmt: skip


async def test_a_key_writes_once(app: App, client: redis.Redis) -> None:
    first = (await app.produce("t", {"n": 1}, unique="order-7")).id
    assert (await app.produce("t", {"n": 2}, unique="order-7")).id == first
    assert (await app.produce("t", {"n": 3}, unique="order-8")).id != first
    assert len(ids_of(client)) == 2
    assert 86_000_000 < int(client.pttl("{jobs}:unique:order-7")) <= 86_400_000
    client.delete("{jobs}:unique:order-7")
    assert (await app.produce("t", {"n": 4}, unique="order-7")).id != first


async def test_a_key_is_forgotten_in_time(producer: Producer, client: redis.Redis) -> None:
    await producer.produce("jobs", NewJob("t", unique="k", unique_for=5))
    assert 0 < int(client.pttl("{jobs}:unique:k")) <= 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": ""}, "key= takes 1 to 512"),
        ({"key": "x" * 513}, "key= takes 1 to 512"),
        ({"unique": ""}, "unique= takes 1 to 512"),
        ({"unique": "x" * 513}, "unique= takes 1 to 512"),
        ({"unique": "\ud800"}, "unique"),
        ({"unique_for": 5}, "give that, too"),
        ({"key": "\ud800"}, "key"),
        ({"trace": "\ud800"}, "trace"),
        ({"delay": -1}, "delay=-1"),
        ({"delay": float("nan")}, "delay=nan"),
        ({"delay": float("inf")}, "delay=inf"),
        ({"expires": -0.1}, "expires=-0.1"),
        ({"expires": float("inf")}, "expires=inf"),
        ({"unique": "k", "unique_for": -1}, "unique_for=-1"),
        ({"at": datetime(2030, 1, 1)}, "no time zone"),
        ({"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1}, "either delay or at"),
    ],
)
async def test_options_that_cannot_be_used(
    producer: Producer, client: redis.Redis, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        await producer.produce("jobs", NewJob("t", {}, **options))
    str(caught.value).encode()
    assert client.keys("*") == []


@pytest.mark.parametrize("stream", ["", "\ud800", "a\n", "x" * 513])
@pytest.mark.parametrize("options", [{}, {"unique": "k"}, {"key": "k"}, {"delay": 1}])
async def test_a_stream_that_cannot_be_used(
    producer: Producer, client: redis.Redis, stream: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="is not a valid stream name"):
        await producer.produce(stream, NewJob("t", {}, **options))
    with pytest.raises(ConfigError, match="is not a valid stream name"):
        await producer.produce_many(stream, [("t", {})])
    assert client.keys("*") == []


@pytest.mark.parametrize("type", ["\n", "\ud800", "x" * 129])
async def test_a_type_that_cannot_be_used(app: App, client: redis.Redis, type: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid job type"):
        await app.produce(type)
    assert client.keys("*") == []


async def test_too_large_a_payload_is_refused(app: App, client: redis.Redis) -> None:
    with pytest.raises(PayloadTooLarge, match="takes 50,000,011 bytes, the limit is 1,048,576"):
        await app.produce("t", {"file": "x" * 50_000_000})
    assert client.keys("*") == []


async def test_the_limit_can_be_raised(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, max_payload=50_000_011) as app:
        id = (await app.produce("t", {"file": "x" * 50_000_000})).id
        with pytest.raises(PayloadTooLarge):
            await app.produce("t", {"file": "x" * 50_000_001})
    assert ids_of(client) == [id]


async def test_data_that_json_cannot_hold(app: App, client: redis.Redis) -> None:
    with pytest.raises(PayloadError, match="cannot be written as JSON"):
        await app.produce("t", {"file": object()})
    assert client.keys("*") == []


# -- many ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
async def test_many_jobs_in_order(app: App, client: redis.Redis, count: int) -> None:
    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(count))]
    assert ids_of(client) == ids
    assert [fields[1][1] for _, fields in raw_entries(client, "jobs")] == [
        f'{{"n":{n}}}' for n in range(count)
    ]


async def test_jobs_may_come_from_an_async_iterator(app: App, client: redis.Redis) -> None:
    async def jobs() -> AsyncIterator[Pair]:
        for n in range(3):
            yield "t", {"n": n}

    assert [job.id for job in await app.produce_many(jobs())] == ids_of(client)


async def test_no_more_than_two_chunks_are_in_memory(
    producer: Producer, client: redis.Redis
) -> None:
    drawn = 0

    def jobs() -> Iterator[Pair]:
        nonlocal drawn
        for n in range(3 * CHUNK):
            drawn += 1
            yield "t", {"n": n}

    written = 0
    async for chunk in producer.stream_jobs("jobs", jobs()):
        written += len(chunk)
        assert drawn <= written + CHUNK
        assert client.xlen("jobs") >= written
    assert written == drawn == 3 * CHUNK


@pytest.mark.parametrize("before", [0, 1, CHUNK, CHUNK + 1])
async def test_those_before_a_bad_job_are_written(
    app: App, client: redis.Redis, before: int
) -> None:
    jobs: list[Pair] = [("t", {"n": n}) for n in range(before)]
    with pytest.raises(PayloadError):
        await app.produce_many([*jobs, ("t", {"n": object()}), ("t", {"n": -1})])
    assert len(ids_of(client)) == before


async def test_those_before_a_broken_iterator_are_written(app: App, client: redis.Redis) -> None:
    def jobs() -> Iterator[Pair]:
        yield "t", {"n": 0}
        raise OSError("the file has gone")

    with pytest.raises(OSError, match="gone"):
        await app.produce_many(jobs())
    assert len(ids_of(client)) == 1


# -- a server that refuses ----------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"key": "k"}])
async def test_a_key_of_another_type(
    app: App, client: redis.Redis, options: dict[str, Any]
) -> None:
    client.set("jobs", "x")
    with pytest.raises(WrongKeyType, match="another type"):
        await app.produce("t", **options)
    with pytest.raises(WrongKeyType, match="another type"):
        await app.produce_many([("t", {})])
    assert client.get("jobs") == "x"
    assert client.keys("*") == ["jobs"]


async def test_a_full_server_refuses(make_server: Callable[..., RedisServer]) -> None:
    server = make_server()
    async with App(server.unix_url) as app:
        await app.produce("t")
        with server.client() as client:
            client.config_set("maxmemory", "1")
        calls: list[Callable[[], Any]] = [
            lambda: app.produce("t"),
            lambda: app.produce("t", unique="k"),
            lambda: app.produce("t", delay=60),
            lambda: app.produce_many([("t", {})] * 3),
        ]
        for call in calls:
            with pytest.raises(
                ServerRefused, match=r"maxmemory and refuses writes \(OOM\)"
            ) as caught:
                await call()
            assert caught.value.passing
        with server.client() as client:
            client.config_set("maxmemory", "0")
        await app.produce("t")


async def test_every_error_is_a_streamq_error_in_one_line(app: App, client: redis.Redis) -> None:
    client.rpush("jobs", "x")
    with pytest.raises(StreamqError) as caught:
        await app.produce("t")
    assert "\n" not in str(caught.value)
