"""Data outside the stream: read when its job is run, kept as long as anybody has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from streamq import App, Dead, Job, NewJob, Offload, Retry, Settings, lua, testing
from streamq.admin import Admin
from streamq.encryption import EncryptingCodec, new_key
from streamq.errors import ConfigError, OutcomeUnknown, PayloadError, PayloadTooLarge, StreamqError
from streamq.signals import ServerBack, ServerLost
from streamq.worker.offloaded import Offloaded
from tests.lua.support import raw_entries
from tests.servers import RedisServer
from tests.worker.proxy import proxied
from tests.worker.support import AT_ONCE, Outcome, drain, eventually, running

pytestmark = pytest.mark.anyio

ABOVE = 1000
BIG = "x" * 5000


def data_keys(client: redis.Redis) -> list[str]:
    """What is kept outside of streams."""
    return sorted(str(key) for key in client.scan_iter("*:data:*"))


def nothing_left(client: redis.Redis) -> bool:
    found: Any = client.keys("*")
    return set(found) <= {"jobs", "others"} and client.xlen("jobs") == 0


@pytest.fixture
async def big(server: RedisServer) -> Any:
    """An app that keeps outside what is larger than 1,000 bytes."""
    async with App(server.unix_url, offload=ABOVE) as app:
        yield app


class Shelf:
    """An object store in this process."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.broken: Exception | None = None

    async def put(self, name: str, data: bytes) -> None:
        self._check()
        self.kept[name] = data

    async def get(self, name: str) -> bytes:
        self._check()
        return self.kept[name]

    async def delete(self, names: Sequence[str]) -> None:
        self._check()
        for name in names:
            self.kept.pop(name, None)

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


@pytest.fixture(params=["beside", "store"])
async def anywhere(request: pytest.FixtureRequest, server: RedisServer) -> Any:
    """The same, with its data beside the stream or in a store."""
    shelf = Shelf() if request.param == "store" else None
    async with App(server.unix_url, offload=Offload(ABOVE, shelf)) as app:
        yield app


def count_of(app: App, client: redis.Redis) -> int:
    """How much data is kept outside, wherever."""
    offload = app.offload
    assert offload is not None
    if isinstance(offload.store, Shelf):
        return len(offload.store.kept)
    return sum(client.type(key) == "string" for key in data_keys(client))


# -- the way of one job -------------------------------------------------------


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


# -- who has it ---------------------------------------------------------------


async def test_it_stays_until_the_last_group_has_settled(
    anywhere: App, client: redis.Redis
) -> None:
    seen: list[str] = []

    @anywhere.group("one").handler("a")
    async def one(text: str) -> None:
        seen.append("one")

    @anywhere.group("two").handler("a")
    async def two(text: str) -> None:
        seen.append("two")

    await anywhere.admin.create_group("jobs", "two")
    await anywhere.produce("a", {"text": BIG})
    await drain(anywhere, groups=["one"])
    assert count_of(anywhere, client) == 1
    await drain(anywhere, groups=["two"])
    assert seen == ["one", "two"]
    assert count_of(anywhere, client) == 0
    assert nothing_left(client)


async def test_a_dead_letter_has_it_redriven_too(anywhere: App, client: redis.Redis) -> None:
    """While another group is done with the entry, and after a purge that leaves nothing."""
    well = False
    seen: list[str] = []

    @anywhere.group("one").handler("a")
    async def one(text: str) -> None:
        if not well:
            raise Dead("not yet")
        seen.append(text)

    @anywhere.group("two").handler("a")
    async def two(text: str) -> None: ...

    await anywhere.admin.create_group("jobs", "one")
    await anywhere.admin.create_group("jobs", "two")
    job = await anywhere.produce("a", {"text": BIG})
    await drain(anywhere, groups=["one"])
    await drain(anywhere, groups=["two"])
    assert client.xlen("jobs") == 0
    assert count_of(anywhere, client) == 1
    letters = anywhere.admin.dead_letters("jobs", "one")
    letter = await letters.get(job.id)
    assert (letter.raw, letter.offloaded, letter.to_dict()["offloaded"]) == (None, 5011, 5011)

    await letters.redrive([job.id])
    await drain(anywhere)
    assert count_of(anywhere, client) == 1, "dead again"
    well = True
    await letters.redrive_all()
    await drain(anywhere)
    assert seen == [BIG]
    assert count_of(anywhere, client) == 0
    assert nothing_left(client)


@pytest.mark.parametrize("how", ["ids", "all", "with the group"])
async def test_a_purge_lets_it_go(how: str, anywhere: App, client: redis.Redis) -> None:
    for name in ("one", "two"):

        @anywhere.group(name).handler("a")
        async def handle(**data: Any) -> None:
            raise Dead("no")

    jobs = [await anywhere.produce("a", {"text": BIG}) for _ in range(3)]
    await anywhere.produce("a", {"text": ""})
    await drain(anywhere)
    assert count_of(anywhere, client) == 3
    assert client.hgetall("{jobs}:data:holders") != {}
    for name in ("one", "two"):
        letters = anywhere.admin.dead_letters("jobs", name)
        if how == "ids":
            assert all((await letters.purge([job.id for job in jobs])).values())
        elif how == "all":
            assert await letters.purge_all() == 4
        else:
            deleted = await anywhere.admin.delete_group("jobs", name, force=True, dead_letters=True)
            assert deleted.dead_letters == 4
        assert count_of(anywhere, client) == (3 if name == "one" else 0)
    assert data_keys(client) == []


