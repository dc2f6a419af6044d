"""What each page shows, without a browser."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
import redis

from streamq import App, Job, Settings
from streamq.wire.keys import group_keys
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, make_idle, read, running, succeed
from tests.ui.web.conftest import Visit
from tests.ui.web.visitor import Visitor, text_of
from tests.waiting import PATIENCE, for_ever

pytestmark = pytest.mark.anyio

AT: dict[str, Any] = {"stream": "jobs", "group": GROUP}

PAGES = ("", "pending", "dead", "consumers", "scheduled", "cron", "limits")


@pytest.mark.parametrize("page", PAGES)
async def test_a_server_without_a_stream(visitor: Visitor, page: str) -> None:
    text = await visitor.read(page)
    assert re.search(r"streamq (consume|produce|cron create)|There are none|No group", text), text


@pytest.mark.parametrize("page", [*PAGES, "group"])
async def test_a_group_without_a_job(visitor: Visitor, client: redis.Redis, page: str) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    text = await visitor.read(page or "group", **AT)
    assert "None" in text or "no " in text.lower() or "Nothing" in text, text


async def test_what_there_is_is_counted(
    app: App, server: RedisServer, client: redis.Redis, visitor: Visitor
) -> None:
    await app.produce_many(("t", {"n": n}) for n in range(3))
    await fail(server.unix_url, retries=0, jobs=2)
    client.xgroup_create("jobs", "other", "0")
    text = await visitor.read()
    assert re.search(rf"{GROUP} 1 < 1 s 0 0 0 0 2 — 0", text), text
    assert "images on jobs has no live consumer; 1 queued" in text
    assert "images on jobs has 2 dead letters" in text
    assert "other on jobs has no live consumer; 1 queued" in text


async def test_a_group_says_what_its_consumers_do(
    app: App, server: RedisServer, visitor: Visitor
) -> None:
    job = await app.produce("resize", {"file": "a.png"})
    async with running(server.unix_url) as consumer:
        for page in ("group", "consumers"):
            text = await visitor.read(page, **AT)
            assert re.search(rf"{consumer} alive 1 (< )?\d s ago {job.id} resize", text)
        assert f"{consumer} alive" in await visitor.read("consumers")


async def test_pending_jobs_are_filtered(
    app: App, server: RedisServer, client: redis.Redis, visitor: Visitor
) -> None:
    await app.produce("thumbnail", {"file": "first.png"})
    await fail(server.unix_url, retries=3)
    for n in range(3):
        add(client, {"type": "resize", "data": f'{{"n":{n}}}'})
    held = read(client, "web1-1-a", 2)
    read(client, "web2-2-b", 1)
    make_idle(client, held[0], 900)
    whole = await visitor.read("pending", **AT)
    assert "all 4" in whole
    assert "retrying 1 of 4" in whole
    assert "next in 59 min" in whole
    assert "disk full" in whole

    async def found(**filters: Any) -> int:
        return (await visitor.get("pending", **AT, **filters)).count('name="id"') - 1  # and find

    assert await found() == 4
    assert await found(state="stalled") == 1
    assert await found(state="running") == 2
    assert await found(state="retrying") == 1
    assert await found(consumer="web1-1-a") == 2
    assert await found(type="resize") == 3
    assert await found(type="thumbnail", state="retrying") == 1
    assert await found(min_idle="5m") == 1
    assert "No pending job matches" in await visitor.read("pending", **AT, type="none")
    assert "“soon” is not a duration" in await visitor.read("pending", **AT, min_idle="soon")
    text = await visitor.read("pending", **AT, state="dead", status=400)
    assert "'dead' is not a state" in text
    assert "images" in await visitor.read("pending")


async def test_pending_jobs_page_by_page(
    client: redis.Redis, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.ui.web.pages.pending.SHOWN", 4)
    ids = [add(client, {"n": str(n)}) for n in range(10)]
    read(client, "web1-1-a", 10)
    seen, query = [], dict(AT)
    while True:
        page = await visitor.get("pending", **query)
        seen += re.findall(r'name="id" value="([^"]+)"', page)
        following = re.search(r'rel="next" href="[^"]*after=([^&"]+)', page)
        if following is None:
            break
        query["after"] = following[1]
    assert seen == ids


async def test_dead_letters_by_error(
    app: App, server: RedisServer, client: redis.Redis, visitor: Visitor
) -> None:
    await app.produce_many(("resize", {"file": f"{n}.png"}) for n in range(3))
    await fail(server.unix_url, retries=0, jobs=3)
    text = await visitor.read("dead", **AT)
    assert re.search(r"3 \S RuntimeError RuntimeError: no such.*file .* resize 3", text)
    assert re.search(r"3 \S RuntimeError since", await visitor.read("dead"))
    assert re.search(r"3 \S RuntimeError since", await visitor.read("group", **AT))
    assert "No dead letter matches" in await visitor.read("dead", **AT, cause="KeyError")
    assert "1.png" in await visitor.read("dead", **AT, q="1.PNG")
    found = await visitor.get("dead", **AT, q="1.png")
    assert found.count('type="checkbox" name="id"') == 1


async def test_a_search_that_finds_nothing_yet_goes_on(
    client: redis.Redis, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    monkeypatch.setattr("streamq.ui.web.pages.dead_letters.LOOKED_AT", 5)
    for n in range(12):
        meta: dict[Any, Any] = {"id": f"{n + 1}-0", "reason": "gave up", "error": "x"}
        own: dict[Any, Any] = {
            "attempts": "1",
            "consumer": "c",
            "type": "t",
            "data": f'"number {n}"',
        }
        client.xadd(group_keys("jobs", GROUP).dlq, {**meta, **own})
    page = await visitor.get("dead", **AT, q="number 3")
    assert "None of the 5 looked at here matches" in page
    following = re.search(r'rel="next" href="[^"]*after=([^&"]+)', page)
    assert following
    page = await visitor.get("dead", **AT, q="number 3", after=following[1])
    assert re.findall(r'name="id" value="([^"]+)"', page) == ["4-0"]


async def test_a_job_that_succeeded(app: App, server: RedisServer, visitor: Visitor) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = await app.produce("resize", {"file": "a.png"}, key="user-7")
    await succeed(server.unix_url, {"thumbnail": "a.256.png"})
    text = await visitor.read("job", stream="jobs", id=job.id)
    assert f"Job {job.id} resize" in text
    assert "Attempt 1 succeeded" in text
    assert '"thumbnail": "a.256.png"' in text
    assert '"file": "a.png"' in text
    assert trace not in text


async def test_what_a_job_has_emitted(app: App, client: redis.Redis, visitor: Visitor) -> None:
    @app.group(GROUP).handler("order")
    async def order(job: Job) -> None:
        job.emit("receipt", {"n": 1}, stream="receipts")

    job = await app.produce("order")
    await app.worker(max_jobs=1).run()
    written: Any = client.xrange("receipts")
    [(event_id, _)] = written
    page = await visitor.get("job", stream="jobs", id=job.id)
    assert f"Emitted {event_id} on receipts" in text_of(page)
    assert f'href="/job?stream=receipts&amp;id={event_id}"' in page


async def test_where_the_trace_of_a_job_is(app: App, client: redis.Redis, visit: Visit) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    fields = {"type": "t", "data": "{}", "trace": f"00-{trace_id}-b7ad6b7169203331-01"}
    job_id = add(client, fields)
    bad_id = add(client, {**fields, "trace": "00-javascript:alert(1)-1-1"})
    page = await visit().get("job", stream="jobs", id=job_id)
    assert trace_id in page
    assert "traces.example" not in page
    visitor = visit(trace_url="https://traces.example/t/{trace_id}?ui=1")
    page = await visitor.get("job", stream="jobs", id=job_id)
    assert f'href="https://traces.example/t/{trace_id}?ui=1"' in page
    assert "traces.example" not in await visitor.get("job", stream="jobs", id=bad_id)


async def test_a_job_in_each_state(
    app: App, server: RedisServer, client: redis.Redis, visitor: Visitor
) -> None:
    retrying = await app.produce("t", {"n": 1})
    await fail(server.unix_url, retries=3)
    dead = await app.produce("t", {"n": 2})
    await fail(server.unix_url, retries=0)
    stalled = await app.produce("t", {"n": 3})
    read(client, "web1-1-a", 1)
    make_idle(client, stalled.id, 900)
    queued = await app.produce("t", {"n": 4})
    later = await app.produce("t", {"n": 5}, delay=3600)

    async def text(id: str) -> str:
        return await visitor.read("job", stream="jobs", id=id)

    for job, shown in (
        (retrying, r"retrying.*Attempt 1 failed.*disk full.*Next attempt"),
        (dead, r"dead.*Attempt 1.* failed.*Dead letter: retries exhausted.*RuntimeError"),
        (stalled, r"stalled.*Attempt 1.* has stalled.*by web1-1-a"),
        (queued, r"queued.*Waits in the queue"),
        (later, r"scheduled.*Due.*Run now"),
    ):
        assert re.search(shown, await text(job.id))
    assert "There is no trace of the job 1-1" in await visitor.read(
        "job", stream="jobs", id="1-1", status=404
    )


async def test_a_job_is_found_by_its_id(app: App, visitor: Visitor) -> None:
    await app.produce("t", stream="other")
    job = await app.produce("t")
    answer = await visitor.client.get("/find", params={"id": f" {job.id} "})
    assert answer.headers["location"] == f"/job?{urlencode({'stream': 'jobs', 'id': job.id})}"
    assert "No stream has a job 1-1" in await visitor.read("find", id="1-1", status=404)
    assert "is not a job ID" in await visitor.read("find", id="hello", status=404)


async def test_jobs_for_later(app: App, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamq.ui.web.pages.scheduled.SHOWN", 3)
    jobs = [await app.produce("t", {"n": n}, delay=3600 + 60 * n) for n in range(5)]
    await app.produce("t", {"n": 9}, delay=60, stream="other")
    await app.produce("t", stream="other")
    text = await visitor.read("scheduled")
    assert "jobs 5" in text
    assert "other 1" in text
    page = await visitor.get("scheduled", stream="jobs")
    assert re.findall(r'name="id" value="([^"]+)"', page) == [job.id for job in jobs[:3]]
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    page = (await visitor.client.get(following[1].replace("&amp;", "&"))).text
    assert re.findall(r'name="id" value="([^"]+)"', page) == [job.id for job in jobs[3:]]


async def test_schedules(app: App, visitor: Visitor) -> None:
    await app.produce("t")
    await app.admin.schedules.create(
        "jobs", "report", "weekly", cron="0 7 * * MON", tz="Europe/Berlin"
    )
    await app.admin.schedules.create("jobs", "beat", "beat", every=90, paused=True)
    text = await visitor.read("cron")
    assert re.search(
        r"report made at run time jobs weekly 0 7 \* \* MON Europe/Berlin .* ticks", text
    )
    assert re.search(r"beat made at run time jobs beat every 1 min 30 s .* paused", text)


async def test_limits_and_who_is_held(server: RedisServer, visit: Visit) -> None:
    async with App(server.unix_url) as app:

        @app.group(GROUP, order=True, rate="100/s").handler("*")
        async def resize(job: Job) -> None:
            await for_ever()

        async def held() -> bool:
            return any(one.backlog.held for one in (await app.admin.snapshot()).groups)

        jobs = [await app.produce("t", {"n": n}, key="ann") for n in range(3)]
        visitor = visit(app)
        async with anyio.create_task_group() as background:
            background.start_soon(app.worker(settings=Settings(prefetch=10)).run)
            with anyio.fail_after(PATIENCE):
                while not await held():  # noqa: ASYNC110 - nobody could set an event
                    await anyio.sleep(0.005)
            text = await visitor.read("limits", **AT)
            assert re.search(r"Rate .* 100/s 100/s", text), text
            assert jobs[1].id in text
            assert "waits for its key, place 2" in await visitor.read("pending", **AT, state="held")
            assert re.search(rf"{GROUP} jobs \d+ rate 100/s", await visitor.read("limits"))
            background.cancel_scope.cancel()


async def test_an_address_that_does_not_exist(visitor: Visitor) -> None:
    assert "There is nothing at this address" in await visitor.read("nix", status=404)
    for page in ("group", "pending", "dead", "consumers", "limits"):
        text = await visitor.read(page, stream="no", group="no", status=404)
        assert "There is no stream no" in text
