"""Looking at a stream that has partitions, and curing it, by its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
import redis

from streamq import App, Dead, Job, NewJob, Partitioned, Retry, Settings
from streamq.admin import Admin, RetryNow
from streamq.errors import ConfigError, ConsumerNotFound, GroupNotFound, JobNotFound, StreamNotFound
from streamq.partitions import laid_out
from tests.worker.support import QUIET, Watch, drain, eventually, running

pytestmark = pytest.mark.anyio

COUNT = 24
KEYS = [f"k{n}" for n in range(COUNT)]


@pytest.fixture
def admin(app: App) -> Admin:
    """What it is asked about."""
    return app.admin


async def written(app: App) -> list[str]:
    """Jobs in all partitions, each with an ID of its own; these."""
    layout = await laid_out(app.server, "jobs", Partitioned(4))
    for n, key in enumerate(KEYS):
        fields = ("type", "t", "key", key, "data", f'{{"n":{n}}}')
        await app.server.call("XADD", layout.name(layout.of(key)), f"{1000 + n}-1", *fields)
    return [f"{1000 + n}-1" for n in range(COUNT)]


async def parked(app: App) -> list[str]:
    """Jobs in all partitions that wait for a retry; their IDs."""
    group = app.group("g", retries=3)

    @group.handler("t")
    async def handle() -> None:
        raise Retry(delay=600)

    ids = await written(app)
    watch = Watch()
    async with running(app, settings=QUIET, observers=[watch]):
        await watch.until(lambda: len(watch.verdicts) == COUNT)
    return ids


async def dead(app: App) -> list[str]:
    """Dead letters of all partitions; the IDs of their jobs."""
    group = app.group("g")

    @group.handler("t")
    async def handle(n: int) -> None:
        raise Dead(f"number {n % 2}")

    ids = await written(app)
    await drain(app)
    return ids


async def test_a_stream_is_the_sum_of_its_partitions(app: App, admin: Admin) -> None:
    ids = await parked(app)
    about = await admin.stream("jobs")
    assert (about.name, about.length, about.partitions, about.oldest) == ("jobs", COUNT, 4, ids[0])
    [group] = about.groups
    assert (group.stream, group.name, group.pending, group.retrying) == ("jobs", "g", COUNT, COUNT)
    assert (group.queued, group.oldest, about.pinned_by) == (0, ids[0], ("g",))
    overview = await admin.info()
    assert [(one.name, one.length, one.partitions) for one in overview.streams] == [
        ("jobs", COUNT, 4)
    ]
    assert [name async for name in admin.stream_names()] == ["jobs"]
    backlog = (await admin.backlogs({"jobs": ["g", "other"]}))["jobs", "g"]
    assert (backlog.pending, backlog.retrying, backlog.queued) == (COUNT, COUNT, 0)
    for streams in (None, ["jobs"]):
        [one] = (await admin.snapshot(streams)).streams
        assert (one.name, one.length, one.groups[0].backlog.retrying) == ("jobs", COUNT, COUNT)
        async with aclosing(watched(admin, streams)) as pictures:
            picture = await anext(pictures)
        assert picture == [("jobs", COUNT)]
    assert (await admin.group_state("jobs", "g")).paused_since is None
    assert (await admin.stream("{jobs:0}")).length < COUNT


async def watched(admin: Admin, streams: list[str] | None) -> AsyncGenerator[list[tuple[str, int]]]:
    async for picture in admin.watch(streams, interval=0.01):
        yield [(one.name, one.length) for one in picture.streams]


async def test_pending_jobs_are_listed_in_order_and_by_pages(app: App, admin: Admin) -> None:
    ids = await parked(app)
    assert [job.id async for job in admin.pending("jobs")] == ids
    assert [job.id async for job in admin.pending("jobs", "g", limit=5)] == ids[:5]
    assert [job.id async for job in admin.pending("jobs", "g", after=ids[4], limit=3)] == ids[5:8]
    assert {job.stream async for job in admin.pending("jobs")} == {
        f"{{jobs:{n}}}" for n in range(4)
    }
    found: list[str] = []
    after = None
    while True:
        page = await admin.pending_page("jobs", "g", states=["retrying"], after=after, limit=7)
        found += [job.id for job in page.items]
        after = page.following
        if after is None:
            break
    assert found == ids


async def test_cures_find_the_partition_of_a_job(app: App, admin: Admin) -> None:
    ids = await parked(app)
    done = await admin.retry_now("jobs", "g", [*ids[:5], "1-1"])
    assert done == {**dict.fromkeys(ids[:5], RetryNow.DUE), "1-1": RetryNow.NOT_PENDING}
    assert await admin.dead_letter("jobs", "g", [ids[7], "1-1"]) == {ids[7]: True, "1-1": False}
    assert (await admin.cancel("jobs", ids[8])).groups == {"g": "cancelled"}
    assert await admin.retry_all("jobs", "g") == COUNT - 2
    assert (await admin.status("jobs", ids[7])).groups[0].state == "dead"
    assert (await admin.cancel_all("jobs", type="t")).cancelled == COUNT - 2
    with pytest.raises(ConsumerNotFound):
        await admin.release("jobs", "g", "nobody")
    with pytest.raises(JobNotFound):
        await admin.status("jobs", "1-1")


async def test_an_id_that_two_partitions_have(app: App, admin: Admin, client: redis.Redis) -> None:
    await parked(app)
    for n in (1, 2):
        client.xadd(f"{{jobs:{n}}}", {"type": "t", "data": "{}"}, id="9999999999999-1")
    for cure in (
        admin.retry_now("jobs", "g", ["9999999999999-1"]),
        admin.dead_letter("jobs", "g", ["9999999999999-1"]),
        admin.cancel("jobs", "9999999999999-1"),
        admin.replay("jobs", "g", ["9999999999999-1"]),
    ):
        with pytest.raises(ConfigError, match=r"\{jobs:1\} and \{jobs:2\}: name the one"):
            await cure
    assert (await admin.cancel("{jobs:1}", "9999999999999-1")).groups == {"g": "cancelled"}


async def test_dead_letters_of_all_partitions(app: App, admin: Admin) -> None:
    ids = await dead(app)
    letters = admin.dead_letters("jobs", "g")
    assert await letters.count() == COUNT
    listed = [letter async for letter in letters.list()]
    assert [letter.id for letter in listed] == sorted(letter.id for letter in listed)
    assert {letter.job_id for letter in listed} == set(ids)
    assert {letter.stream for letter in listed} == {f"{{jobs:{n}}}" for n in range(4)}
    newest = [letter.id async for letter in letters.list(newest_first=True, limit=5)]
    assert newest == [letter.id for letter in listed[::-1][:5]]
    page = await letters.page(limit=5)
    assert [letter.id for letter in page.items] == newest
    page = await letters.page(limit=100, after=page.following)
    assert [letter.id for letter in page.items] == [letter.id for letter in listed[::-1][5:]]
    assert (await letters.matching(type="t")).count == COUNT
    assert sum(cause.count for cause in (await letters.causes()).found) == COUNT
    assert (await letters.get(ids[3])).job_id == ids[3]
    assert (await letters.find(ids[4])) is not None
    assert [one.new_id is not None for one in await letters.redrive([ids[0], "1-1"])] == [
        True,
        False,
    ]
    assert await letters.purge([ids[1], "1-1"]) == {ids[1]: True, "1-1": False}
    assert await letters.purge_all(where=lambda letter: letter.data["n"] < 4) == 2
    assert (await letters.redrive_all(type="t")).redriven == COUNT - 4
    assert await letters.count() == 0
    about = await admin.stream("jobs")
    assert about.length == COUNT - 3


async def test_groups(app: App, admin: Admin) -> None:
    await app.produce_many(NewJob("t", key=key) for key in KEYS)
    assert await admin.create_group("jobs", "g")
    assert not await admin.create_group("jobs", "g")
    assert await admin.group_names("jobs") == ["g"]
    assert await admin.pause("jobs", "g")
    assert not await admin.pause("jobs", "g")
    assert (await admin.stream("{jobs:2}")).groups[0].state.paused_since is not None
    assert await admin.resume("jobs", "g")
    state = await admin.set_rules("jobs", "g", rate="10/s")
    assert state.limits["rate"] == "10/s"
    assert (await admin.group_states([("jobs", "g")]))["jobs", "g"].limits["rate"] == "10/s"
    settings = await admin.set_stream("jobs", retain="1d")
    assert (settings.retain, settings.partitions) == (86400, 4)
    assert (await admin.settings("{jobs:3}")).retain == 86400
    with pytest.raises(GroupNotFound, match="jobs"):
        await admin.pause("jobs", "nobody")
    await admin.set_rules("jobs", "g", rate="default")
    app.group("g").handler("t")(lambda: None)
    await drain(app)
    assert (await admin.rewind_group("jobs", "g", "0")).entries == COUNT
    assert (await admin.groups("jobs"))[0].queued == COUNT
    await admin.delete_group("jobs", "g")
    assert await admin.group_names("jobs") == []
    assert await admin.prune("jobs") == 0
    with pytest.raises(StreamNotFound):
        await admin.stream("nothing")


async def test_consumers_are_those_of_the_workers(app: App, admin: Admin) -> None:
    go_on = asyncio.Event()
    begun: list[int | None] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        begun.append(job.partition)
        await go_on.wait()

    await app.produce_many(NewJob("t", key=key) for key in KEYS[:8])
    async with running(app, settings=Settings(concurrency=8)) as worker:
        await eventually(lambda: len(begun) == 8)
        [one] = await admin.consumers("jobs", "default", jobs=3)
        assert (one.consumer.name, one.consumer.pending, len(one.jobs)) == (worker.name, 8, 3)
        [consumer] = (await admin.groups("jobs"))[0].consumers
        assert (consumer.name, consumer.pending, consumer.alive) == (worker.name, 8, True)
        go_on.set()


async def test_jobs_for_later(app: App, admin: Admin) -> None:
    jobs = [await app.produce("t", {"n": n}, delay=600 - n) for n in range(9)]
    names = [job.id for job in jobs]
    assert [one.name async for one in admin.scheduled("jobs")] == names[::-1]
    assert [one.name async for one in admin.scheduled("jobs", limit=2)] == names[:-3:-1]
    assert await admin.scheduled_counts(["jobs", "mails"]) == {"jobs": 9, "mails": 0}
    found: list[str] = []
    after = None
    while True:
        page = await admin.scheduled_page("jobs", after=after, limit=2)
        found += [job.name for job in page.items]
        after = page.following
        if after is None:
            break
    assert sorted(found) == sorted(names)
    assert (await admin.scheduled_job("jobs", names[4])).name == names[4]
    assert (await admin.status("jobs", names[4])).is_scheduled
    assert await admin.reschedule("jobs", names[4], delay=900)
    assert await admin.cancel_scheduled("jobs", names[0])
    assert await jobs[1].cancel()
    assert (await admin.cancel("jobs", names[2])).taken_back
    assert await admin.run_now("jobs", names[3])
    with pytest.raises(JobNotFound):
        await admin.scheduled_job("jobs", names[0])
    assert (await admin.stream("jobs")).scheduled == 6


async def test_periodic_jobs_made_at_run_time(app: App, admin: Admin, client: redis.Redis) -> None:
    await app.produce("t")
    made = await admin.schedules.create("jobs", "tick", "t", every=3600)
    assert made.stream == "{jobs:0}"
    assert [one.name for one in await admin.schedules.list("jobs")] == ["tick"]
    assert await admin.schedules.pause("jobs", "tick")
    assert await admin.schedules.resume("jobs", "tick")
    await admin.schedules.update("jobs", "tick", every=7200)
    assert (await admin.schedules.get("jobs", "tick")).every == 7200
    before = (await admin.stream("jobs")).length
    await admin.schedules.run_now("jobs", "tick")
    assert (await admin.stream("jobs")).length == before + 1
    await admin.schedules.delete("jobs", "tick")
    assert await admin.schedules.list("jobs") == []


async def test_following_tells_of_all_partitions(app: App, admin: Admin) -> None:
    app.group("g").handler("t")(lambda: None)
    await app.produce("t", key="a")
    await drain(app)
    seen: dict[str, set[str]] = {"queued": set(), "succeeded": set()}
    async with aclosing(admin.follow("jobs", "g")) as events:
        assert (await anext(events)).state == "following"
        jobs = await app.produce_many(NewJob("t", key=key) for key in KEYS)
        await drain(app)
        async with asyncio.timeout(20):
            async for event in events:
                if event.state in seen:
                    seen[event.state].add(f"{event.stream} {event.id}")
                if min(map(len, seen.values())) == len(jobs):
                    break
    assert seen["queued"] == seen["succeeded"] == {f"{job.place} {job.id}" for job in jobs}


async def test_the_doctor_looks_at_all(app: App, admin: Admin) -> None:
    await dead(app)
    findings = (await admin.doctor("jobs")).findings
    assert {one.stream for one in findings if one.name == "dead letters"} == {
        f"{{jobs:{n}}}" for n in range(4)
    }
    assert len([one.name for one in findings if one.level == "ok"]) == len(
        {one.name for one in findings if one.level == "ok"}
    )
