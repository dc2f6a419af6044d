"""What a Cluster answers while it changes: MOVED, ASK, TRYAGAIN, CLUSTERDOWN."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from streamq import App, Job, NewJob, Settings
from streamq.errors import ServerRefused, WrongKeyType
from streamq.server.packing import pack
from streamq.server.replies import Unstable
from streamq.server.topology.cluster import link as cluster_link
from tests.topology.cluster import ClusterNode, ClusterServers
from tests.waiting import eventually
from tests.worker.support import drain, running

pytestmark = pytest.mark.anyio

KEY = "jobs"


def elsewhere(cluster: ClusterServers, key: str = KEY) -> ClusterNode:
    """A primary that does not have the slot of a key."""
    owner = cluster.owner(key)
    return next(node for node in cluster.primaries if node is not owner)


def move(cluster: ClusterServers, key: str = KEY) -> ClusterNode:
    """Move the slot of a key to another node."""
    target = elsewhere(cluster, key)
    with cluster.moving(key, target):
        pass
    return target


async def test_moved(app: App, cluster: ClusterServers) -> None:
    ids = [(await app.produce("t")).id]
    target = move(cluster)
    ids += [(await app.produce("t")).id]
    assert [id for id, _ in target.ask("XRANGE", KEY, "-", "+")] == ids


async def test_moved_is_learnt(app: App, cluster: ClusterServers) -> None:
    await app.produce("t")
    before = cluster.owner(KEY)
    move(cluster)
    await app.produce("t")
    before.ask("CONFIG", "RESETSTAT")
    await app.produce("t")
    assert "errorstat_MOVED" not in before.ask("INFO", "errorstats")


async def test_many_jobs_while_the_slot_moves(app: App, cluster: ClusterServers) -> None:
    moved = False

    async def jobs() -> AsyncIterator[tuple[str, dict[str, int]]]:
        nonlocal moved
        for n in range(4000):
            if n == 1700:
                await asyncio.to_thread(move, cluster)
                moved = True
            yield "t", {"n": n}

    written = await app.produce_many(jobs())
    assert moved
    entries = cluster.owner(KEY).ask("XRANGE", KEY, "-", "+")
    assert [job.id for job in written] == [id for id, _ in entries]
    assert [int(fields["data"][5:-1]) for _, fields in entries] == list(range(4000))


@pytest.mark.parametrize("moved", [False, True], ids=["before its keys", "after its keys"])
async def test_jobs_while_the_slot_is_on_its_way(
    app: App, cluster: ClusterServers, moved: bool
) -> None:
    await app.produce("t", {"n": 1})
    target = elsewhere(cluster)
    with cluster.moving(KEY, target) as migrate:
        if moved:
            migrate()
        await app.produce("t", {"n": 2})
        await app.produce_many([("t", {"n": n}) for n in range(3, 6)])
        async with App(cluster.url, replicas=1) as careful:
            await careful.produce("t", {"n": 6})
        assert (await app.admin.stream(KEY)).length == 6
    entries = target.ask("XRANGE", KEY, "-", "+")
    assert [int(fields["data"][5:-1]) for _, fields in entries] == [1, 2, 3, 4, 5, 6]


async def test_a_script_waits_for_keys_that_are_on_their_way(
    app: App, cluster: ClusterServers
) -> None:
    await app.produce("t")
    target = elsewhere(cluster)
    with cluster.moving(KEY, target):
        # Of its keys, only the stream is there: neither node may run the script now.
        waiting = asyncio.create_task(app.produce("t", unique="k"))
        source = cluster.owner(KEY)
        await eventually(lambda: "errorstat_TRYAGAIN" in source.ask("INFO", "errorstats"))
        assert not waiting.done()
    assert (await waiting).created
    assert target.ask("XLEN", KEY) == 2


async def test_a_script_that_waits_too_long(
    app: App, cluster: ClusterServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_link, "PATIENCE", 0.1)
    await app.produce("t")
    with cluster.moving(KEY, elsewhere(cluster)):
        with pytest.raises(Unstable, match="is moving the keys to another node") as caught:
            await app.produce("t", unique="k")
        assert caught.value.passing


async def test_a_transaction_while_the_slot_is_on_its_way(
    app: App, cluster: ClusterServers
) -> None:
    job = await app.produce("t")
    await app.admin.create_group(KEY, "g")
    with cluster.moving(KEY, elsewhere(cluster)) as migrate:
        migrate()
        transaction = b"".join(map(pack, (("MULTI",), ("XLEN", KEY), ("TYPE", KEY), ("EXEC",))))
        async with app.server.borrowed() as link:
            *_, replies = await link.exchange(transaction, 4)
            assert replies == [1, b"stream"]
            # What has no key goes along, what is for another node does not.
            packed = b"".join(
                map(pack, (("TIME",), ("XLEN", KEY), ("SET", "b", 1), ("WAIT", 0, 1)))
            )
            time, length, done, replicas = await link.exchange(packed, 4)
            assert (len(time), length, done) == (2, 1, b"OK")
            assert replicas >= 0
    assert (await app.admin.status(KEY, job.id)).id == job.id


async def test_commands_for_several_nodes_at_once(app: App, cluster: ClusterServers) -> None:
    keys = [f"k{n}" for n in range(50)]
    packed = b"".join(pack(("RPUSH", key, number)) for number, key in enumerate(keys) for _ in "ab")
    async with app.server.borrowed() as link:
        assert await link.exchange(packed, 100) == [1, 2] * 50
        found = await link.exchange(b"".join(pack(("LRANGE", key, 0, -1)) for key in keys), 50)
        assert found == [[b"%d" % n] * 2 for n in range(50)]


async def test_an_error_in_the_middle_stays_in_its_place(app: App, cluster: ClusterServers) -> None:
    keys = [f"k{n}" for n in range(9)]
    commands = [("RPUSH" if n == 4 else "SET", key, "x") for n, key in enumerate(keys)]
    async with app.server.borrowed() as link:
        await link.exchange(b"".join(map(pack, commands)), 9)
        replies = await link.exchange(b"".join(pack(("GET", key)) for key in keys), 9)
        assert isinstance(replies[4], WrongKeyType)
        assert [*replies[:4], *replies[5:]] == [b"x"] * 8


async def test_a_worker_goes_along(app: App, cluster: ClusterServers) -> None:
    handled = []

    @app.handler("t")
    async def handle(n: int) -> None:
        handled.append(n)

    async with running(app):
        await app.produce("t", {"n": 0})
        await eventually(lambda: handled == [0])
        for n in range(1, 4):
            await asyncio.to_thread(move, cluster)
            await app.produce("t", {"n": n})
            await eventually(lambda n=n: handled[-1] == n)  # type: ignore[misc]
    assert handled == [0, 1, 2, 3]


async def test_who_waits_for_a_result_goes_along(app: App, cluster: ClusterServers) -> None:
    app.handler("t")(lambda: 42)
    job = await app.produce("t")
    result = asyncio.ensure_future(job.result(group="default", timeout=60))
    channel = f"{{jobs}}:group:default:results:{job.id}"

    def heard() -> bool:
        owner = cluster.owner(KEY)
        return bool(owner.ask("PUBSUB", "SHARDNUMSUB", channel)[1])

    await eventually(heard)
    await asyncio.to_thread(move, cluster)
    await eventually(heard)
    await drain(app, settings=Settings())
    assert await result == 42


async def test_who_begins_to_wait_where_the_slot_was(app: App, cluster: ClusterServers) -> None:
    app.handler("t")(lambda: 42)
    job = await app.produce("t")
    async with App(cluster.url) as waits:
        await waits.produce("t", delay=3600)  # so that it knows the Cluster as it is now
        move(cluster)
        result = asyncio.ensure_future(waits.job(job.id).result(group="default", timeout=60))
        await asyncio.sleep(0)
        await drain(app, settings=Settings())
        assert await result == 42


@contextmanager
def nobody_has(cluster: ClusterServers, key: str) -> Iterator[None]:
    """Let no node have the slot of a key."""
    from streamq.wire.slots import slot_of

    owner, slot = cluster.owner(key), slot_of(key.encode())
    for node in cluster.nodes:
        if node.ask("ROLE")[0] == "master":
            node.ask("CLUSTER", "DELSLOTS", slot)
    yield
    owner.ask("CLUSTER", "ADDSLOTS", slot)
    cluster.settled()


async def test_a_slot_that_nobody_has(
    app: App, cluster: ClusterServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody_has(cluster, KEY):
        monkeypatch.setattr(cluster_link, "PATIENCE", 0.1)
        with pytest.raises(ServerRefused, match=r"has no node for slot|is down") as caught:
            await app.produce("t")
        assert caught.value.passing
        monkeypatch.setattr(cluster_link, "PATIENCE", 60)
        waiting = asyncio.create_task(app.produce("t"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert (await waiting).created


async def test_a_job_of_many_keys(app: App, cluster: ClusterServers) -> None:
    # Several scripts in one pipeline, each with keys of its own in the same slot.
    await app.produce("t")
    move(cluster)
    jobs = await app.produce_many([NewJob("t", unique=f"k{n % 3}") for n in range(6)])
    assert [job.created for job in jobs] == [True] * 3 + [False] * 3

    @app.handler("t")
    async def handle(job: Job) -> None:
        job.emit("t2")

    app.handler("t2")(lambda: None)
    assert len((await drain(app)).outcomes) == 8
