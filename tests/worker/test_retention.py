"""Settled entries that are kept for a time, and groups that are given up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter

import pytest
import redis

from streamq import App, Job, Retry, Settings
from streamq.errors import ConfigError, WrongKeyType
from streamq.signals import Abandoned, RetentionChanged, ServerLost
from streamq.wire.keys import RETAINED, stream_keys
from tests.lua.support import add
from tests.servers import RedisServer
from tests.worker.support import AT_ONCE, QUIET, Watch, drain, eventually, running

pytestmark = pytest.mark.anyio

KEYS = stream_keys("jobs")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look after the settings all the time."""
    monkeypatch.setattr("streamq.worker.sources.upkeep.EVERY", 0.01)


def counting(app: App, *groups: str) -> Counter[tuple[str, str]]:
    """Handlers that count which job each group has been given."""
    seen: Counter[tuple[str, str]] = Counter()
    for group in groups:

        @app.group(group).handler("*")
        async def handle(job: Job) -> None:
            seen[job.group, job.id] += 1

    return seen


async def test_a_group_that_comes_later_gets_what_is_kept(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url, retain="7d") as app:
        seen = counting(app, "images")
        await drain(app)  # so that the setting is known
        ids = [job.id for job in await app.produce_many([("t", {})] * 5)]
        watch = await drain(app)
        assert watch.of(RetentionChanged) == []
        assert client.hget(KEYS.settings, "retain") == str(7 * 86_400_000)
        assert client.xlen("jobs") == 5
        seen.clear()
    async with App(server.unix_url) as app:  # one that says nothing of it
        seen = counting(app, "audit")
        await drain(app)
        assert list(seen) == [("audit", id) for id in ids]
        assert client.xlen("jobs") == 5


async def test_the_app_changes_the_setting_and_says_so(
    server: RedisServer, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    from streamq.observe.log_lines import LogObserver

    for retain, before in (("1h", None), (60, 3600.0), (0, 60.0)):
        async with App(server.unix_url, retain={"jobs": retain}) as app:
            counting(app, "images")
            await app.produce("t")
            with caplog.at_level(logging.WARNING, "streamq"):
                watch = await drain(app, observers=[LogObserver()])
            [changed] = watch.of(RetentionChanged)
            assert changed.before == before
    assert "kept not at all from now on; before that, for 60 s" in caplog.text
    assert client.keys("*") == ["jobs"]
    assert client.xlen("jobs") == 0, "what had been kept goes"


async def test_what_is_no_duration_is_refused(server: RedisServer) -> None:
    wrong: list[object] = ["soon", -1, "", [], {"jobs": "x"}, float("nan")]
    for bad in wrong:
        with pytest.raises(ConfigError, match="retain="):
            App(server.unix_url, retain=bad)  # type: ignore[arg-type]  # what is tried


async def test_settings_of_another_type_stop_the_worker_at_its_start(
    server: RedisServer, client: redis.Redis
) -> None:
    client.set(KEYS.settings, "x")
    async with App(server.unix_url, retain=1) as app:
        counting(app, "images")
        with pytest.raises(WrongKeyType, match=r"\{jobs\}:settings"):
            await drain(app)


async def test_a_running_worker_says_which_key_is_wrong(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url) as app:
        seen = counting(app, "images")
        watch = Watch()
        async with running(app, observers=[watch]):
            await app.produce("t")
            await watch.until(lambda: seen.total() == 1)
            client.set(KEYS.settings, "x")
            await watch.until(lambda: watch.of(ServerLost))
            client.delete(KEYS.settings)
            await app.produce("t")
            await watch.until(lambda: seen.total() == 2)
    [lost] = watch.of(ServerLost)
    assert "{jobs}:settings, which is streamq's own, holds another type" in str(lost.error)


async def test_nothing_is_trimmed_under_load_before_every_group_has_settled_it(
    server: RedisServer, client: redis.Redis
) -> None:
    """Three groups with retries, no age at all, and connections that are cut."""
    rng = random.Random(1)
    groups = ("one", "two", "three")
    async with App(server.unix_url, retain=0.001) as app:
        done: Counter[tuple[str, str]] = Counter()
        for group in groups:

            @app.group(group).handler("*", retries=50, backoff=AT_ONCE)
            async def handle(job: Job) -> None:
                if rng.random() < 0.2:
                    raise Retry("once more", delay=rng.random() / 50)
                done[job.group, job.id] += 1

        watch = Watch()
        settings = Settings(lease=1, result_ttl=0)
        async with (
            running(app, groups=["one"], settings=settings, observers=[watch]),
            running(app, groups=["two", "three"], settings=settings, observers=[watch]),
        ):
            ids = add(client, 50)
            await eventually(lambda: {group for group, _ in done} == set(groups))
            for n in range(10):
                ids += add(client, 150)
                if n % 3 == 1:
                    client.client_kill_filter(_type="normal", skipme=True)
                    await asyncio.sleep(0)
            await eventually(lambda: len(done) == 3 * len(ids))
            await eventually(lambda: client.xlen("jobs") == 0)
    assert set(done) == {(group, id) for group in groups for id in ids}
    [place] = [g for g in client.xinfo_groups("jobs") if g["name"] == RETAINED]
    assert place["pending"] == 0


async def test_an_abandoned_group_lets_go_and_says_so(
    server: RedisServer, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    from streamq.observe.log_lines import LogObserver

    client.xgroup_create("jobs", "audit", "0", mkstream=True)
    client.hset(KEYS.settings, "abandon_after:audit", 1)
    async with App(server.unix_url) as app:
        seen = counting(app, "images")
        watch = Watch()
        with caplog.at_level(logging.WARNING, "streamq"):
            async with running(app, settings=QUIET, observers=[watch, LogObserver()]):
                await app.produce_many([("t", {})] * 1200)
                await eventually(lambda: client.xlen("jobs") == 0)
                await watch.until(lambda: sum(one.unread for one in watch.of(Abandoned)) == 1200)
        assert {one.group for one in watch.of(Abandoned)} == {"audit"}
        assert "The group audit of jobs has no live consumer and is abandoned" in caplog.text
        assert len(seen) == 1200
        notes = client.hgetall(KEYS.settings)
        assert notes["given_up:audit"] == "1200"

        # It comes back: from here on it gets its jobs.
        audited = counting(app, "audit")
        await app.produce("t")
        await drain(app, groups=["audit"])
        assert len(audited) == 1
        await drain(app)
        assert client.hgetall(KEYS.settings) == {"abandon_after:audit": "1"}


async def test_a_group_may_be_excepted_and_one_that_is_gone_is_forgotten(
    server: RedisServer, client: redis.Redis
) -> None:
    for group in ("audit", "archive"):
        client.xgroup_create("jobs", group, "0", mkstream=True)
    settings = {"abandon_after": 1, "abandon_after:archive": 0, "abandoned:old": 5}
    client.hset(KEYS.settings, mapping=settings)  # type: ignore[arg-type]  # redis-py's types
    async with App(server.unix_url) as app:
        counting(app, "images")
        watch = Watch()
        async with running(app, settings=QUIET, observers=[watch]):
            await app.produce("t")
            await watch.until(lambda: watch.of(Abandoned))
            await eventually(lambda: not client.hexists(KEYS.settings, "abandoned:old"))
            assert [one.group for one in watch.of(Abandoned)] == ["audit"]
            assert client.xlen("jobs") == 1, "archive keeps it"

            await app.admin.set_stream("jobs", abandon_after=0)
            await eventually(lambda: not client.hexists(KEYS.settings, "abandoned:audit"))
            assert (await app.admin.settings("jobs")).abandoned == {}
