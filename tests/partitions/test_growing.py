"""Giving a stream more partitions: nothing is lost, no key out of order, wherever it stops."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import redis

from streamq import App, Job, NewJob, Partitioned, Settings
from streamq.errors import ConfigError, ServerUnavailable
from streamq.partitions import grow, hash_of
from streamq.server import Server
from tests.partitions.looking import entries
from tests.servers import RedisServer
from tests.worker.support import AT_ONCE, QUIET, drain, eventually, running

pytestmark = pytest.mark.anyio

KEYS = [f"k{n}" for n in range(24)]


class Interrupted(Exception):
    """Whoever lets the stream grow is stopped."""


class Interrupting(Server):
    """A server that takes so many calls, and no more."""

    left = 10**9

    async def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Interrupted

    async def call(self, *args: Any) -> Any:
        await self._count()
        return await super().call(*args)

    async def run(self, script: Any) -> Any:
        await self._count()
        return await super().run(script)


async def test_growing_in_steps(app: App, client: redis.Redis) -> None:
    await app.produce("t", key="d")
    settings = await app.admin.grow("jobs", 8)
    assert (settings.partitions, settings.growing) == (8, None)
    assert client.hgetall("{jobs}:settings") == {"partitions": "8", "earlier": " 4"}
    last = client.xinfo_stream("{jobs:0}")["last-generated-id"]
    assert client.hgetall("{jobs:0}:settings") == {"of": "8", "grown_at": last}
    assert client.hgetall("{jobs:4}:settings") == {
        "of": "8", "source": "{jobs:0}", "source_end": last,
    }  # fmt: skip
    assert client.hget("{jobs:5}:settings", "source_end") == "0-0"
    await app.admin.grow("jobs", 8)
    await app.admin.grow("jobs", 16)
    assert client.hgetall("{jobs}:settings") == {"partitions": "16", "earlier": " 4 8"}


@pytest.mark.parametrize("to", [6, 3, 2, 10, 0, 1025, -8, 2000])
async def test_numbers_to_which_it_cannot_grow(app: App, to: int) -> None:
    await app.produce("t")
    with pytest.raises(ConfigError, match="partitions"):
        await app.admin.grow("jobs", to)
    assert (await app.admin.settings("jobs")).partitions == 4


async def test_one_growth_at_a_time(app: App, client: redis.Redis) -> None:
    await app.produce("t")
    client.hset("{jobs}:settings", "growing", "8")
    with pytest.raises(ConfigError, match="about to have 8 partitions: let that end first"):
        await app.admin.grow("jobs", 16)
    await asyncio.gather(*(app.admin.grow("jobs", 8) for _ in range(5)))
    assert (await app.admin.settings("jobs")).partitions == 8


async def test_what_is_set_holds_in_new_partitions(app: App, client: redis.Redis) -> None:
    await app.produce("t")
    await app.admin.create_group("jobs", "g", "$")
    await app.admin.create_group("jobs", "audit")
    await app.admin.pause("jobs", "g")
    await app.admin.set_stream("jobs", retain="7d", abandon_after="1d", group="audit")
    await app.admin.grow("jobs", 8)
    assert sorted(await app.admin.group_names("{jobs:7}")) == ["audit", "g"]
    assert client.xinfo_groups("{jobs:7}")[1]["last-delivered-id"] == "0-0"
    settings = await app.admin.settings("{jobs:7}")
    assert (settings.retain, settings.abandon_group_after) == (7 * 86400, {"audit": 86400})
    groups = {one.name: one for one in await app.admin.groups("{jobs:7}")}
    assert groups["g"].state.paused_since is not None
    assert groups["audit"].state.paused_since is None


async def test_a_group_that_nobody_reads_loses_nothing_in_a_new_partition(app: App) -> None:
    """Its entries would go when all others have settled them, if it were not there at once."""
    app.group("g").handler("t")(lambda: None)
    await app.produce("t", key="d")
    await app.admin.create_group("jobs", "audit")
    await app.admin.grow("jobs", 16)
    await app.produce_many(NewJob("t", key=key) for key in KEYS)
    await drain(app)
    audit = next(one for one in await app.admin.groups("jobs") if one.name == "audit")
    assert audit.queued == 1 + len(KEYS)


@pytest.mark.parametrize("count", range(0, 60, 3))
async def test_wherever_it_stops_it_can_go_on(
    app: App, server: RedisServer, client: redis.Redis, count: int
) -> None:
    await app.produce_many(NewJob("t", {"n": 0}, key=key) for key in KEYS)
    await app.admin.create_group("jobs", "g")
    other = Interrupting(server.unix_url)
    other.left = count
    try:
        await grow(other, "jobs", 8)
    except Interrupted:
        pass
    finally:
        await other.close()
    # Those whose partition takes them are written, the others when it has gone on.
    writing = asyncio.gather(*(app.produce("t", {"n": 1}, key=key) for key in KEYS))
    await asyncio.sleep(0)
    await app.admin.grow("jobs", 8)
    places = {job.place for job in await writing}
    late = await app.produce_many(NewJob("t", {"n": 2}, key=key) for key in KEYS)
    assert [job.place for job in late] == [f"{{jobs:{hash_of(key) % 8}}}" for key in KEYS]
    assert places <= {f"{{jobs:{n}}}" for n in range(8)}
    for number in range(4):  # what was written to an old partition comes before the new one
        end = str(client.hget(f"{{jobs:{number}}}:settings", "grown_at"))
        assert client.hget(f"{{jobs:{number + 4}}}:settings", "source_end") == end
        for id, entry in entries(client, f"{{jobs:{number}}}", f"({end}"):
            assert hash_of(entry["key"]) % 8 == number, id
    assert [len(client.xinfo_groups(f"{{jobs:{n}}}")) for n in range(8)] == [1] * 8
    assert client.hgetall("{jobs}:settings") == {"partitions": "8", "earlier": " 4"}


async def test_workers_go_on_with_what_was_interrupted(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    done: list[str | None] = []
    app.handler("t")(lambda job: done.append(job.key))
    await app.produce("t", key="d")
    other = Interrupting(server.unix_url)
    other.left = 8
    with pytest.raises(Interrupted):
        await grow(other, "jobs", 16)
    await other.close()
    async with running(app, settings=QUIET):
        await app.produce("t", key="d")  # waits for its partition
        await eventually(lambda: len(done) == 2)
    assert client.hget("{jobs}:settings", "partitions") == "16"


async def test_a_worker_that_runs_comes_to_new_partitions(app: App) -> None:
    places: list[int | None] = []
    app.handler("t")(lambda job: places.append(job.partition))
    async with running(app, settings=QUIET) as worker:
        await app.produce("t", key="d")
        await eventually(lambda: places == [0])
        await app.admin.grow("jobs", 16)
        await app.produce("t", key="d")
        await eventually(lambda: places == [0, 12])
        assert len(worker.consumers) == 16


async def test_a_new_partition_waits_for_what_its_keys_have_in_the_old_one(app: App) -> None:
    group = app.group("g", order=True, retries=50, backoff=AT_ONCE)
    begun: list[tuple[int, int | None]] = []
    go_on = asyncio.Event()

    @group.handler("t")
    async def handle(job: Job, n: int) -> None:
        begun.append((n, job.partition))
        if n == 0:
            await go_on.wait()

    await app.produce("t", {"n": 0}, key="d")
    async with running(app, settings=QUIET):
        try:
            await eventually(lambda: begun == [(0, 0)])
            await app.produce("t", {"n": 1}, key="d")
            await app.admin.grow("jobs", 8)
            await app.produce("t", {"n": 2}, key="d")
            await app.admin.grow("jobs", 16)
            await app.produce("t", {"n": 3}, key="d")
            await app.produce("t", {"n": 4}, key="c")  # of other partitions, which are free
            await eventually(lambda: (4, 15) in begun)
            assert begun == [(0, 0), (4, 15)]
        finally:
            go_on.set()
        await eventually(lambda: len(begun) == 5)
    assert begun == [(0, 0), (4, 15), (1, 0), (2, 4), (3, 12)]


async def test_a_group_without_order_does_not_wait(app: App) -> None:
    begun: list[int] = []
    go_on = asyncio.Event()

    @app.handler("t")
    async def handle(n: int) -> None:
        begun.append(n)
        if n == 0:
            await go_on.wait()

    await app.produce("t", {"n": 0}, key="d")
    async with running(app, settings=QUIET):
        await eventually(lambda: begun == [0])
        await app.admin.grow("jobs", 16)
        await app.produce("t", {"n": 1}, key="d")
        await eventually(lambda: begun == [0, 1])
        go_on.set()


async def test_a_worker_stops_while_a_partition_waits(app: App) -> None:
    group = app.group("g", order=True, retries=50)
    begun = asyncio.Event()

    @group.handler("t")
    async def handle() -> None:
        begun.set()
        await asyncio.Event().wait()

    await app.produce("t", key="d")
    async with running(app, settings=Settings(grace=0, result_ttl=0)) as worker:
        await begun.wait()
        await app.admin.grow("jobs", 8)
        await eventually(lambda: len(worker.consumers) == 8)


async def test_a_stream_without_partitions_gets_some(
    server: RedisServer, client: redis.Redis
) -> None:
    seen: dict[str | None, list[int]] = defaultdict(list)
    async with App(server.unix_url) as plain:
        plain.group("g", order=True).handler("t")(_noting(seen))
        await plain.produce_many(NewJob("t", {"n": 0}, key=key) for key in KEYS)
        await plain.produce("t", {"n": 7}, unique="u")
        await plain.admin.create_group("jobs", "g")
    async with App(server.unix_url, streams={"jobs": Partitioned(4)}) as app:
        app.group("g", order=True).handler("t")(_noting(seen))
        await app.produce_many(NewJob("t", {"n": 1}, key=key) for key in KEYS)
        assert client.hgetall("{jobs}:settings")["earlier"] == "0"
        assert not (await app.produce("t", {"n": 7}, unique="u")).created
        await drain(app, settings=Settings(concurrency=4, result_ttl=0))
        seen.pop(None)
        assert seen == {key: [0, 1] for key in KEYS}
        about = await app.admin.stream("jobs")
        assert (about.length, about.partitions) == (0, 4)


async def test_a_new_group_begins_where_it_is_told(app: App, server: RedisServer) -> None:
    """But one that there was before the new partitions gets all that is in these."""
    await app.produce("t", {"n": 0}, key="d")
    app.group("g").handler("t")(lambda: None)
    await app.admin.create_group("jobs", "g", "$")
    await app.admin.grow("jobs", 16)
    await app.admin.delete_group("{jobs:12}", "g")  # as if it had been made a moment later
    await app.produce("t", {"n": 1}, key="d")
    watch = await drain(app, settings=Settings(start="$", result_ttl=0))
    assert [verdict.job.data for verdict in watch.verdicts] == [{"n": 1}]
    async with App(server.unix_url, streams={"jobs": Partitioned(4)}) as other:
        other.group("new").handler("t")(lambda: None)
        await app.produce("t", {"n": 2}, key="d")
        watch = await drain(other, settings=Settings(start="$", result_ttl=0))
    assert watch.verdicts == []


async def test_the_server_is_gone(app: App, make_server: Callable[..., RedisServer]) -> None:
    gone = make_server()
    url = gone.unix_url
    gone.stop()
    async with App(url, streams={"jobs": Partitioned(4)}) as other:
        with pytest.raises(ServerUnavailable):
            await other.produce("t", key="a")


def _noting(seen: dict[str | None, list[int]]) -> Callable[[Job, int], None]:
    def handle(job: Job, n: int) -> None:
        seen[job.key].append(n)

    return handle
