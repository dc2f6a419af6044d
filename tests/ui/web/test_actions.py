"""What the forms of the pages do."""

from __future__ import annotations

import re
import time
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import redis

from streamq import App
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, make_idle, read, running, succeed
from tests.ui.web.conftest import Visit
from tests.ui.web.visitor import Visitor

pytestmark = pytest.mark.anyio

AT: dict[str, Any] = {"stream": "jobs", "group": GROUP}


async def dead(app: App, server: RedisServer, count: int, type: str = "resize") -> list[str]:
    jobs = await app.produce_many((type, {"n": n}) for n in range(count))
    await fail(server.unix_url, retries=0, jobs=count)
    return [job.id for job in jobs]


def hidden(page: str) -> list[tuple[str, str]]:
    """What the form of a question carries."""
    names = "until|count|stream|group|cause"
    return re.findall(rf'name="({names})" value="([^"]*)"', page)


# -- pending jobs ---------------------------------------------------------------


async def test_a_job_is_retried_now(
    app: App, server: RedisServer, client: redis.Redis, visitor: Visitor
) -> None:
    job = await app.produce("t")
    await fail(server.unix_url, retries=3)
    assert await visitor.do("retry", **AT, id=job.id) == "1 job is due now."
    async with running(server.unix_url):
        told = await visitor.do("retry", [("id", "1-1"), ("id", job.id)], **AT)
    assert "1 job is running: left alone. 1 job is no longer pending." in told


async def test_jobs_are_given_up_for_a_reason(
    app: App, client: redis.Redis, visitor: Visitor
) -> None:
    ids = [add(client, {"n": str(n)}) for n in range(2)]
    read(client, "web1-1-a", 2)
    chosen = [("id", id) for id in ids]
    answer = await visitor.send("dead-letter", chosen, **AT)
    assert "Give up 2 jobs of images?" in answer.text
    letters = app.admin.dead_letters("jobs", GROUP)
    assert await letters.count() == 0
    told = await visitor.do("dead-letter", chosen, **AT, confirmed="yes", reason="bad <b>files")
    assert told == "2 jobs are dead now."
    assert {letter.error async for letter in letters.list()} == {"bad <b>files"}


async def test_jobs_are_cancelled(app: App, server: RedisServer, visitor: Visitor) -> None:
    await app.produce("t")
    await fail(server.unix_url, retries=3)
    queued = await app.produce("t")
    question = await visitor.asked("cancel", **AT, id=queued.id)
    assert "Cancel 1 job in the group images?" in question
    assert await visitor.do("cancel", **AT, id=queued.id) == "1 job cancelled."
    assert "cancelled" in await visitor.read("job", stream="jobs", id=queued.id)
    assert "settled already" in await visitor.do("cancel", **AT, id="1-1")


async def test_nothing_chosen(app: App, client: redis.Redis, visitor: Visitor) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    assert await visitor.do("retry", **AT) == "Not done: choose at least one job"
    assert "is not a job ID" in await visitor.do("retry", **AT, id="<b>")


async def test_a_job_is_run_once_more(app: App, server: RedisServer, visitor: Visitor) -> None:
    await app.admin.set_stream("jobs", retain="1h")
    job = await app.produce("t", {"n": 1})
    await succeed(server.unix_url)
    told = await visitor.do("replay", **AT, id=job.id)
    [new_id] = re.findall(r"Written once more, as (\S+)\.", told)
    assert "queued" in await visitor.read("job", stream="jobs", id=new_id)


# -- dead letters ------------------------------------------------------------------


async def test_chosen_letters_are_redriven_and_purged(
    app: App, server: RedisServer, visitor: Visitor
) -> None:
    ids = await dead(app, server, 4)
    letters = app.admin.dead_letters("jobs", GROUP)
    chosen = [("id", id) for id in ids[:2]]
    answer = await visitor.send("redrive", chosen, **AT)
    assert "Redrive 2 dead letters of images?" in answer.text
    assert await letters.count() == 4
    assert await visitor.do("redrive", chosen, **AT) == "Redrove 2 jobs."
    assert "Purge 1 dead letter of images?" in await visitor.asked("purge", **AT, id=ids[2])
    assert await visitor.do("purge", **AT, id=ids[2]) == "Purged 1 dead letter."
    assert [letter.job_id async for letter in letters.list()] == ids[3:]


async def test_one_that_is_redriven_leads_to_its_new_job(
    app: App, server: RedisServer, visitor: Visitor
) -> None:
    [job_id] = await dead(app, server, 1)
    told = await visitor.do("redrive", **AT, id=job_id)
    [new_id] = re.findall(r"this is the new job, (\S+)\.", told)
    assert f"Was before {job_id}" in await visitor.read("job", stream="jobs", id=new_id)


async def test_a_bulk_says_how_many_and_does_just_that(
    app: App, server: RedisServer, visitor: Visitor
) -> None:
    await dead(app, server, 3)
    await dead(app, server, 2, "other")
    letters = app.admin.dead_letters("jobs", GROUP)
    question = await visitor.asked("redrive-all", **AT, type="resize")
    assert "Redrive 3 dead letters of images of the type “resize”?" in question
    assert "Redrive 3 jobs" in question
    answer = await visitor.send("purge-all", **AT, cause="RuntimeError")
    assert "Purge 5 dead letters of images of “RuntimeError”?" in answer.text
    fields = dict(hidden(answer.text))
    await dead(app, server, 2)  # these were not asked about
    assert await visitor.do("purge-all", **fields, confirmed="yes") == (
        "Purged 5 dead letters of images."
    )
    assert await letters.count() == 2
    assert await visitor.do("redrive-all", **AT) == "Redrove 2 jobs of images."
    assert await letters.count() == 0
    assert "There is nothing to do" in await visitor.do("purge-all", **AT)


