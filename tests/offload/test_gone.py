"""Data that is gone, spoiled or out of reach, and settings that cannot work."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import App, Job, NewJob, Offload
from streamq.admin import Admin
from streamq.errors import ConfigError, PayloadError, StreamqError
from tests.offload.support import ABOVE, BIG, Shelf, count_of, data_keys, nothing_left
from tests.servers import RedisServer
from tests.worker.support import AT_ONCE, Outcome, drain

pytestmark = pytest.mark.anyio


async def test_data_that_is_gone_is_a_dead_letter(anywhere: App, client: redis.Redis) -> None:
    @anywhere.handler("a")
    async def handle(text: str) -> None: ...

    await anywhere.produce("a", {"text": BIG})
    offload = anywhere.offload
    assert offload is not None
    if isinstance(offload.store, Shelf):
        offload.store.kept.clear()
    else:
        client.delete(*data_keys(client))
    [verdict] = (await drain(anywhere)).verdicts
    assert (verdict.outcome, verdict.reason) == (Outcome.DEAD, "data gone")
    assert "the data is gone that was kept outside the stream as" in verdict.error


async def test_data_that_is_not_what_it_was(big: App, client: redis.Redis) -> None:
    @big.handler("a")
    async def handle(text: str) -> None: ...

    await big.produce("a", {"text": BIG})
    client.set(data_keys(client)[0], "{}")
    [verdict] = (await drain(big)).verdicts
    assert (verdict.outcome, verdict.reason) == (Outcome.DEAD, "invalid entry")
    assert "had 5,011 bytes, and is now 2 bytes" in verdict.error


async def test_data_under_a_key_of_another_type(big: App, client: redis.Redis) -> None:
    """It is no server that will be back."""

    @big.handler("a")
    async def handle(text: str) -> None: ...

    await big.produce("a", {"text": BIG})
    [key] = data_keys(client)
    client.delete(key)
    client.rpush(key, "a")
    [verdict] = (await drain(big)).verdicts
    assert (verdict.outcome, verdict.reason) == (Outcome.DEAD, "invalid entry")
    assert "holds another type" in verdict.error


async def test_a_ref_that_streamq_has_not_written(big: App, client: redis.Redis) -> None:
    seen: list[Any] = []

    @big.handler("a")
    async def handle(job: Job) -> None:
        seen.append((job.data, job.ref))

    client.xadd("jobs", {"type": "a", "data": "{}", "ref": "42"})
    client.xadd("jobs", {"type": "a", "ref": "7:" + "0" * 32})
    await drain(big)
    assert seen == [({}, None), ({"ref": "7:" + "0" * 32}, None)]


async def test_a_store_that_fails(server: RedisServer, client: redis.Redis) -> None:
    shelf = Shelf()
    async with App(server.unix_url, offload=Offload(ABOVE, shelf)) as app:

        @app.handler("a", retries=1, backoff=AT_ONCE)
        async def handle(text: str) -> None: ...

        shelf.broken = OSError("no route")
        with pytest.raises(PayloadError, match="could not be kept outside: OSError: no route"):
            await app.produce("a", {"text": BIG})
        assert not client.exists("jobs")
        shelf.broken = None
        await app.produce("a", {"text": BIG})
        shelf.broken = OSError("no route")
        watch = await drain(app)
        assert watch.outcomes == [Outcome.RETRY, Outcome.DEAD]
        assert [v.error for v in watch.verdicts] == ["OSError: no route"] * 2
        with pytest.raises(StreamqError, match="could not be deleted"):
            await app.admin.dead_letters("jobs", "default").purge_all()
        shelf.broken = None
        await drain(app)
    assert shelf.kept == {}
    assert nothing_left(client)


async def test_an_app_without_the_store(server: RedisServer, client: redis.Redis) -> None:
    shelf = Shelf()
    async with App(server.unix_url, offload=Offload(ABOVE, shelf)) as app:
        await app.produce("a", {"text": BIG})
        async with App(server.unix_url) as other:

            @other.handler("a")
            async def handle(text: str) -> None: ...

            [verdict] = (await drain(other)).verdicts
            assert verdict.reason == "invalid entry"
            assert "give the App the same one" in verdict.error
            await Admin(other.server).dead_letters("jobs", "default").purge_all()
        assert len(shelf.kept) == 1, "it waits for one who has the store"
        await app.admin.prune("jobs")
    assert shelf.kept == {}
    assert data_keys(client) == []


async def test_an_app_that_offloads_nothing_reads_it_all_the_same(
    big: App, app: App, client: redis.Redis
) -> None:
    seen: list[int] = []

    @app.handler("a")
    async def handle(text: str) -> None:
        seen.append(len(text))

    await big.produce("a", {"text": BIG})
    await drain(app)
    assert seen == [5000]
    assert nothing_left(client)


async def test_a_job_that_was_not_written_leaves_no_data(
    anywhere: App, client: redis.Redis
) -> None:
    client.set("wrong", "no stream")
    for job in (NewJob("a", {"text": BIG}), NewJob("a", {"text": BIG}, unique="u")):
        with pytest.raises(StreamqError):
            await anywhere.producer.produce("wrong", job)
    assert count_of(anywhere, client) == 0
    assert data_keys(client) == []


@pytest.mark.parametrize("bad", [0, -1, True, "64k", 1.5])
def test_bad_settings(bad: Any) -> None:
    with pytest.raises(ConfigError, match="offload"):
        App(offload=bad)
    with pytest.raises(ConfigError, match="offload"):
        Offload(above=bad)
    with pytest.raises(ConfigError, match="the store has no method get"):
        Offload(store=type("Store", (), {"put": print})())
