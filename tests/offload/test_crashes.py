"""Workers that die and connections that break: nothing is lost, nothing left behind."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Dead, Job, Settings, lua, testing
from streamq.errors import OutcomeUnknown
from streamq.signals import ServerBack, ServerLost
from streamq.worker.offloaded import Offloaded
from tests.offload.support import ABOVE, BIG, count_of, data_keys, nothing_left
from tests.servers import RedisServer
from tests.worker.proxy import proxied
from tests.worker.support import Outcome, drain, running

pytestmark = pytest.mark.anyio


async def test_a_worker_that_dies_before_it_deletes(
    big: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one does."""

    @big.handler("a")
    async def handle(text: str) -> None: ...

    async def die(self: Offloaded) -> None:
        await asyncio.Event().wait()

    await big.produce("a", {"text": BIG})
    with monkeypatch.context() as patch:
        patch.setattr("streamq.worker.consumer.CLOSE_TIMEOUT", 0.01)
        patch.setattr(Offloaded, "delete", die)
        await drain(big)
    assert client.zcard("{jobs}:data:unheld") == 1
    assert count_of(big, client) == 1
    await drain(big)
    assert data_keys(client) == []


async def test_a_worker_that_is_cut_off_while_it_reads(
    big: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle, it gives the job back, and the next one runs it."""
    reading = asyncio.Event()

    @big.handler("a", retries=0)
    async def handle(text: str) -> None: ...

    async def hang(self: Offloaded, job: Job) -> None:
        reading.set()
        await asyncio.Event().wait()

    await big.produce("a", {"text": BIG})
    with monkeypatch.context() as patch:
        patch.setattr(Offloaded, "load", hang)
        async with running(big, settings=Settings(grace=0, result_ttl=0)):
            await reading.wait()
    assert count_of(big, client) == 1
    assert (await drain(big)).outcomes == [Outcome.SUCCEEDED]
    assert nothing_left(client)


async def test_a_connection_that_is_lost_while_the_data_is_read(
    server: RedisServer, client: redis.Redis
) -> None:
    """It is read again, and the attempt is the same."""
    seen: list[int] = []
    async with proxied(server.socket) as proxy, App(proxy.url, offload=ABOVE) as app:

        @app.handler("a", retries=0)
        async def handle(job: Job, text: str) -> None:
            seen.append(job.attempt)

        await app.produce("a", {"text": BIG})
        proxy.lose_reply(b"\r\nGET\r\n")
        watch = await drain(app)
    assert watch.outcomes == [Outcome.SUCCEEDED]
    assert len(watch.of(ServerLost)) == len(watch.of(ServerBack)) == 1
    assert seen == [1]
    assert nothing_left(client)


async def test_a_settling_whose_reply_is_lost(server: RedisServer, client: redis.Redis) -> None:
    """Sent again it lets the data go no second time: a dead letter has it."""
    async with proxied(server.socket) as proxy, App(proxy.url, offload=ABOVE) as app:
        for name in ("one", "two"):
            await app.admin.create_group("jobs", name)

        @app.group("one").handler("a")
        async def dies(text: str) -> None:
            raise Dead("no")

        @app.group("two").handler("a")
        async def works(text: str) -> None: ...

        await app.produce("a", {"text": BIG})
        await drain(app, groups=["one"])
        proxy.lose_reply(lua.load("settle").sha.encode())
        watch = await drain(app, groups=["two"])
        assert watch.outcomes == [Outcome.SUCCEEDED]
        assert client.xlen("jobs") == 0
        assert count_of(app, client) == 1
        await app.admin.dead_letters("jobs", "one").purge_all()
    assert data_keys(client) == []


async def test_a_produce_whose_reply_is_lost(server: RedisServer, client: redis.Redis) -> None:
    """One that may be repeated is, and has its data once; the other one may be there."""
    seen: list[str] = []
    async with proxied(server.socket) as proxy, App(proxy.url, offload=ABOVE) as app:

        @app.handler("a")
        async def handle(job: Job, text: str) -> None:
            seen.append(job.id)

        proxy.lose_reply(b"EVAL")
        once = await app.produce("a", {"text": BIG}, unique="u")
        assert count_of(app, client) == 1
        proxy.lose_reply(b"EVAL")
        with pytest.raises(OutcomeUnknown):
            await app.produce("a", {"text": BIG})
        assert count_of(app, client) == 2
        await drain(app)
    assert seen[0] == once.id
    assert len(seen) == 2
    assert data_keys(client) == []


async def test_data_that_is_left_behind_is_found(big: App, client: redis.Redis) -> None:
    """That of entries, dead letters and jobs for later is not touched."""

    @big.handler("dies")
    async def dies(text: str) -> None:
        raise Dead("no")

    async with App(big.url, stream="other[s]*", offload=ABOVE) as other:
        await other.produce("a", {"text": BIG})
        await other.admin.create_group("other[s]*", "default")
        await big.produce("dies", {"text": BIG})
        await drain(big)
        await big.produce("a", {"text": BIG}, delay=3600)
        await big.produce("a", {"text": BIG})
        gone = await big.produce("a", {"text": BIG})
        client.xdel("jobs", gone.id)
        assert len(data_keys(client)) == 5
        assert await big.admin.prune_data("jobs") == 1
        assert len(data_keys(client)) == 4
        assert await big.admin.prune_data("jobs") == 0
        assert await big.admin.prune_data("other[s]*") == 0
        await big.produce("a", {"text": BIG}, stream="{jobs}")
        assert await big.admin.prune_data("jobs") == 0, "the two share their keys"
        client.delete("other[s]*", "jobs", "{jobs}", "{jobs}:group:default:dlq")
        assert await big.admin.prune_data("jobs") == 3
        assert await big.admin.prune_data("other[s]*") == 1
    [left] = data_keys(client)
    [later] = [job async for job in big.admin.scheduled("jobs")]
    assert later.ref is not None
    assert left.endswith(later.ref.name)


async def test_inline() -> None:
    app = App(offload=ABOVE)

    @app.handler("a")
    async def handle(job: Job, text: str) -> int:
        job.emit("b", {"text": text})
        return len(text)

    done = await testing.handle(app, "a", {"text": "x" * 2_000_000})
    assert done.result == len(done.emitted[0].data["text"]) == 2_000_000