async def test_a_bulk_over_a_search(app: App, server: RedisServer, visitor: Visitor) -> None:
    ids = await dead(app, server, 3)
    question = await visitor.asked("purge-all", **AT, q='"n": 1')
    assert "Purge 1 dead letter of images with the text" in question
    await visitor.do("purge-all", **AT, q='"n": 1')
    letters = app.admin.dead_letters("jobs", GROUP)
    assert [letter.job_id async for letter in letters.list()] == [ids[0], ids[2]]


async def test_a_bulk_that_takes_long_goes_on_by_itself(
    app: App, server: RedisServer, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.ui.web.operations.PATIENCE", 0)
    await dead(app, server, 120)
    question = await visitor.send("redrive-all", **AT)
    fields = dict(hidden(question.text))
    answer = await visitor.send("redrive-all", **fields, confirmed="yes")
    where = answer.headers["location"]
    assert where.startswith("/operation?id=")
    while "Redrove" not in (page := (await visitor.client.get(where)).text):
        assert "of 120 done" in page
        await anyio.lowlevel.checkpoint()
    assert "Redrove 120 jobs of images." in page
    assert await visitor.do("stop", operation=where.partition("=")[2]) == "It has ended already."


# -- groups and consumers -----------------------------------------------------------


async def test_a_group_is_paused_and_resumed(
    app: App, client: redis.Redis, visitor: Visitor
) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    assert await visitor.do("pause", **AT) == "Paused images. Jobs that run go on."
    assert await visitor.do("pause", **AT) == "images was paused already."
    assert "paused since" in await visitor.read("group", **AT)
    assert await visitor.do("resume", **AT) == "Resumed images."
    assert await visitor.do("pause", **AT, type="resize") == (
        "Paused resize in images. Jobs that run go on."
    )
    assert "resize since" in await visitor.read("group", **AT)
    assert await visitor.do("resume", **AT, type="resize") == "Resumed resize in images."


async def test_a_limit_is_changed(app: App, client: redis.Redis, visitor: Visitor) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    told = await visitor.do("limit", **AT, rule="rate", value="5/min")
    assert told == "rate of images is 5/min, within a second."
    await visitor.do("limit", **AT, rule="max_in_flight", value="7")
    state = await app.admin.group_state("jobs", GROUP)
    assert state.limits == {"rate": "5/min", "max_in_flight": 7}
    assert "5/min changed" in await visitor.read("limits", **AT)
    await visitor.do("limit", **AT, rule="rate", value="")
    await visitor.do("limit", **AT, rule="max_in_flight", **{"as": "declared"})
    assert (await app.admin.group_state("jobs", GROUP)).limits == {"rate": None}
    told = await visitor.do("limit", **AT, rule="rate", value="fast")
    assert told.startswith("Not done: ")
    assert "give a whole number" in await visitor.do("limit", **AT, rule="max_in_flight", value="x")
    assert "no rule" in await visitor.do("limit", **AT, rule="__class__", value="1")


async def test_a_consumer_is_released(app: App, client: redis.Redis, visit: Visit) -> None:
    job_id = add(client, {"n": "1"})
    read(client, "web1-1-a", 1)
    visitor = visit(lease=3600)
    question = await visitor.asked("release", **AT, consumer="web1-1-a")
    assert "1 job of it become due at once" in question
    assert "It is alive" in question
    assert await visitor.do("release", **AT, consumer="web1-1-a") == (
        "Released 1 job of web1-1-a, due now."
    )
    make_idle(client, job_id, 1)
    assert await visitor.do("release", **AT, consumer="web1-1-a") == (
        "images has no consumer web1-1-a."
    )


# -- schedules ------------------------------------------------------------------------


async def test_jobs_for_later_are_run_and_taken_back(app: App, visitor: Visitor) -> None:
    first, second = [await app.produce("t", delay=3600) for _ in range(2)]
    assert "1 job due now" in await visitor.do("run-now", stream="jobs", id=first.id)
    assert (await app.admin.scheduled_job("jobs", first.id)).due_at < time.time() + 60
    question = await visitor.asked("take-back", stream="jobs", id=second.id)
    assert "Take back 1 job for later?" in question
    assert await visitor.do("take-back", stream="jobs", id=second.id) == "Took back 1 job."
    assert "1 no longer waiting" in await visitor.do("take-back", stream="jobs", id=second.id)


async def test_schedules_are_paused_run_and_deleted(app: App, visitor: Visitor) -> None:
    await app.admin.schedules.create("jobs", "report", "weekly", every=3600)
    at = {"stream": "jobs", "name": "report"}
    assert await visitor.do("cron-pause", **at) == "Paused report."
    assert await visitor.do("cron-resume", **at) == "Resumed report."
    told = await visitor.do("cron-run", **at)
    [job_id] = re.findall(r"Wrote a job of report: (\S+)\.", told)
    assert "weekly" in await visitor.read("job", stream="jobs", id=job_id)
    assert "Delete the schedule report?" in await visitor.asked("cron-delete", **at)
    assert await visitor.do("cron-delete", **at) == "Deleted the schedule report."
    assert "has no schedule report" in await visitor.do("cron-run", **at)