async def test_what_only_a_deleted_group_had_kept(anywhere: App, client: redis.Redis) -> None:
    @anywhere.group("one").handler("a")
    async def handle(text: str) -> None: ...

    await anywhere.admin.create_group("jobs", "idle")
    await anywhere.produce("a", {"text": BIG})
    await drain(anywhere)
    assert count_of(anywhere, client) == 1
    deleted = await anywhere.admin.delete_group("jobs", "idle")
    assert deleted.entries == 1
    assert data_keys(client) == []
    assert count_of(anywhere, client) == 0


async def test_made_dead_by_hand_or_by_a_lost_worker(big: App, client: redis.Redis) -> None:
    for name in ("one", "two"):
        await big.admin.create_group("jobs", name)
    first = await big.produce("a", {"text": BIG})
    second = await big.produce("a", {"text": BIG})
    for name in ("one", "two"):
        client.xreadgroup(name, "gone", {"jobs": ">"})
    await big.admin.dead_letter("jobs", "one", [first.id, second.id])
    await big.admin.dead_letter("jobs", "two", [first.id])
    client.xclaim("jobs", "two", "gone", 0, [second.id], retrycount=9, idle=10**6, justid=True)

    @big.group("two").handler("a")
    async def handle(text: str) -> None: ...

    await drain(big)
    assert client.xlen("jobs") == 0
    assert count_of(big, client) == 2
    for name in ("one", "two"):
        assert await big.admin.dead_letters("jobs", name).purge_all() == 2
    assert data_keys(client) == []


async def test_an_entry_for_a_group_that_does_not_exist(big: App, client: redis.Redis) -> None:
    @big.group("one").handler("a")
    async def handle(text: str) -> None: ...

    await big.produce("a", {"text": BIG})
    [(_, fields)] = raw_entries(client, "jobs")
    client.delete("jobs")
    client.xadd("jobs", dict([*fields, ("for", "nobody")]))
    await drain(big)
    assert count_of(big, client) == 1
    [letter] = [letter async for letter in big.admin.dead_letters("jobs", "one").list()]
    assert (letter.reason, letter.offloaded) == ("no such group", 5011)
    await big.admin.dead_letters("jobs", "one").purge_all()
    assert data_keys(client) == []


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.SKIPPED])
async def test_a_job_that_is_not_run(outcome: Outcome, big: App, client: redis.Redis) -> None:
    @big.group("one", ignore=["b"]).handler("a")
    async def handle(text: str) -> None: ...

    if outcome is Outcome.EXPIRED:
        await big.produce("a", {"text": BIG}, expires=0)
    else:
        await big.produce("b", {"text": BIG})
    assert (await drain(big)).outcomes == [outcome]
    assert nothing_left(client)


async def test_attempts_read_it_again(big: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @big.handler("a", retries=3, backoff=AT_ONCE)
    async def handle(job: Job, text: str) -> None:
        seen.append(len(text))
        if job.attempt < 3:
            raise Retry("again", delay=0)

    await big.produce("a", {"text": BIG})
    await drain(big)
    assert seen == [5000] * 3
    assert nothing_left(client)


# -- emitted events -----------------------------------------------------------


async def test_a_large_event_is_written_with_the_ack_or_not_at_all(
    anywhere: App, client: redis.Redis
) -> None:
    seen: list[int] = []

    @anywhere.handler("a", retries=1, backoff=AT_ONCE)
    async def handle(job: Job) -> None:
        job.emit("data", {"text": BIG})
        job.emit("b", {"text": "small"})
        job.emit("b", {"text": BIG}, stream="others", key="k")
        if job.attempt == 1:
            raise RuntimeError

    @anywhere.handler("data")
    @anywhere.handler("b")
    async def next(text: str) -> None:
        seen.append(len(text))

    await anywhere.produce("a")
    watch = await drain(anywhere)
    assert watch.outcomes.count(Outcome.SUCCEEDED) == 3
    assert sorted(seen) == [5, 5000]
    [key] = data_keys(client)
    assert key.startswith("{others}:data:")
    [(_, fields)] = raw_entries(client, "others")
    assert [name for name, _ in fields] == ["type", "data", "key", "ref"]


async def test_an_event_that_cannot_be_written_leaves_no_data(
    big: App, client: redis.Redis
) -> None:
    client.set("wrong", "no stream")

    @big.handler("a")
    async def handle(job: Job) -> None:
        job.emit("b", {"text": BIG}, stream="others")
        job.emit("b", {"text": BIG}, stream="wrong")

    await big.produce("a")
    [verdict, *_] = (await drain(big)).verdicts
    assert verdict.reason == "emit failed"
    assert data_keys(client) == []
    assert not client.exists("others")


# -- what goes wrong ----------------------------------------------------------


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


# -- crashes ------------------------------------------------------------------


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


# -- lost connections ---------------------------------------------------------


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
