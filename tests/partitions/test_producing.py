"""Writing jobs to a stream that has partitions."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
import redis

from streamq import AlreadyEnqueued, App, NewJob, Partitioned
from streamq.admin import Admin
from streamq.errors import BacklogFull, ConfigError, PayloadError, ServerRefused
from streamq.partitions import hash_of
from tests.partitions.looking import entries
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


def lengths(client: redis.Redis, count: int = 4) -> list[int]:
    """How many entries each partition has."""
    return [int(client.xlen(f"{{jobs:{n}}}")) for n in range(count)]


async def test_the_first_job_lays_them_out(app: App, client: redis.Redis) -> None:
    job = await app.produce("t", key="a")
    assert client.hgetall("{jobs}:settings") == {"partitions": "4", "earlier": ""}
    assert [client.hgetall(f"{{jobs:{n}}}:settings") for n in range(4)] == [{"of": "4"}] * 4
    assert client.keys("jobs") == []
    assert job.place == "{jobs:3}"
    assert [id for id, _ in entries(client, "{jobs:3}")] == [job.id]


async def test_jobs_of_a_key_are_together_and_in_order(app: App, client: redis.Redis) -> None:
    keys = [f"k{n}" for n in range(20)]
    for n in range(3):
        for key in keys:
            await app.produce("t", {"n": n}, key=key)
    await app.produce_many([NewJob("t", {"n": n}, key=key) for n in (3, 4) for key in keys])
    for partition in range(4):
        mine = [entry for _, entry in entries(client, f"{{jobs:{partition}}}")]
        assert {hash_of(entry["key"]) % 4 for entry in mine} == {partition}
        for key in keys:
            own = [entry["data"] for entry in mine if entry["key"] == key]
            assert own in ([], [f'{{"n":{n}}}' for n in range(5)])


async def test_jobs_without_a_key_go_round(app: App, client: redis.Redis) -> None:
    for _ in range(8):
        await app.produce("t")
    assert lengths(client) == [2, 2, 2, 2]
    await app.produce_many(("t", {}) for _ in range(1202))
    assert sum(lengths(client)) == 1210
    assert max(lengths(client)) - min(lengths(client)) <= 3


async def test_many_jobs_are_told_of_in_order(app: App, client: redis.Redis) -> None:
    jobs = [
        NewJob("t", {"n": n}, key=f"k{n % 7}" if n % 3 else None, delay=60 if n % 11 == 5 else None)
        for n in range(700)
    ]
    written = await app.produce_many(jobs)
    assert len(written) == 700
    for n, (job, made) in enumerate(zip(jobs, written, strict=True)):
        assert made.place is not None
        if job.delay is None:
            assert dict(entries(client, made.place))[made.id]["data"] == f'{{"n":{n}}}'
        else:
            assert client.hexists(f"{made.place}:scheduled:jobs", made.id)
        assert job.key is None or made.place == f"{{jobs:{hash_of(job.key) % 4}}}"


async def test_what_comes_before_a_bad_job_is_written(app: App, client: redis.Redis) -> None:
    jobs = [("t", {"n": n}) for n in (1, 2, object(), 4)]
    with pytest.raises(PayloadError):
        await app.produce_many(jobs)
    assert sum(lengths(client)) == 2
    with pytest.raises(ConfigError):
        await app.produce("t", key="x" * 10_000)
    with pytest.raises(ConfigError, match="unique_for"):
        await app.produce_many([NewJob("t", unique_for=1)])


async def test_an_idempotency_key_is_known_wherever_it_is(app: App, client: redis.Redis) -> None:
    first = await app.produce("t", unique="u")
    again = await app.produce("t", unique="u")
    assert (again.id, again.created, again.place) == (first.id, False, first.place)
    with pytest.raises(AlreadyEnqueued) as taken:
        await app.produce("t", unique="u", on_conflict="error")
    assert taken.value.job.place == first.place
    assert sum(lengths(client)) == 1


@pytest.mark.parametrize("key", ["b", "d", "f"])
async def test_an_idempotency_key_is_known_after_growing(
    app: App, client: redis.Redis, key: str
) -> None:
    """Of b, d and f, one moves in the second step, one in both and one in none."""
    first = await app.produce("t", unique=key)
    for to in (8, 16):
        await app.admin.grow("jobs", to)
        async with App(app.url, streams={"jobs": Partitioned(4)}) as other:
            again = await other.produce("t", unique=key)
            assert (again.id, again.created, again.place) == (first.id, False, first.place)
    client.delete(f"{first.place}:unique:{key}")
    new = await app.produce("t", unique=key)
    assert new.created
    assert new.place == f"{{jobs:{hash_of(key) % 16}}}"
    assert not (await app.produce("t", unique=key)).created


async def test_two_apps_with_different_numbers(
    app: App, server: RedisServer, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await app.produce("t", key="a")
    async with App(server.unix_url, streams={"jobs": Partitioned(16)}) as other:
        with caplog.at_level("INFO"):
            job = await other.produce("t", key="d")
        assert job.place == "{jobs:0}"
    assert "has 4 partitions on the server, and the App says 16" in caplog.text
    assert client.hget("{jobs}:settings", "partitions") == "4"


async def test_a_producer_finds_that_the_stream_has_grown(app: App, client: redis.Redis) -> None:
    assert (await app.produce("t", key="d")).place == "{jobs:0}"
    await app.admin.grow("jobs", 16)
    assert (await app.produce("t", key="d")).place == "{jobs:12}"
    await app.admin.grow("jobs", 32)
    written = await app.produce_many([NewJob("t", key=f"k{n}") for n in range(200)])
    assert {job.place for job in written} == {
        f"{{jobs:{hash_of(f'k{n}') % 32}}}" for n in range(200)
    }
    assert Counter(job.place for job in written)[None] == 0


async def test_jobs_without_a_key_come_to_new_partitions(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.produce("t")
    await app.admin.grow("jobs", 8)
    monkeypatch.setattr("streamq.produce.partitioned.REFRESH", 0)
    await app.produce_many(("t", {}) for _ in range(80))
    assert min(lengths(client, 8)) >= 9


async def test_a_partition_that_is_never_opened(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.produce.partitioned.PATIENCE", 0.1)
    await app.produce("t", key="d")
    client.hset("{jobs}:settings", "growing", "16")  # and whoever did it is gone
    client.hset("{jobs:0}:settings", "of", "16")
    with pytest.raises(ServerRefused, match="streamq stream grow jobs --to 16"):
        await app.produce("t", key="d")
    with pytest.raises(ServerRefused, match="nothing was written"):
        await app.produce_many([NewJob("t", key="d")])
    assert lengths(client) == [1, 0, 0, 0]
    assert (await app.produce("t", key="b")).place == "{jobs:1}"  # which takes it as before
    await app.admin.grow("jobs", 16)
    assert (await app.produce("t", key="d")).place == "{jobs:12}"


async def test_a_bound_is_shared_by_the_partitions(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url, streams={"jobs": Partitioned(4)}, max_backlog=8) as app:
        for _ in range(8):
            await app.produce("t")
        with pytest.raises(BacklogFull, match="the stream jobs is full"):
            await app.produce("t")
        with pytest.raises(BacklogFull):
            await app.produce_many([("t", {})])
        assert lengths(client) == [2, 2, 2, 2]


async def test_large_data_is_kept_beside_the_partition(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url, streams={"jobs": Partitioned(4)}, offload=100) as app:
        job = await app.produce("t", {"x": "y" * 200}, key="d")
        await app.produce_many([NewJob("t", {"x": "y" * 200}, key="d")])
        assert job.place == "{jobs:0}"
        kept = {str(key).rpartition(":")[2] for key in client.keys("{jobs:0}:data:*")}
        assert len(kept - {"holders", "unheld"}) == 2


async def test_replicas_that_are_not_there(server: RedisServer) -> None:
    from streamq.errors import NotReplicated

    streams = {"jobs": Partitioned(4)}
    async with App(server.unix_url, streams=streams, replicas=1, replica_timeout=0.01) as app:
        for job in (NewJob("t"), NewJob("t", key="d"), NewJob("t", unique="u")):
            with pytest.raises(NotReplicated):
                await app.produce_many([job])


async def test_a_job_tells_where_it_is_after_pickling(app: App) -> None:
    job = await app.produce("t", key="a")
    again = pickle.loads(pickle.dumps(job))
    assert (again.id, again.place, again.created) == (job.id, "{jobs:3}", True)


async def test_other_streams_have_none(app: App, client: redis.Redis) -> None:
    job = await app.produce("t", key="a", stream="mails")
    assert (job.place, client.xlen("mails")) == (None, 1)
    assert await app.admin.partitions("mails") == []


async def test_a_name_with_a_hash_tag(server: RedisServer, client: redis.Redis) -> None:
    async with App(
        server.unix_url, stream="{eu}:jobs", streams={"{eu}:jobs": Partitioned(2)}
    ) as app:
        await app.produce_many([("t", {}), ("t", {})])
        assert (client.xlen("{eu:0}:jobs"), client.xlen("{eu:1}:jobs")) == (1, 1)
        assert (await Admin(app.server).info()).streams[0].name == "{eu}:jobs"
