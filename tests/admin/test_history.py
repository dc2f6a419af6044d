"""A job's history: how its attempts ended."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis

from streamq import App, Backoff, Dead, Job, Settings
from streamq.admin import Attempt
from streamq.wire.keys import group_keys
from tests.situations import add, make_idle, read
from tests.worker.support import AT_ONCE, PATIENCE, drain

pytestmark = pytest.mark.anyio

KEEP = Settings(result_ttl=60)


async def history(app: App, job_id: str, group: str = "images") -> tuple[Attempt, ...]:
    [status] = (await app.admin.status("jobs", job_id, group)).groups
    return status.history


def told(attempts: tuple[Attempt, ...]) -> list[tuple[int, str, str | None]]:
    return [(attempt.number, attempt.outcome, attempt.error) for attempt in attempts]


def failing(app: App, times: int, retries: int = 9, error: str = "boom") -> None:
    """A handler that fails so many times."""

    @app.group("images", retries=retries, backoff=AT_ONCE).handler("t")
    async def handle(job: Job) -> None:
        if job.attempt <= times:
            raise RuntimeError(f"{error} {job.attempt}")


async def test_two_failures_and_a_success(app: App) -> None:
    failing(app, 2)
    before = time.time()
    job_id = (await app.produce("t")).id
    watch = await drain(app, settings=KEEP)
    attempts = await history(app, job_id)
    assert told(attempts) == [
        (1, "failed", "RuntimeError: boom 1"),
        (2, "failed", "RuntimeError: boom 2"),
        (3, "succeeded", None),
    ]
    for attempt in attempts:
        assert attempt.consumer == watch.verdicts[0].job.consumer
        assert attempt.started_at is not None
        assert before - 1 <= attempt.started_at <= time.time() + 1
        assert attempt.seconds is not None
        assert 0 <= attempt.seconds < PATIENCE


async def test_a_first_success_writes_nothing_more(app: App, client: redis.Redis) -> None:
    failing(app, 0)
    job_id = (await app.produce("t")).id
    await drain(app, settings=KEEP)
    record = group_keys("jobs", "images").job(job_id)
    assert set(client.hkeys(record)) == {
        "state", "type", "data", "attempts", "started_at", "finished_at",
    }  # fmt: skip
    [attempt] = await history(app, job_id)
    assert (attempt.number, attempt.outcome, attempt.consumer) == (1, "succeeded", None)
    assert attempt.started_at is not None


async def test_a_job_that_waits_for_its_retry(app: App) -> None:
    @app.group("images").handler("t", timeout=0.01)
    async def handle() -> None:
        await asyncio.sleep(PATIENCE)

    job_id = (await app.produce("t")).id
    await drain(app, settings=Settings(result_ttl=0), burst=False, max_jobs=1)
    assert told(await history(app, job_id)) == [
        (1, "timed out", "ran longer than its timeout of 0.01 s")
    ]


async def test_a_dead_job_keeps_its_history_for_a_while(app: App, client: redis.Redis) -> None:
    failing(app, 9, retries=1)
    job_id = (await app.produce("t")).id
    await drain(app, settings=KEEP)
    [status] = (await app.admin.status("jobs", job_id)).groups
    assert (status.state, status.attempts) == ("dead", 2)
    assert told(status.history) == [
        (1, "failed", "RuntimeError: boom 1"), (2, "failed", "RuntimeError: boom 2"),
    ]  # fmt: skip
    record = group_keys("jobs", "images").job(job_id)
    assert 0 < client.pttl(record) <= 60_000
    assert status.to_dict()["history"][1]["outcome"] == "failed"


async def test_one_that_died_at_once(app: App) -> None:
    @app.group("images").handler("t")
    async def handle() -> None:
        raise Dead("no good")

    job_id = (await app.produce("t")).id
    await drain(app, settings=KEEP)
    [attempt] = await history(app, job_id)
    assert (attempt.number, attempt.outcome, attempt.error) == (1, "failed", "no good")
    assert attempt.seconds is not None


async def test_without_records_a_dead_job_leaves_none(app: App, client: redis.Redis) -> None:
    failing(app, 9, retries=1)
    job_id = (await app.produce("t")).id
    await drain(app)
    assert await history(app, job_id) == ()
    assert not client.exists(group_keys("jobs", "images").job(job_id))


@pytest.mark.parametrize(
    ("most", "kept"), [(1, [6]), (2, [1, 6]), (3, [1, 5, 6]), (20, [1, 2, 3, 4, 5, 6]), (0, [])]
)
async def test_the_first_and_the_last_ones(app: App, most: int, kept: list[int]) -> None:
    failing(app, 5)
    job_id = (await app.produce("t")).id
    await drain(app, settings=Settings(result_ttl=60, history=most))
    assert [attempt.number for attempt in await history(app, job_id)] == kept


async def test_a_long_error_is_cut_between_characters(app: App) -> None:
    failing(app, 1, error="x" + "\N{SNOWMAN}" * 400)
    job_id = (await app.produce("t")).id
    await drain(app, settings=KEEP)
    error = (await history(app, job_id))[0].error
    assert error is not None
    assert error.endswith("\N{SNOWMAN}…")
    assert len(error.encode()) <= 303
    assert set(error) == {*"RuntimeError: x", "\N{SNOWMAN}", "…"}


async def test_an_error_of_several_lines(app: App) -> None:
    failing(app, 1, error="one\ntwo\n\nthree")
    job_id = (await app.produce("t")).id
    await drain(app, settings=KEEP)
    assert (await history(app, job_id))[0].error == r"RuntimeError: one\x0atwo\x0a\x0athree 1"


async def test_a_worker_that_was_lost(app: App, client: redis.Redis) -> None:
    failing(app, 0)
    job_id = add(client, {"type": "t", "data": "{}"})
    read(client, "host\nof another")
    make_idle(client, job_id, 60)
    await drain(app, settings=KEEP)
    first, last = await history(app, job_id)
    assert first == Attempt(
        1, "worker lost", "host of another", None, None, "its worker stopped answering"
    )
    assert (last.number, last.outcome) == (2, "succeeded")


@pytest.mark.parametrize("ttl", [60, 0])
async def test_a_job_that_killed_its_last_worker(app: App, client: redis.Redis, ttl: float) -> None:
    failing(app, 0, retries=0)
    job_id = add(client, {"type": "t", "data": "{}"})
    read(client, "lost")
    make_idle(client, job_id, 60)
    await drain(app, settings=Settings(result_ttl=ttl))
    [status] = (await app.admin.status("jobs", job_id)).groups
    assert (status.state, status.reason) == ("dead", "worker lost")
    assert told(status.history) == [(1, "worker lost", "its worker stopped answering")] * bool(ttl)
    left = client.pttl(group_keys("jobs", "images").job(job_id))
    assert 0 < left <= 60_000 if ttl else left == -2


async def test_a_lost_attempt_is_not_noted_where_that_is_off(app: App, client: redis.Redis) -> None:
    failing(app, 0)
    job_id = add(client, {"type": "t", "data": "{}"})
    read(client, "lost")
    make_idle(client, job_id, 60)
    await drain(app, settings=Settings(result_ttl=60, history=0))
    assert await history(app, job_id) == ()


async def test_by_hand(app: App, client: redis.Redis) -> None:
    for group in ("images", "audit"):
        app.group(group).handler("t", backoff=Backoff(base=3600, cap=3600, jitter=False))(_fail)
    job_id = (await app.produce("t")).id
    await drain(app, settings=KEEP, burst=False, max_jobs=2)
    await app.admin.dead_letter("jobs", "images", [job_id], "enough")
    await app.admin.cancel("jobs", job_id, group="audit")
    audit, images = (await app.admin.status("jobs", job_id)).groups
    assert (images.state, told(images.history)) == ("dead", [(1, "failed", "RuntimeError: no")])
    assert (audit.state, told(audit.history)) == ("cancelled", [(1, "failed", "RuntimeError: no")])
    for group in ("images", "audit"):
        assert 0 < client.pttl(group_keys("jobs", group).job(job_id)) <= 300_000


def _fail() -> None:
    raise RuntimeError("no")


async def test_what_others_have_written_is_left_out(app: App, client: redis.Redis) -> None:
    failing(app, 9)
    job_id = (await app.produce("t")).id
    await drain(app, settings=KEEP, burst=False, max_jobs=1)
    record = group_keys("jobs", "images").job(job_id)
    strange: dict[str, Any] = {
        "attempt:x": "a", "attempt:": "b", "attempt:2": "failed\n1\n1\nc\nafter the last",
        "attempt:0": "failed\n\udcff", "attempt:-1": "failed\n1\n1\nc\n",
    }  # fmt: skip
    for name, value in strange.items():
        client.hset(record, name, value.encode("utf-8", "surrogateescape"))
    assert [attempt.number for attempt in await history(app, job_id)] == [1]


async def test_a_rewound_group_begins_a_new_history(app: App, client: redis.Redis) -> None:
    failing(app, 1)
    job_id = (await app.produce("t")).id
    client.xgroup_create("jobs", "keeps", "0")  # the entry
    await drain(app, settings=KEEP, groups=["images"])
    assert len(await history(app, job_id)) == 2
    client.xgroup_setid("jobs", "images", "0")
    other = App(app.url)
    async with other:
        failing(other, 0)
        await drain(other, settings=KEEP)
        [attempt] = await history(other, job_id)
    assert (attempt.number, attempt.outcome) == (1, "succeeded")


@pytest.mark.parametrize("count", [-1, 1001])
def test_a_count_that_cannot_be(count: int) -> None:
    from streamq.errors import ConfigError

    with pytest.raises(ConfigError, match=f"history={count}: give 0 to 1,000 attempts"):
        Settings(history=count)
