"""``job.progress``: how far a running job is, for whoever looks or waits."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from streamq import App, Job, Retry, Settings
from streamq.errors import ConfigError
from streamq.job import REPORTERS
from streamq.results import Progress
from tests.lua.support import command
from tests.results.support import waited_for
from tests.waiting import eventually
from tests.worker import work
from tests.worker.support import AT_ONCE, PATIENCE, drain, running

pytestmark = pytest.mark.anyio

KEPT = Settings()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamq.worker.progress.EVERY", 0.02)


def record(client: redis.Redis, id: str) -> dict[str, str]:
    found: Any = client.hgetall(f"{{jobs}}:group:images:job:{id}")
    return dict(found)


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_it_is_seen_while_the_job_runs_and_gone_when_it_ends(
    app: App, client: redis.Redis, kind: str
) -> None:
    end, ended = asyncio.Event(), threading.Event()
    images = app.group("images")

    async def run(job: Job) -> int:
        job.progress(0.25, "resizing")
        await end.wait()
        return 7

    def run_in_thread(job: Job) -> int:
        job.progress(0.25, "resizing")
        ended.wait(PATIENCE)
        return 7

    images.handler("t")(run if kind == "async" else run_in_thread)
    job = await app.produce("t")
    async with running(app, settings=KEPT):
        await eventually(lambda: record(client, job.id).get("progress") == "0.25")
        [seen] = [one async for one in app.admin.pending("jobs")]
        assert (seen.progress, seen.progress_note) == (0.25, "resizing")
        assert seen.to_dict()["progress"] == 0.25
        [group] = (await app.admin.status("jobs", job.id)).groups
        assert (group.state, group.progress, group.progress_note) == ("running", 0.25, "resizing")
        end.set()
        ended.set()
        assert await job.result(timeout=PATIENCE) == 7
    assert "progress" not in record(client, job.id)
    [group] = (await app.admin.status("jobs", job.id)).groups
    assert (group.state, group.progress) == ("succeeded", None)


async def test_a_handler_in_a_process_tells_too(
    app: App, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "end")
    with tempfile.TemporaryDirectory() as directory:  # shorter than tmp_path, for a socket
        monkeypatch.setattr("tempfile.tempdir", directory)
        app.group("images").handler("t", process=True)(work.tells)
        job = await app.produce("t", {"until": str(tmp_path / "end")})
        async with running(app, settings=KEPT):
            await eventually(lambda: record(client, job.id).get("progress") == "0.25")
            [seen] = [one async for one in app.admin.pending("jobs")]
            assert (seen.progress, seen.progress_note) == (0.25, "resizing")
            (tmp_path / "end").write_text("go on")
            assert await job.wait(timeout=PATIENCE) == "succeeded"
        assert "progress" not in record(client, job.id)
        assert not os.listdir(directory)


async def test_a_directory_that_is_too_deep_for_a_socket(
    app: App, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "end")
    (deep := tmp_path / ("d" * 120)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    app.group("images").handler("t", process=True)(work.tells)
    job = await app.produce("t", {"until": str(tmp_path / "end")})
    async with running(app, settings=KEPT):
        await eventually(lambda: record(client, job.id).get("progress") == "0.25")
        (tmp_path / "end").write_text("go on")
    assert not os.listdir(deep)


async def test_who_waits_is_told(app: App, client: redis.Redis) -> None:
    step: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
    told: list[Progress] = []

    @app.group("images").handler("t")
    async def run(job: Job) -> None:
        while (now := await step.get())[0] < 1:
            job.progress(*now)

    job = await app.produce("t")
    async with (
        waited_for(client, job.wait(timeout=PATIENCE, on_progress=told.append)) as end,
        running(app, settings=KEPT),
    ):
        step.put_nowait((0.5, "half way, and more"))
        await eventually(lambda: len(told) == 1)
        step.put_nowait((0.75, ""))
        await eventually(lambda: len(told) == 2)
        step.put_nowait((1, ""))
        assert await end == "succeeded"
    assert told == [Progress(0.5, "half way, and more"), Progress(0.75, "")]


async def test_a_callback_that_fails_hurts_nobody(app: App, client: redis.Redis) -> None:
    def broken(progress: Progress) -> None:
        raise RuntimeError(progress.note)

    @app.group("images").handler("t")
    async def run(job: Job) -> int:
        job.progress(0.5)
        await eventually(lambda: record(client, job.id))
        return 7

    job = await app.produce("t")
    async with waited_for(client, job.result(timeout=PATIENCE, on_progress=broken)) as result:
        await drain(app, settings=KEPT)
        assert await result == 7


async def test_many_calls_become_few(app: App, client: redis.Redis) -> None:
    calls = 0

    @app.group("images").handler("t")
    async def run(job: Job) -> None:
        for n in range(10_000):
            job.progress(n / 10_000)
        job.progress(0.99, "last")
        await eventually(lambda: record(client, job.id).get("progress") == "0.99")

    await app.produce("t")
    command(client, "CONFIG", "RESETSTAT")
    await drain(app)
    stats: Any = client.info("commandstats")
    calls = stats["cmdstat_pexpire"]["calls"]
    assert 1 <= calls <= 3


async def test_a_retry_begins_anew(app: App, client: redis.Redis) -> None:
    seen: list[dict[str, str]] = []

    @app.group("images", backoff=AT_ONCE).handler("t")
    async def run(job: Job) -> None:
        seen.append(record(client, job.id))
        if job.attempt == 1:
            job.progress(0.5)
            await eventually(lambda: record(client, job.id))
            raise Retry("once more", delay=0)

    await app.produce("t")
    await drain(app)
    assert [("progress" in one, one.get("error")) for one in seen] == [
        (False, None), (False, "once more"),
    ]  # fmt: skip


async def test_what_an_earlier_delivery_has_left_is_not_shown(
    app: App, client: redis.Redis
) -> None:
    job = await app.produce("t")
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "me", {"jobs": ">"})
    left: dict[Any, Any] = {"progress": "0.5", "progress_note": "", "progress_of": "1"}
    client.hset(f"{{jobs}}:group:images:job:{job.id}", mapping=left)
    assert [one.progress async for one in app.admin.pending("jobs")] == [0.5]
    client.xclaim("jobs", "images", "other", 0, [job.id])
    assert [one.progress async for one in app.admin.pending("jobs")] == [None]
    client.hset(f"{{jobs}}:group:images:job:{job.id}", mapping={"progress_of": "2"})
    client.hset(f"{{jobs}}:group:images:job:{job.id}", mapping={"progress": "much"})
    assert [one.progress async for one in app.admin.pending("jobs")] == [None]
    [group] = (await app.admin.status("jobs", job.id)).groups
    assert group.progress is None


async def test_nothing_is_left_where_no_records_are_kept(app: App, client: redis.Redis) -> None:
    @app.group("images").handler("t", batch=10)
    async def run(jobs: list[Job]) -> None:
        for job in jobs:
            job.progress(0.5)
        await eventually(lambda: all(record(client, job.id) for job in jobs))

    await app.produce_many([("t", {})] * 5)
    await drain(app)
    assert client.keys("*:job:*") == []


async def test_a_server_that_is_lost_meanwhile(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.group("images").handler("t")
    async def run(job: Job) -> None:
        begun.set()
        await go_on.wait()
        job.progress(0.5)
        await eventually(lambda: record(client, job.id).get("progress") == "0.5")

    await app.produce("t")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(drain(app))
        await begun.wait()
        command(client, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        go_on.set()


async def test_a_job_outside_a_worker_tells_nobody() -> None:
    job = Job("1-1", "jobs", "g", "nobody", 1, ("t", b"{}", None, None))
    job.progress(0.5)
    job.progress(1)
    assert not any(consumer == "nobody" for _, _, consumer in REPORTERS)


@pytest.mark.parametrize(
    ("done", "note"),
    [(-0.1, ""), (1.1, ""), (float("nan"), ""), ("half", ""), (None, ""), (0.5, "x" * 201),
     (0.5, None), (0.5, "\ud800")],
)  # fmt: skip
async def test_what_is_no_progress(done: Any, note: Any) -> None:
    job = Job("1-1", "jobs", "g", "c", 1, ("t", b"{}", None, None))
    with pytest.raises(ConfigError, match=r"progress\(|note="):
        job.progress(done, note)


async def test_a_worker_that_ends_forgets_its_jobs(app: App) -> None:
    app.group("images").handler("t")(lambda: None)
    await drain(app)
    assert not REPORTERS
