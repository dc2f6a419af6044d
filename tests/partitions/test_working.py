"""Workers of a stream that has partitions."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

import pytest
import redis

from streamq import App, Job, NewJob, Partitioned, Settings
from streamq.errors import ConfigError
from streamq.signals import LeaseLost, Signals
from streamq.worker.partitions import SignalsOfPartition
from tests.partitions.handlers import in_a_process
from tests.servers import RedisServer
from tests.worker.support import QUIET, Watch, drain, eventually, running

pytestmark = pytest.mark.anyio


async def test_a_worker_reads_all_partitions(app: App, client: redis.Redis) -> None:
    seen: list[tuple[int, str, int | None, str]] = []

    @app.handler("t")
    async def handle(job: Job, n: int) -> None:
        seen.append((n, job.stream, job.partition, job.place))

    await app.produce_many(("t", {"n": n}) for n in range(400))
    watch = await drain(app)
    assert sorted(n for n, *_ in seen) == [*range(400)]
    assert {(stream, partition, place) for _, stream, partition, place in seen} == {
        ("jobs", n, f"{{jobs:{n}}}") for n in range(4)
    }
    assert {verdict.job.stream for verdict in watch.verdicts} == {"jobs"}
    assert [client.xlen(f"{{jobs:{n}}}") for n in range(4)] == [0] * 4


async def test_partitions_share_the_slots_of_the_group(app: App) -> None:
    running_now, most = 0, 0

    @app.handler("t")
    async def handle() -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.002)
        running_now -= 1

    await app.produce_many(("t", {}) for _ in range(100))
    await drain(app, settings=Settings(concurrency=3, result_ttl=0))
    assert most == 3


async def test_the_order_of_each_key_is_kept(app: App) -> None:
    group = app.group("g", order=True)
    seen: dict[str | None, list[int]] = defaultdict(list)

    @group.handler("t")
    async def handle(job: Job, n: int) -> None:
        await asyncio.sleep(0.001 * (n % 3))
        seen[job.key].append(n)

    await app.produce_many(NewJob("t", {"n": n}, key=f"k{n % 9}") for n in range(180))
    await drain(app)
    assert {key: numbers == sorted(numbers) for key, numbers in seen.items()} == {
        f"k{n}": True for n in range(9)
    }


async def test_what_is_written_under_the_plain_name_is_read_too(
    app: App, client: redis.Redis
) -> None:
    places: list[int | None] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        places.append(job.partition)

    await app.produce("t", key="a")
    async with running(app, settings=QUIET):
        await eventually(lambda: places == [3])
        client.xadd("jobs", {"type": "t", "data": "{}"})
        await eventually(lambda: places == [3, None])
    assert client.xlen("jobs") == 0


async def test_an_app_that_does_not_say_so_reads_them_too(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    await app.produce_many(("t", {}) for _ in range(8))
    done = []
    async with App(server.unix_url) as other:
        other.handler("t")(lambda job: done.append(job.partition))
        await drain(other)
    assert sorted(done) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not client.exists("jobs")


async def test_weights_go_by_stream_and_not_by_partition(server: RedisServer) -> None:
    order: list[str] = []
    async with App(server.unix_url, streams={"jobs": Partitioned(4)}) as app:
        app.handler("t")(lambda job: order.append(job.stream))
        app.handler("t", stream="urgent")(lambda job: order.append(job.stream))
        await app.produce_many((("t", {}) for _ in range(400)), stream="jobs")
        await app.produce_many((("t", {}) for _ in range(400)), stream="urgent")
        await drain(
            app, streams={"urgent": 3, "jobs": 1}, settings=Settings(concurrency=1, result_ttl=0)
        )
    assert len(order) == 800
    assert 280 <= order[:400].count("urgent") <= 320


async def test_in_strict_order_no_partition_goes_before_another(server: RedisServer) -> None:
    order: list[tuple[str, int | None]] = []
    async with App(server.unix_url, streams={"jobs": Partitioned(4)}) as app:
        app.handler("t")(lambda job: order.append((job.stream, job.partition)))
        app.handler("t", stream="bulk")(lambda job: order.append((job.stream, None)))
        await app.produce_many((("t", {}) for _ in range(100)), stream="bulk")
        await app.produce_many((("t", {}) for _ in range(200)), stream="jobs")
        await drain(
            app, streams=["jobs", "bulk"], strict=True,
            settings=Settings(concurrency=1, result_ttl=0),
        )  # fmt: skip
    assert [stream for stream, _ in order] == ["jobs"] * 200 + ["bulk"] * 100
    assert {partition for _, partition in order[:8]} == {0, 1, 2, 3}


async def test_results_are_found_by_the_job_and_by_its_id(app: App) -> None:
    group = app.group("g")

    @group.handler("t")
    async def handle(n: int) -> int:
        return 2 * n

    job = await app.produce("t", {"n": 4}, key="a")
    later = await app.produce("t", {"n": 5}, key="b", delay=0.01)
    many = await app.produce_many([("t", {"n": n}) for n in range(10)])
    await drain(app, settings=Settings())
    assert await job.result(timeout=5) == 8
    assert await app.job(job.id, stream="{jobs:3}").result(timeout=5) == 8
    assert await later.result(timeout=5) == 10
    assert await app.job(later.id).result(timeout=5) == 10
    ends = {end.id: end.value async for end in app.results(many, timeout=5)}
    assert len(ends) == len({job.id for job in many})


async def test_one_id_in_two_partitions(app: App, client: redis.Redis) -> None:
    group = app.group("g")
    group.handler("t")(lambda n: n)
    await app.produce("t", {"n": 0}, key="a")
    for n in (1, 2):
        client.xadd(f"{{jobs:{n}}}", {"type": "t", "data": f'{{"n":{n}}}'}, id="5-1")
    await drain(app, settings=Settings())
    with pytest.raises(ConfigError, match=r"\{jobs:1\} or \{jobs:2\}"):
        await app.job("5-1").result(timeout=5)
    assert await app.job("5-1", stream="{jobs:2}").result(timeout=5) == 2
    with pytest.raises(ConfigError, match=r"\{jobs:1\} and \{jobs:2\}"):
        await app.admin.status("jobs", "5-1")
    found = await app.admin.statuses("jobs", "5-1")
    assert [(one.stream, one.groups[0].result) for one in found] == [
        ("{jobs:1}", 1),
        ("{jobs:2}", 2),
    ]


async def test_follow_up_events_go_where_their_key_says(app: App, client: redis.Redis) -> None:
    places: list[tuple[str, int | None]] = []

    @app.handler("first")
    async def first(job: Job) -> None:
        for key in ("a", "b", "d"):
            job.emit("second", {"key": key}, key=key)
        job.emit("second", {"key": "none"})
        job.emit("elsewhere", stream="mails")

    @app.handler("second")
    async def second(job: Job, key: str) -> None:
        places.append((key, job.partition))

    await app.produce("first", key="e")
    await drain(app)
    assert sorted(places) == [("a", 3), ("b", 1), ("d", 0), ("none", 2)]  # that of e
    assert client.xlen("mails") == 1


async def test_jobs_of_another_stream_emit_to_partitions(server: RedisServer) -> None:
    places: list[int | None] = []
    async with App(server.unix_url, streams={"parts": Partitioned(4)}) as app:

        @app.handler("first")
        async def first(job: Job) -> None:
            assert (job.stream, job.partition, job.place) == ("jobs", None, "jobs")
            job.emit("second", stream="parts", key="a")
            job.emit("second", stream="parts")

        @app.handler("second", stream="parts")
        async def second(job: Job) -> None:
            places.append(job.partition)

        await app.produce("first")
        await drain(app)
    assert len(places) == 2
    assert 3 in places


async def test_a_handler_in_a_process_knows_its_partition(app: App) -> None:
    group = app.group("g")
    group.handler("t", process=True)(in_a_process)
    job = await app.produce("t", key="a")
    await drain(app, settings=Settings(processes=1))
    assert await job.result(timeout=5) == ["jobs", 3, "{jobs:3}"]


async def test_periodic_jobs_are_written_once(app: App, client: redis.Redis) -> None:
    done: list[int | None] = []

    @app.every(1, name="tick")
    async def tick(job: Job) -> None:
        done.append(job.partition)

    async with running(app, settings=QUIET):
        await eventually(lambda: len(done) >= 2)
    assert set(done) == {0}
    assert client.exists("{jobs:0}:cron")
    assert not client.exists("{jobs:1}:cron")
    assert [one.name for one in await app.admin.schedules.list("jobs")] == ["tick"]


async def test_rules_by_a_field_of_the_data_are_refused(app: App) -> None:
    group = app.group("g", order=True, key_from="customer")
    group.handler("t")(lambda: None)
    with pytest.raises(ConfigError, match="key_from='customer' on the stream jobs"):
        await app.worker().run()


async def test_signals_name_the_stream() -> None:
    watch = Watch()
    signals = SignalsOfPartition(Signals([watch]), "{jobs:3}", "jobs")
    signals.send(LeaseLost("{jobs:3}", "g", ["1-1"]))
    signals.send(LeaseLost("mails", "g", ["1-1"]))
    assert [event.stream for event in watch.of(LeaseLost)] == ["jobs", "mails"]


async def test_a_worker_from_before_says_that_it_is_to_be_started_again(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr("streamq.worker.sources.upkeep.EVERY", 0.02)
    done: list[int | None] = []
    async with App(server.unix_url) as app:
        app.handler("t")(lambda job: done.append(job.partition))
        with caplog.at_level(logging.WARNING):
            async with running(app, settings=QUIET):
                await eventually(lambda: client.exists("jobs"))
                await app.admin.grow("jobs", 2)
                await eventually(lambda: "start it again" in caplog.text)
        async with App(server.unix_url, streams={"jobs": Partitioned(2)}) as other:
            await other.produce_many([("t", {}), ("t", {})])
        await drain(app)
    assert sorted(done, key=str) == [0, 1]
    assert caplog.text.count("start it again") == 1
