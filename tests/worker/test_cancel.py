"""Cancelling: what waits never runs, what runs is stopped, the race with success has one winner."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import redis

from streamq import App, Job, NewJob, Retry, Settings
from streamq.errors import ConfigError, GroupNotFound, JobCancelled
from tests.lua.support import ids_of
from tests.servers import RedisServer
from tests.worker.support import QUIET, Outcome, Watch, drain, eventually, running

pytestmark = pytest.mark.anyio

SET = "{jobs}:group:g:cancelled"


async def test_a_queued_job_never_runs(app: App, client: redis.Redis) -> None:
    ran: list[int] = []

    @app.group("g").handler("a")
    async def a(n: int) -> None:
        ran.append(n)

    await app.produce("a", {"n": 0})
    await drain(app)
    jobs = await app.produce_many([("a", {"n": n}) for n in range(1, 4)])
    assert await jobs[1].cancel()
    status = await app.admin.status("jobs", jobs[1].id)
    assert (status.groups[0].state, status.groups[0].note) == ("cancelled", "it will not run")
    watch = await drain(app, settings=Settings())
    assert ran == [0, 1, 3]
    assert watch.outcomes.count(Outcome.CANCELLED) == 1
    status = await app.admin.status("jobs", jobs[1].id)
    assert status.groups[0].state == "cancelled"
    assert ids_of(client) == []
    with pytest.raises(JobCancelled):
        await jobs[1].result(timeout=5)
    assert not await jobs[1].cancel()


async def test_one_of_several_groups(app: App, client: redis.Redis) -> None:
    ran: list[str] = []
    app.group("g").handler("a")(lambda: ran.append("g"))
    app.group("h").handler("a")(lambda: ran.append("h"))
    for group in ("g", "h"):
        client.xgroup_create("jobs", group, "0", mkstream=True)
    job = await app.produce("a")
    done = await app.cancel(job, group="g")
    assert (bool(done), dict(done.groups)) == (True, {"g": "cancelled"})
    await drain(app)
    assert ran == ["h"]
    with pytest.raises(GroupNotFound):
        await app.cancel(job, group="nobody")


async def test_a_job_that_no_group_has_seen(app: App, client: redis.Redis) -> None:
    job = await app.produce("a")
    assert await job.cancel()
    assert client.xlen("jobs") == 0
    assert not await job.cancel()


@pytest.mark.parametrize("how", ["retrying", "held", "stalled"])
async def test_a_job_that_waits_ends_at_once(app: App, client: redis.Redis, how: str) -> None:
    client.xgroup_create("jobs", "g", "0", mkstream=True)
    group = app.group("g", order=how == "held", retries=3)
    go_on, begun = asyncio.Event(), asyncio.Event()

    @group.handler("a")
    async def a(job: Job, n: int) -> None:
        begun.set()
        if how == "retrying":
            raise Retry(delay=3600)
        await go_on.wait()

    jobs = await app.produce_many([NewJob("a", {"n": n}, key="k") for n in range(2)])
    victim = jobs[1]
    if how == "stalled":
        client.xreadgroup("g", "gone", {"jobs": ">"}, count=2)
        client.xclaim("jobs", "g", "gone", 0, [victim.id], idle=60_000, justid=True)
        assert (await app.cancel(victim)).groups == {"g": "cancelled"}
        assert [row["message_id"] for row in client.xpending_range("jobs", "g", "-", "+", 9)] == [
            jobs[0].id
        ]
        return
    async with running(app, settings=QUIET):
        await begun.wait()
        holder = "~held" if how == "held" else "~retry"
        await eventually(lambda: client.xpending_range("jobs", "g", victim.id, victim.id, 1))
        await eventually(
            lambda: (
                client.xpending_range("jobs", "g", victim.id, victim.id, 1)[0]["consumer"] == holder
            )
        )
        assert (await app.cancel(victim)).groups == {"g": "cancelled"}
        assert client.xpending_range("jobs", "g", victim.id, victim.id, 1) == []
        assert client.xrange("jobs", victim.id, victim.id) == []
        go_on.set()
    assert not [key for key in client.keys("*") if ":flow:" in key]


async def test_a_job_for_later_is_taken_back(app: App, client: redis.Redis) -> None:
    job = await app.produce("a", delay=3600)
    with pytest.raises(ConfigError, match="is for later, and for every group"):
        await app.cancel(job, group="g")
    assert (await app.cancel(job)).taken_back
    assert client.keys("*") == []


async def test_a_running_job_is_stopped(app: App, client: redis.Redis) -> None:
    stopped: list[str] = []
    begun = asyncio.Event()

    @app.group("g").handler("a")
    async def a(job: Job) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            stopped.append(job.id)
            raise

    watch = Watch()
    async with running(app, observers=[watch]):
        job = await app.produce("a")
        await begun.wait()
        assert (await app.cancel(job)).groups == {"g": "cancelling"}
        with pytest.raises(JobCancelled, match="was cancelled"):
            await job.result(timeout=10)
    assert stopped == [job.id]
    assert watch.outcomes == [Outcome.CANCELLED]
    assert ids_of(client) == []


async def test_a_thread_is_told(app: App) -> None:
    begun, told = threading.Event(), threading.Event()

    @app.group("g").handler("a")
    def a(job: Job) -> None:
        begun.set()
        while not job.cancelled:
            told.wait(0.01)
        told.set()

    async with running(app):
        job = await app.produce("a")
        await asyncio.to_thread(begun.wait)
        assert await job.cancel()
        assert await job.wait(timeout=10) == "cancelled"
        assert await asyncio.to_thread(told.wait, 10)


async def test_whatever_the_handler_makes_of_it_it_is_cancelled(app: App) -> None:
    begun = asyncio.Event()

    @app.group("g").handler("a")
    async def a(job: Job) -> str:
        job.emit("b", stream="out")
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "done all the same"
        return ""

    async with running(app):
        job = await app.produce("a")
        await begun.wait()
        await job.cancel()
        assert await job.wait(timeout=10) == "cancelled"
    assert await app.server.call("EXISTS", "out") == 0


async def test_a_failure_that_came_first_is_no_retry(app: App, client: redis.Redis) -> None:
    """Cancelled while it ran, and failed before its worker was told."""
    go_on, begun, runs = asyncio.Event(), asyncio.Event(), 0

    @app.group("g").handler("a", retries=5)
    async def a() -> None:
        nonlocal runs
        runs += 1
        begun.set()
        await go_on.wait()
        raise Retry(delay=0)

    async with running(app):
        job = await app.produce("a")
        await begun.wait()
        await job.cancel()
        go_on.set()
        assert await job.wait(timeout=10) == "cancelled"
    assert runs == 1
    assert client.xlen("jobs") == 0


async def test_success_that_comes_first_has_won(app: App, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "g", "0", mkstream=True)

    @app.group("g").handler("a")
    async def a(job: Job) -> str:
        # Told by nobody yet: the look of the worker comes after.
        client.sadd(SET, job.id)
        return "done"

    job = await app.produce("a")
    await drain(app, settings=Settings(lease=0.3))
    assert await job.result(timeout=5) == "done"


async def test_ids_of_jobs_that_have_ended_do_not_stay(app: App, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "g", "0", mkstream=True)
    app.group("g").handler("a")(lambda: None)
    client.sadd(SET, *[f"{n}-0" for n in range(1, 150)])
    async with running(app, settings=Settings(lease=0.2)):
        await app.produce("a")
        await eventually(lambda: not client.exists(SET))


async def test_all_of_a_type_or_a_key(app: App, client: redis.Redis) -> None:
    ran: list[int] = []
    app.group("g").handler("*")(lambda n: ran.append(n))
    client.xgroup_create("jobs", "g", "0", mkstream=True)
    await app.produce_many(
        NewJob("news" if n % 2 else "mail", {"n": n}, key=f"k{n % 3}") for n in range(300)
    )
    await app.produce("news", {"n": 1000}, delay=3600)
    done = await app.admin.cancel_all("jobs", type="news")
    assert (done.cancelled, done.taken_back) == (150, 1)
    done = await app.admin.cancel_all("jobs", key="k0", where=lambda data: data["n"] < 100)
    assert done.cancelled == 34  # those of type news once more: it is the same to them
    await drain(app)
    assert sorted(ran) == [n for n in range(300) if n % 2 == 0 and (n % 3 or n >= 100)]
    with pytest.raises(ConfigError, match="say which jobs"):
        await app.admin.cancel_all("jobs")


async def test_a_worker_that_dies_with_a_cancelled_job(
    server: RedisServer, app: App, client: redis.Redis
) -> None:
    ran: list[str] = []
    app.group("g").handler("a")(lambda job: ran.append(job.id))
    client.xgroup_create("jobs", "g", "0", mkstream=True)
    job = await app.produce("a")
    client.xreadgroup("g", "killed", {"jobs": ">"})
    assert (await app.cancel(job)).groups == {"g": "cancelling"}
    await drain(app, settings=Settings(result_ttl=0, lease=0.2))
    assert ran == []
    assert ids_of(client) == []


async def test_a_program_gets_sigterm(app: App, tmp_path: Path) -> None:
    from streamq.handlers.table import Handlers
    from streamq.programs.handler import exec_handler
    from streamq.worker import Subscription, Worker

    told = tmp_path / "told"
    script = f"trap 'echo TERM > {told}; exit 1' TERM; echo ready > {tmp_path}/up; sleep 60 & wait"
    handler = exec_handler(f'sh -c "{script}"', retries=0, timeout=None, output=lambda *_: None)
    worker = Worker(app.server, [Subscription("jobs", "g", Handlers([handler]))])
    task = asyncio.create_task(worker.run())
    try:
        job = await app.produce("a")
        await eventually(lambda: (tmp_path / "up").exists())
        await app.cancel(job)
        await eventually(told.exists)
    finally:
        worker.stop()
        await task
