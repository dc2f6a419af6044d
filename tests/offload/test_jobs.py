"""The way of one large job: written, read, run."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import App, Job, NewJob, Settings
from streamq.encryption import EncryptingCodec, new_key
from streamq.errors import PayloadTooLarge
from tests.lua.support import raw_entries
from tests.offload.support import ABOVE, BIG, count_of, data_keys, nothing_left
from tests.servers import RedisServer
from tests.worker.support import Outcome, drain, eventually

pytestmark = pytest.mark.anyio


async def test_a_large_job(anywhere: App, client: redis.Redis) -> None:
    seen: list[Any] = []

    @anywhere.handler("a")
    async def handle(job: Job, text: str) -> None:
        seen.append((text, job.data["text"], len(job.raw), job.retries))

    small = await anywhere.produce("a", {"text": "s"})
    large = await anywhere.produce("a", {"text": BIG})
    [(_, first), (_, second)] = raw_entries(client, "jobs")
    assert first == [("type", "a"), ("data", '{"text":"s"}')]
    assert [name for name, _ in second] == ["type", "data", "ref"]
    assert second[1] == ("data", "")
    assert second[2][1].startswith("5011:")
    assert sum(len(value) for _, value in second) < 60
    assert count_of(anywhere, client) == 1
    status = await anywhere.admin.status("jobs", large.id)
    assert (status.raw, status.offloaded) == (None, 5011)
    assert (await anywhere.admin.status("jobs", small.id)).offloaded is None

    watch = await drain(anywhere)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2
    assert seen == [("s", "s", 12, 3), (BIG, BIG, 5011, 3)]
    assert count_of(anywhere, client) == 0
    assert nothing_left(client)


async def test_many_with_every_option(anywhere: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @anywhere.handler("a")
    async def handle(n: int, text: str) -> None:
        seen.append(n)

    jobs: list[Any] = [
        NewJob("a", {"n": 0, "text": BIG}, key="k", expires=60),
        NewJob("a", {"n": 1, "text": BIG}, unique="u"),
        NewJob("a", {"n": 2, "text": BIG}, unique="u"),
        ("a", {"n": 3, "text": BIG}),
        ("a", {"n": 4, "text": ""}),
        NewJob("a", {"n": 5, "text": BIG}, delay=0.01),
        NewJob("a", {"n": 6, "text": BIG}, delay=3600, unique="v"),
        NewJob("a", {"n": 7, "text": BIG}, delay=3600, unique="v"),
    ]
    done = await anywhere.produce_many(jobs)
    assert [job.created for job in done] == [True, True, False, True, True, True, True, False]
    assert count_of(anywhere, client) == 5, "none for what was not written"
    again = await anywhere.produce("a", {"n": 8, "text": BIG}, unique="u")
    assert not again.created
    assert count_of(anywhere, client) == 5
    await drain(anywhere)
    await eventually(lambda: client.zcard("{jobs}:scheduled") == 1)
    await drain(anywhere)
    assert sorted(seen) == [0, 1, 3, 4, 5]
    assert count_of(anywhere, client) == 1
    [later] = [job async for job in anywhere.admin.scheduled("jobs")]
    assert (later.raw, later.offloaded) == (None, 5017)
    assert await anywhere.admin.cancel("jobs", later.name)
    assert count_of(anywhere, client) == 0
    assert data_keys(client) == []


async def test_a_chunk_of_large_jobs_is_bounded(
    big: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.produce.many.CHUNK_BYTES", 20_000)
    written = [
        len(chunk) async for chunk in big.producer.stream_jobs("jobs", [("a", {"text": BIG})] * 20)
    ]
    assert sum(written) == 20
    assert max(written) < 5
    assert count_of(big, client) == 20


@pytest.mark.parametrize("mode", ["async", "thread", "process", "batch", "middleware"])
async def test_every_kind_of_handler(mode: str, server: RedisServer, client: redis.Redis) -> None:
    seen: list[int] = []

    async def around(job: Job, call_next: Any) -> Any:
        seen.append(len(job.data["text"]))
        return await call_next(job)

    middleware = [around] if mode == "middleware" else []
    async with App(server.unix_url, offload=ABOVE, middleware=middleware) as app:
        if mode == "process":
            app.handler("a", process=True)(in_a_process)
        elif mode == "batch":

            @app.handler("a", batch=10)
            async def batch(jobs: list[Job]) -> list[int]:
                return [len(job.data["text"]) for job in jobs]

        elif mode == "thread":

            @app.handler("a")
            def thread(text: str) -> int:
                return len(text)

        else:

            @app.handler("a")
            async def handle(text: str) -> int:
                return len(text)

        job = await app.produce("a", {"text": BIG})
        await app.produce("a", {"text": BIG})
        watch = await drain(app, settings=Settings())
        assert watch.outcomes == [Outcome.SUCCEEDED] * 2
        [group] = (await app.admin.status("jobs", job.id)).groups
        assert group.result in (5000, [5000])
        assert seen == ([5000, 5000] if middleware else [])
    assert data_keys(client) == []


def in_a_process(text: str) -> int:
    return len(text)


@pytest.mark.slow
async def test_20_mib(big: App, client: redis.Redis) -> None:
    seen: list[int] = []
    text = "é" * (10 * 1024 * 1024)

    @big.handler("a")
    async def handle(job: Job, text: str) -> None:
        seen.append(len(text))
        job.emit("b", {"text": text})

    @big.handler("b")
    async def next(text: str) -> None:
        seen.append(len(text))

    await big.produce("a", {"text": text})
    memory: Any = client.memory_usage("jobs")
    assert memory < 10_000
    assert (await drain(big)).outcomes == [Outcome.SUCCEEDED] * 2
    assert seen == [len(text)] * 2
    assert nothing_left(client)
    with pytest.raises(PayloadTooLarge, match=r"the limit is 67,108,864"):
        await big.produce("a", {"text": "x" * 64 * 1024 * 1024})


async def test_encrypted_and_offloaded(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, offload=ABOVE, codec=EncryptingCodec(new_key())) as app:
        seen: list[str] = []

        @app.handler("a")
        async def handle(text: str) -> None:
            seen.append(text)

        await app.produce("a", {"text": BIG})
        [key] = data_keys(client)
        kept: Any = client.dump(key)
        assert b"xxxxx" not in kept
        await drain(app)
    assert seen == [BIG]
    assert nothing_left(client)
