"""Waiting for a job for later: first for the entry that it becomes."""

from __future__ import annotations

import asyncio

import pytest
import redis

from streamq import App, Settings
from streamq.errors import JobNotFound, ResultTimeout
from streamq.results.scheduled import entry_of
from streamq.wire.keys import stream_keys
from tests.results.support import PATIENCE, images
from tests.worker.support import drain

pytestmark = pytest.mark.anyio

NAME = "s-00112233445566ff"
KEYS = stream_keys("jobs")


async def test_the_entry_that_a_schedule_became(app: App, client: redis.Redis) -> None:
    client.set(KEYS.schedule_id(NAME), "1716998413541-0")
    assert await entry_of(app.server, "jobs", NAME) == "1716998413541-0"


async def test_a_schedule_that_is_due_and_not_yet_written(app: App, client: redis.Redis) -> None:
    client.zadd(KEYS.scheduled, {NAME: 1.0})
    looking = asyncio.ensure_future(entry_of(app.server, "jobs", NAME))
    await asyncio.sleep(0)
    assert not looking.done()
    with client.pipeline() as both:  # as one script does it
        both.zrem(KEYS.scheduled, NAME)
        both.set(KEYS.schedule_id(NAME), "1716998413541-0")
        both.execute()
    async with asyncio.timeout(PATIENCE):
        assert await looking == "1716998413541-0"


async def test_the_result_of_a_job_for_later(app: App, client: redis.Redis) -> None:
    images(app)
    later = await app.produce("ok", {"n": 1}, delay=3600)
    with pytest.raises(ResultTimeout, match=r"after 0\.05 s; it is for later, and is not"):
        await later.result(timeout=0.05)
    entry = await app.produce("ok", {"n": 1})
    with client.pipeline() as both:
        both.zrem(KEYS.scheduled, later.id)
        both.set(KEYS.schedule_id(later.id), entry.id)
        both.execute()
    await drain(app, settings=Settings())
    [end] = [one async for one in app.results([later], timeout=PATIENCE)]
    assert (end.id, end.state, end.value) == (later.id, "succeeded", {"n": 1})
    for timeout in (PATIENCE, 0):
        assert await app.job(later.id).result(timeout=timeout) == {"n": 1}


async def test_a_job_for_later_that_was_cancelled(app: App) -> None:
    images(app)
    later = await app.produce("ok", delay=3600)
    assert await app.admin.cancel("jobs", later.id)
    with pytest.raises(JobNotFound, match="was cancelled before its time, or was written more"):
        await later.result(timeout=PATIENCE)
    with pytest.raises(JobNotFound):
        await later.wait(timeout=PATIENCE)


async def test_no_time_is_no_wait_for_a_job_for_later(app: App) -> None:
    images(app)
    later = await app.produce("ok", delay=3600)
    with pytest.raises(ResultTimeout, match="; it is for later, and is not written"):
        await later.result(timeout=0)
