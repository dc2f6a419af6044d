"""Waiting for what a handler returns: every end, before and after it has come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from streamq import App, Settings
from streamq.errors import (
    ConfigError,
    JobCancelled,
    JobDead,
    JobExpired,
    JobNotFound,
    JobSkipped,
    ResultExpired,
    ResultTimeout,
    ServerUnavailable,
    StreamqError,
)
from tests.results.support import PATIENCE, heard, images, running, waited_for, waiting
from tests.waiting import eventually
from tests.worker.support import QUIET, drain

pytestmark = pytest.mark.anyio

KEPT = Settings()


async def test_a_result_that_came_first(app: App) -> None:
    images(app)
    job = await app.produce("ok", {"n": 1})
    await drain(app, settings=KEPT)
    assert await job.result(timeout=PATIENCE) == {"n": 1}
    assert await job.wait(timeout=PATIENCE) == "succeeded"


async def test_a_result_that_comes_later(app: App, client: redis.Redis) -> None:
    images(app)
    job = await app.produce("ok", {"n": 1})
    async with waited_for(client, job.result(timeout=PATIENCE)) as result:
        assert not result.done()
        await drain(app, settings=KEPT)
        assert await result == {"n": 1}
    await eventually(lambda: (waiting(client), heard(client)) == (0, 0))


async def test_a_handler_that_returns_nothing(app: App) -> None:
    @app.group("images").handler("t")
    async def nothing() -> None: ...

    job = await app.produce("t")
    await drain(app, settings=KEPT)
    assert await job.result(timeout=PATIENCE) is None


@pytest.mark.parametrize("first", [True, False])
async def test_a_dead_job_says_why(app: App, client: redis.Redis, first: bool) -> None:
    images(app)
    job = await app.produce("fails")
    if first:
        await drain(app)
    async with waited_for(client, job.result(timeout=PATIENCE)) as result:
        if not first:
            await drain(app)
        with pytest.raises(JobDead) as caught:
            await result
    error = caught.value
    assert (error.job_id, error.group, error.type) == (job.id, "images", "fails")
    assert (error.reason, error.error) == ("retries exhausted", "ValueError: broken")
    assert error.attempts == 1
    [letter] = [one async for one in app.admin.dead_letters("jobs", "images").list()]
    assert error.letter_id == letter.id
    assert str(error) == (
        f"the job {job.id} is dead in the group images after 1 attempt: "
        "retries exhausted: ValueError: broken"
    )
    assert await job.wait(timeout=PATIENCE) == "dead"


async def test_a_job_that_was_made_a_dead_letter_by_hand(app: App, client: redis.Redis) -> None:
    images(app)
    job = await app.produce("ok")
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "c", {"jobs": ">"})
    async with waited_for(client, job.result(timeout=PATIENCE)) as result:
        await app.admin.dead_letter("jobs", "images", [job.id], "enough")
        with pytest.raises(JobDead, match="by hand: enough"):
            await result


async def test_a_job_whose_worker_was_lost(app: App, client: redis.Redis) -> None:
    images(app)
    job = await app.produce("ok")
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "lost", {"jobs": ">"})
    client.xclaim("jobs", "images", "lost", 0, [job.id], idle=90_000, justid=True)
    async with waited_for(client, job.result(timeout=PATIENCE)) as result:
        await drain(app)
        with pytest.raises(JobDead, match="after 1 attempt: worker lost"):
            await result


@pytest.mark.parametrize("settings", [KEPT, QUIET])
async def test_an_expired_job(app: App, client: redis.Redis, settings: Settings) -> None:
    images(app)
    job = await app.produce("ok", expires=0)
    async with waited_for(client, job.result(timeout=PATIENCE)) as result:
        await drain(app, settings=settings)
        with pytest.raises(JobExpired if settings.result_ttl else ResultExpired) as caught:
            await result
    if settings.result_ttl:
        assert "was not run in the group images: expired before its turn" in str(caught.value)


async def test_a_record_of_a_cancelled_job(app: App, client: redis.Redis) -> None:
    job = await app.produce("ok")
    client.hset(f"{{jobs}}:group:images:job:{job.id}", "state", "cancelled")
    with pytest.raises(JobCancelled, match="was cancelled in the group images"):
        await job.result(group="images", timeout=PATIENCE)
    assert await job.wait(group="images") == "cancelled"


async def test_a_job_for_another_group(app: App, client: redis.Redis) -> None:
    id = str(client.xadd("jobs", {"type": "ok", "data": "{}", "for": "audit"}))
    with pytest.raises(JobSkipped, match="it is for the group audit only"):
        await app.job(id).result(group="images", timeout=PATIENCE)
    assert await app.job(id).wait(group="images", timeout=PATIENCE) == "skipped"


@pytest.mark.parametrize("first", [True, False])
async def test_without_records_the_end_is_known_and_no_result(
    app: App, client: redis.Redis, first: bool
) -> None:
    images(app)
    job = await app.produce("ok")
    if first:
        await drain(app)
    async with waited_for(client, job.result(timeout=PATIENCE)) as result:
        if not first:
            await drain(app)
        with pytest.raises(ResultExpired, match="no record says how"):
            await result
    assert await job.wait(timeout=PATIENCE) == "settled"


@pytest.mark.parametrize(
    ("type", "why"),
    [
        ("large", "but the result was not kept: 100,002 bytes, the limit is 65,536"),
        ("odd", "but the result was not kept: nan is not a number of JSON"),
    ],
)
async def test_a_result_that_was_not_kept_says_so(app: App, type: str, why: str) -> None:
    images(app)
    job = await app.produce(type)
    await drain(app, settings=KEPT)
    assert await job.wait(timeout=PATIENCE) == "succeeded"
    with pytest.raises(ResultExpired, match="has succeeded in the group images, " + why):
        await job.result(timeout=PATIENCE)


async def test_a_result_that_was_not_written_by_streamq(app: App, client: redis.Redis) -> None:
    job = await app.produce("ok")
    record = f"{{jobs}}:group:images:job:{job.id}"
    client.hset(record, mapping={"state": "succeeded", "result": "{"})
    with pytest.raises(ResultExpired, match="but its result is not JSON"):
        await job.result(group="images", timeout=PATIENCE)


# -- time ---------------------------------------------------------------------


async def test_a_timeout_is_an_error_of_its_own_and_leaves_nothing(
    app: App, client: redis.Redis
) -> None:
    images(app)
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    job = await app.produce("ok")
    with pytest.raises(ResultTimeout, match=r"is not finished in the group images after 0.05 s$"):
        await job.result(timeout=0.05)
    with pytest.raises(TimeoutError):
        await job.wait(timeout=0.001)
    await eventually(lambda: (waiting(client), heard(client)) == (0, 0))
    await drain(app, settings=KEPT)
    assert await job.result(timeout=PATIENCE) == {}


async def test_no_time_is_one_look(app: App, client: redis.Redis) -> None:
    images(app)
    job = await app.produce("ok")
    with pytest.raises(ResultTimeout, match="group does not exist yet: is its worker running"):
        await job.result(timeout=0)
    await drain(app, settings=KEPT)
    assert await job.result(timeout=0) == {}
    assert heard(client) == 0


async def test_a_worker_that_may_not_tell_is_found_out_at_the_end(
    app: App, client: redis.Redis
) -> None:
    job = await app.produce("ok")
    async with waited_for(client, job.result(group="images", timeout=0.3)) as result:
        record = f"{{jobs}}:group:images:job:{job.id}"
        client.hset(record, mapping={"state": "succeeded", "result": "7"})
        assert await result == 7


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
async def test_a_time_that_is_none(app: App, timeout: Any) -> None:
    job = await app.produce("ok")
    with pytest.raises(ConfigError, match="timeout="):
        await job.result(group="images", timeout=timeout)
    with pytest.raises(ConfigError, match="timeout="):
        _ = [one async for one in app.results([job], group="images", timeout=timeout)]


# -- which group --------------------------------------------------------------


async def test_the_group_of_an_app_that_has_one(app: App, client: redis.Redis) -> None:
    images(app)
    client.xgroup_create("jobs", "audit", "0", mkstream=True)
    audit = App(app.url)
    audit.group("audit").handler("*")(lambda: 5)
    job = await app.produce("ok", {"n": 1})
    for one in (app, audit):
        await drain(one, settings=KEPT)
    assert await job.result(timeout=PATIENCE) == {"n": 1}
    assert await audit.job(job.id).result(timeout=PATIENCE) == 5
    await audit.close()


async def test_several_groups_have_to_be_told_apart(app: App) -> None:
    images(app)
    app.group("audit").handler("*")(lambda: 5)
    job = await app.produce("ok")
    with pytest.raises(ConfigError, match=r"several groups, .* group=: audit, images"):
        await job.result(timeout=PATIENCE)
    with pytest.raises(ConfigError, match="not a valid group name"):
        await job.result(group="a b")


async def test_an_app_without_groups_asks_the_server(app: App, client: redis.Redis) -> None:
    job = await app.produce("ok")
    with pytest.raises(ConfigError, match="has no group yet"):
        await job.result(timeout=PATIENCE)
    client.xgroup_create("jobs", "images", "0")
    client.hset(f"{{jobs}}:group:images:job:{job.id}", mapping={"state": "succeeded"})
    assert await job.wait(timeout=PATIENCE) == "succeeded"
    client.xgroup_create("jobs", "audit", "0")
    with pytest.raises(ConfigError, match="group=: audit, images"):
        await job.wait(timeout=PATIENCE)
    with pytest.raises(ConfigError, match="the stream nowhere has no group yet"):
        await app.job(job.id, stream="nowhere").wait()


# -- which job ----------------------------------------------------------------


async def test_a_job_by_its_id_from_another_program(app: App, server: Any) -> None:
    images(app)
    async with App(server.url) as other:
        job = await other.produce("ok", {"n": 1})
    await drain(app, settings=KEPT)
    found = app.job(job.id)
    assert (found.id, found.created) == (job.id, False)
    assert await found.result(timeout=PATIENCE) == {"n": 1}


@pytest.mark.parametrize("id", ["", "x", "17-", "1-2-3", "s-", "s-x y", "99999999999999999999-0"])
async def test_what_is_no_id(app: App, id: str) -> None:
    with pytest.raises(ConfigError, match="is not a job ID"):
        app.job(id)


async def test_a_job_that_does_not_exist(app: App, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    job = app.job("1716998413541-0")
    with pytest.raises(JobNotFound, match="there is no trace of the job 1716998413541-0"):
        await job.result(timeout=PATIENCE)
    with pytest.raises(JobNotFound):
        await job.wait(timeout=PATIENCE)


async def test_a_job_without_an_app(app: App) -> None:
    from streamq import Enqueued

    with pytest.raises(ConfigError, match=r"has no app: get it with app\.job"):
        await Enqueued("1-1").result()


async def test_jobs_of_produce_many(app: App) -> None:
    images(app)
    jobs = await app.produce_many([("ok", {"n": n}) for n in range(3)])
    await drain(app, settings=KEPT)
    assert [await job.result(timeout=PATIENCE) for job in jobs] == [{"n": n} for n in range(3)]
    assert await jobs[1:][1].result(timeout=PATIENCE) == {"n": 2}


async def test_a_known_job_has_the_same_result(app: App) -> None:
    images(app)
    await app.produce("ok", {"n": 1}, unique="a")
    again = await app.produce("ok", {"n": 2}, unique="a")
    await drain(app, settings=KEPT)
    assert not again.created
    assert await again.result(timeout=PATIENCE) == {"n": 1}


async def test_a_redriven_job_is_waited_for_by_its_new_id(app: App) -> None:
    images(app)
    job = await app.produce("dead")
    await drain(app, settings=KEPT)
    [redriven] = await app.admin.dead_letters("jobs", "images").redrive([job.id])
    assert redriven.new_id is not None
    await drain(app, settings=KEPT)
    with pytest.raises(JobDead, match="gave up: no good"):
        await app.job(redriven.new_id).result(timeout=PATIENCE)


# -- many ---------------------------------------------------------------------


async def test_results_as_they_come(app: App, client: redis.Redis) -> None:
    images(app)
    jobs = [await app.produce(type) for type in ("ok", "dead", "large")]
    gone = app.job("1-1")
    client.xgroup_create("jobs", "images", "0")
    await drain(app, settings=KEPT)
    ends = {one.id: one async for one in app.results([*jobs, gone, jobs[0]], timeout=PATIENCE)}
    assert [ends[job.id].state for job in jobs] == ["succeeded", "dead", "succeeded"]
    assert ends[jobs[0].id].value == {}
    assert isinstance(ends[jobs[1].id].error, JobDead)
    with pytest.raises(ResultExpired):
        _ = ends[jobs[2].id].value
    assert len(ends) == 4
    assert ends["1-1"].state in ("missing", "settled")
    assert isinstance(ends["1-1"].error, StreamqError)


async def test_results_of_which_some_do_not_come_in_time(app: App, client: redis.Redis) -> None:
    images(app)
    first, second = [await app.produce("ok") for _ in range(2)]
    record = f"{{jobs}}:group:images:job:{first.id}"
    client.hset(record, mapping={"state": "succeeded", "result": "1"})
    seen = []

    async def look() -> None:
        async for one in app.results([first, second], timeout=0.1):
            seen.append(one.id)

    with pytest.raises(ResultTimeout, match=r"1 of 2 jobs are not finished after 0\.1 s"):
        await look()
    assert seen == [first.id]
    await eventually(lambda: heard(client) == 0)


async def test_leaving_the_results_early_leaves_nothing(app: App, client: redis.Redis) -> None:
    images(app)
    jobs = await app.produce_many([("ok", {"n": n}) for n in range(20)])
    async with running(app, settings=KEPT):
        results = app.results(jobs, timeout=PATIENCE)
        async for _ in results:
            break
        await results.aclose()  # type: ignore[attr-defined]  # it is a generator
    await eventually(lambda: heard(client) == 0)


async def test_a_thousand_wait_over_one_connection(app: App, client: redis.Redis) -> None:
    images(app)
    jobs = await app.produce_many([("ok", {"n": n}) for n in range(1000)])
    waiters = [asyncio.ensure_future(job.result(timeout=60)) for job in jobs]
    try:
        await eventually(lambda: heard(client) == 1000)
        names = [str(one["name"]) for one in client.client_list()]
        assert names.count("streamq-results") == 1
        await drain(app, settings=KEPT)
        assert await asyncio.gather(*waiters) == [{"n": n} for n in range(1000)]
    finally:
        for waiter in waiters:
            waiter.cancel()
    await eventually(lambda: (waiting(client), heard(client)) == (0, 0))


async def test_many_wait_for_one_job(app: App, client: redis.Redis) -> None:
    images(app)
    job = await app.produce("dead")
    waiters = [asyncio.ensure_future(job.result(timeout=60)) for _ in range(10)]
    given_up = [asyncio.ensure_future(job.result(timeout=60)) for _ in range(5)]
    await eventually(lambda: heard(client) == 1)
    for task in given_up:
        task.cancel()
    await drain(app)
    ends = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(end) for end in ends} == {JobDead}
    assert len({id(end) for end in ends}) == 10, "each has an error of its own"


# -- one connection, one loop -------------------------------------------------


async def test_the_first_connection_fails_at_once() -> None:
    async with App("redis://127.0.0.1:1") as app:
        with pytest.raises(ServerUnavailable):
            await app.job("1-1").result(group="images", timeout=PATIENCE)


def test_an_app_serves_one_event_loop_after_the_other(server: Any) -> None:
    app = App(server.unix_url)
    images(app)

    async def main() -> Any:
        async with app:
            job = await app.produce("ok", {"n": 1})
            await drain(app, settings=KEPT)
            return await job.result(timeout=PATIENCE)

    for _ in range(2):
        assert asyncio.run(main()) == {"n": 1}


async def test_closing_the_app_tells_those_who_wait(app: App, client: redis.Redis) -> None:
    job = await app.produce("ok")
    async with waited_for(client, job.result(group="images")) as result:
        await app.close()
        with pytest.raises(ServerUnavailable, match="closed while a job was waited for"):
            await result


async def test_a_thousand_that_ask_open_few_connections(app: App, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    jobs = await app.produce_many([("ok", {})] * 1000)
    before: Any = client.info("stats")["total_connections_received"]
    waiters = [job.wait(timeout=0.2) for job in jobs]
    ends = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(end) for end in ends} == {ResultTimeout}
    after: Any = client.info("stats")["total_connections_received"]
    assert after - before < 20


async def test_the_same_for_an_administrator(app: App) -> None:
    images(app)
    job = await app.produce("ok", {"n": 1})
    with pytest.raises(ResultTimeout):
        await app.admin.result("jobs", job.id, "images", timeout=0)
    await drain(app, settings=KEPT)
    assert await app.admin.result("jobs", job.id, timeout=PATIENCE) == {"n": 1}
    end = await app.admin.finished("jobs", job.id, "images", timeout=PATIENCE)
    assert (end.state, end.group, end.value) == ("succeeded", "images", {"n": 1})


async def test_a_record_that_cannot_be_read_is_an_error(app: App, client: redis.Redis) -> None:
    job = await app.produce("ok")
    client.delete("jobs")
    client.set("jobs", "x")
    with pytest.raises(StreamqError, match="holds another type"):
        await job.result(group="images", timeout=PATIENCE)
