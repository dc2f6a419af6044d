"""Data that is not JSON, and the fields of foreign entries."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import redis

from streamq import App, Job, NewJob, testing
from streamq.errors import PayloadError, PayloadTooLarge
from tests.lua.support import raw_entries
from tests.servers import RedisServer
from tests.worker.support import Outcome, drain

pytestmark = pytest.mark.anyio


class Gzip:
    def encode(self, data: Any) -> bytes:
        return gzip.compress(json.dumps(data).encode(), mtime=0)

    def decode(self, raw: bytes) -> Any:
        return json.loads(gzip.decompress(raw))


async def test_a_codec_on_both_sides(server: RedisServer, client: redis.Redis) -> None:
    seen: list[Any] = []
    async with App(server.unix_url, codec=Gzip()) as app:

        @app.handler("a")
        async def first(job: Job, n: int) -> None:
            seen.append((n, job.raw[:2]))
            job.emit("b", {"n": n + 1})

        @app.handler("b", batch=10)
        async def second(jobs: list[Job]) -> None:
            seen.extend(job.data for job in jobs)

        await app.produce("a", {"n": 1})
        await app.produce_many([("b", {"n": 5}), NewJob("b", {"n": 6}, key="k")])
        assert (await drain(app)).outcomes == [Outcome.SUCCEEDED] * 4
    assert seen[0] == (1, b"\x1f\x8b")
    assert sorted(one["n"] for one in seen[1:]) == [2, 5, 6]


async def test_data_that_it_cannot_read_is_a_dead_letter(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url, codec=Gzip()) as app:

        @app.handler("a")
        async def handle(**data: Any) -> None: ...

        client.xadd("jobs", {"type": "a", "data": "{}"})
        client.xadd("jobs", {"type": "a", "n": "1"})  # without data, its fields are its data
        verdicts = sorted((await drain(app)).verdicts, key=lambda v: v.outcome.value)
    assert [v.outcome for v in verdicts] == [Outcome.DEAD, Outcome.SUCCEEDED]
    assert verdicts[0].reason == "invalid entry"
    assert "the codec cannot read the data: BadGzipFile" in verdicts[0].error


async def test_what_it_cannot_write_is_refused(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, codec=Gzip(), max_payload=100) as app:
        with pytest.raises(PayloadError, match="the codec cannot write the data: TypeError"):
            await app.produce("a", {"n": object()})
        with pytest.raises(PayloadTooLarge):
            await app.produce("a", {"n": list(range(1000))})
    assert client.keys("*") == []


async def test_inline() -> None:
    app = App(codec=Gzip())

    @app.handler("a")
    async def handle(job: Job, n: int) -> None:
        job.emit("b", {"n": n})

    done = await testing.handle(app, "a", {"n": 1})
    assert done.data == done.emitted[0].data == {"n": 1}


async def test_the_fields_of_a_foreign_entry(app: App, client: redis.Redis) -> None:
    """A CloudEvents message in binary mode: its attributes stand beside type and data."""
    seen: list[Job] = []

    @app.handler("com.example.paid")
    async def handle(job: Job, amount: int) -> None:
        seen.append(job)

    event = {
        "type": "com.example.paid", "source": "/shop", "id": "A-1", "subject": "order-42",
        "data": '{"amount":5}', "odd": b"\xff",
    }  # fmt: skip
    client.xadd("jobs", event)  # type: ignore[arg-type]  # bytes and text, which redis-py takes
    await app.produce("com.example.paid", {"amount": 6})
    await app.produce("com.example.paid", {"amount": 7}, key="k")
    await drain(app)
    foreign, own, keyed = sorted(seen, key=lambda job: job.data["amount"])
    assert foreign.fields == {
        "source": "/shop", "id": "A-1", "subject": "order-42", "odd": "\\xff",
    }  # fmt: skip
    assert own.fields == {}
    assert keyed.fields == {"key": "k"}
    assert raw_entries(client, "jobs") == []
