"""Long lists page by page, and what dead letters have in common."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import redis

from streamq import App
from streamq.admin import Admin, DeadLetters, Page, PendingJob
from streamq.admin.dead_letter import cause_of
from streamq.errors import ConfigError, GroupNotFound
from streamq.wire.keys import group_keys
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, make_idle, read, running

pytestmark = pytest.mark.anyio


# -- pending ---------------------------------------------------------------------


async def test_pending_pages_are_the_whole_list(admin: Admin, client: redis.Redis) -> None:
    ids = [add(client, {"type": f"t{n % 3}", "data": "{}"}) for n in range(25)]
    read(client, "c", 25)
    for type, wanted in ((None, ids), ("t1", ids[1::3]), ("none", [])):
        found, after = [], None
        for turn in itertools.count(1):
            page = await admin.pending_page("jobs", GROUP, type=type, after=after, limit=4)
            assert len(page.items) <= 4
            found += [job.id for job in page.items]
            after = page.following
            if after is None:
                break
            assert turn < 10
        assert found == wanted


async def test_a_page_looks_at_so_many_and_no_more(admin: Admin, client: redis.Redis) -> None:
    ids = [add(client, {"n": str(n)}) for n in range(30)]
    read(client, "c", 30)
    make_idle(client, ids[25], 900)
    looks = []
    page: Page[PendingJob] = Page((), None, 0)
    while not page.items:
        page = await admin.pending_page(
            "jobs", GROUP, states=["stalled"], look_at=10, after=page.following
        )
        looks.append(page.looked_at)
    assert [job.id for job in page.items] == [ids[25]]
    assert looks == [10, 10, 10]
    with pytest.raises(GroupNotFound):
        await admin.pending_page("jobs", "none")
    with pytest.raises(ConfigError, match="not a job ID"):
        await admin.pending_page("jobs", GROUP, after="the last one")


# -- consumers -----------------------------------------------------------------------


async def test_what_each_consumer_is_doing(
    app: App, server: RedisServer, client: redis.Redis, admin: Admin
) -> None:
    ids = [add(client, {"n": str(n)}) for n in range(7)]
    read(client, "a-gone-one", 5)
    client.xgroup_createconsumer("jobs", GROUP, "idle")
    async with running(server.unix_url, jobs=2) as worker:
        found = {one.consumer.name: one for one in await admin.consumers("jobs", GROUP, jobs=3)}
    assert list(found) == sorted(found)
    assert [job.id for job in found["a-gone-one"].jobs] == ids[:3]
    assert found["a-gone-one"].consumer.pending == 5
    assert {job.id for job in found[worker].jobs} == {*ids[5:]}
    assert found["idle"].jobs == ()
    assert found["a-gone-one"].to_dict()["jobs"][0]["id"] == ids[0]
    with pytest.raises(GroupNotFound):
        await admin.consumers("jobs", "none")


# -- dead letters --------------------------------------------------------------------


@pytest.fixture
def letters(app: App) -> DeadLetters:
    return app.admin.dead_letters("jobs", GROUP)


def write_letters(client: redis.Redis, errors: dict[str, int]) -> None:
    """Dead letters with these errors, so many of each, in turn."""
    at = itertools.count(1)
    for error, count in errors.items():
        for _ in range(count):
            n = next(at)
            meta: dict[Any, Any] = {"id": f"{n}-0", "reason": "retries exhausted", "error": error}
            meta |= {"attempts": "4", "consumer": "c"}
            own: dict[Any, Any] = {"type": f"t{n % 2}", "data": f'{{"n":{n}}}'}
            client.xadd(group_keys("jobs", GROUP).dlq, {**meta, **own}, id=f"{1000 * n}-0")


@pytest.mark.parametrize(
    ("reason", "error", "cause"),
    [
        ("retries exhausted", "ConnectionError: [Errno 111] refused", "ConnectionError"),
        ("retries exhausted", "KeyError", "KeyError"),
        ("gave up", "HTTPError: 500: no", "HTTPError"),
        ("gave up", "the file a17.png is broken", "the file … is broken"),
        ("gave up", "a.txt at /srv/pics is no picture.", "… at … is no picture."),
        ("gave up", "ran longer than its time of 30 s", "ran longer than its time of … s"),
        ("retries exhausted", "exit code 3: 'no such file'", "exit code … …"),
        ("no handler", "this group has no handler for the type 'x'", "no handler"),
        ("", "", "no error was noted"),
        ("gave up", "x" * 500, "x" * 120),
    ],
)  # fmt: skip
def test_what_a_letters_cause_is(reason: str, error: str, cause: str) -> None:
    assert cause_of(reason, error) == cause


async def test_causes(client: redis.Redis, letters: DeadLetters) -> None:
    assert (await letters.causes()).found == ()
    write_letters(client, {"KeyError: 'a'": 2, "OSError: x": 5, "KeyError: 'b'": 1})
    causes = await letters.causes()
    assert [(one.name, one.count, one.since) for one in causes.found] == [
        ("OSError", 5, 3.0), ("KeyError", 3, 1.0)
    ]  # fmt: skip
    assert causes.found[1].latest.error == "KeyError: 'b'"
    assert causes.found[0].types == {"t0": 2, "t1": 3}
    assert causes.complete
    assert causes.looked_at == 8
    plain = causes.to_dict()["causes"][0]
    assert plain | {"types": None} == {
        "name": "OSError", "count": 5, "since": 3.0, "until": 7.0, "error": "OSError: x",
        "types": None,
    }  # fmt: skip
    some = await letters.causes(limit=4)
    assert (some.looked_at, some.complete) == (4, False)
    assert [(one.name, one.count) for one in some.found] == [("OSError", 3), ("KeyError", 1)]


async def test_letters_page_by_page(client: redis.Redis, letters: DeadLetters) -> None:
    write_letters(client, {"KeyError": 12, "OSError": 1})
    page = await letters.page(limit=5)
    assert [letter.job_id for letter in page.items] == [f"{n}-0" for n in range(13, 8, -1)]
    page = await letters.page(limit=50, after=page.following)
    assert [letter.job_id for letter in page.items] == [f"{n}-0" for n in range(8, 0, -1)]
    assert page.following is None
    page = await letters.page(cause="OSError", look_at=3)
    assert (len(page.items), page.looked_at, page.following) == (1, 3, "11000-0")
    page = await letters.page(where=lambda letter: letter.data == {"n": 2}, type="t0")
    assert [letter.job_id for letter in page.items] == ["2-0"]
    assert (await letters.page(after="1000-0")).items == []


async def test_what_matches_is_counted_redriven_and_purged(
    client: redis.Redis, letters: DeadLetters
) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)
    assert (await letters.matching()).until is None
    write_letters(client, {"KeyError: 'a'": 4, "OSError: x": 3})
    found = await letters.matching(cause="KeyError")
    assert (found.count, found.until, found.complete) == (4, "7000-0", True)
    assert (await letters.matching()).count == 7
    assert await letters.count(cause="KeyError", until="2000-0") == 2
    assert [x.job_id async for x in letters.list(cause="OSError", newest_first=True)] == [
        "7-0", "6-0", "5-0"
    ]  # fmt: skip
    assert await letters.purge_all(cause="KeyError", until="3000-0") == 3
    odd = await letters.redrive_all(where=lambda letter: letter.data["n"] % 2 == 1)
    assert (odd.redriven, odd.failed) == (2, 0)
    assert [x.job_id async for x in letters.list()] == ["4-0", "6-0"]


async def test_of_very_many_letters_some_are_counted(
    client: redis.Redis, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.admin.dead_letters._AT_ONCE", 10)
    write_letters(client, {"KeyError": 35})
    found = await letters.matching(cause="KeyError", look_at=20)
    assert (found.count, found.complete) == (20, False)


# -- what is asked of many at once ------------------------------------------------------


async def test_jobs_for_later_page_by_page(app: App, admin: Admin) -> None:
    at = [60.0, 60.0, 60.0, 120.0, 120.0, 180.0, 240.0]
    names = [(await app.produce("t", delay=delay)).id for delay in at]
    found: list[str] = []
    after: str | None = None
    while True:
        page = await admin.scheduled_page("jobs", after=after, limit=2)
        found += [job.name for job in page.items]
        after = page.following
        if after is None:
            break
    assert sorted(found) == sorted(names)
    assert set(found[:3]) == set(names[:3])
    assert await admin.scheduled_counts(["jobs", "none"]) == {"jobs": 7, "none": 0}
    with pytest.raises(ConfigError, match="no place in the jobs for later"):
        await admin.scheduled_page("jobs", after="soon")


async def test_the_states_of_many_groups(admin: Admin, client: redis.Redis) -> None:
    for group in ("a", "b"):
        client.xgroup_create("jobs", group, "0", mkstream=True)
    await admin.pause("jobs", "b")
    await admin.set_rules("jobs", "b", rate="5/s")
    states = await admin.group_states([("jobs", "a"), ("jobs", "b"), ("none", "c"), ("jobs", "\n")])
    assert set(states) == {("jobs", "a"), ("jobs", "b"), ("none", "c")}
    assert states["jobs", "b"] == await admin.group_state("jobs", "b")
    assert states["jobs", "b"].limits == {"rate": "5/s"}
    assert states["jobs", "a"].paused_since is None


async def test_a_status_knows_key_and_trace(app: App, admin: Admin, client: redis.Redis) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job_id = add(client, {"type": "t", "data": "{}", "key": "user-7", "trace": trace})
    client.xgroup_create("jobs", GROUP, "0")
    status = await admin.status("jobs", job_id)
    assert (status.key, status.trace) == ("user-7", trace)
    assert status.to_dict()["trace"] == trace
    await fail(app.url or "", retries=0)
    status = await admin.status("jobs", job_id)
    assert (status.key, status.trace, status.groups[0].state) == ("user-7", trace, "dead")
