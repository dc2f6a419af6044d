"""Pictures of all streams and groups, and how fast they change."""

from __future__ import annotations

import time

import pytest
import redis

from streamq import App, Dead, Retry, Settings
from streamq.admin import Admin, Snapshot
from streamq.errors import ConfigError, ServerUnavailable
from tests.servers import RedisServer, free_port
from tests.situations import add, make_idle, read

pytestmark = pytest.mark.anyio


def group_of(picture: Snapshot, name: str) -> dict[str, object]:
    [found] = [group for group in picture.groups if group.name == name]
    return found.to_dict()


async def test_it_counts_what_each_group_has_to_do(admin: Admin, client: redis.Redis) -> None:
    an_hour_ago = int((time.time() - 3600) * 1000)
    client.xadd("jobs", {"type": "resize", "data": "{}"}, id=f"{an_hour_ago}-0")
    add(client, {"type": "resize", "data": "{}"})
    client.xgroup_create("jobs", "idle", "0")
    [first] = read(client, "web-1", group="images")
    make_idle(client, first, 7200, group="images")
    client.xadd("photos", {"type": "resize", "data": "{}"})

    picture = await admin.snapshot()

    assert [stream.name for stream in picture.streams] == ["jobs", "photos"]
    assert [stream.length for stream in picture.streams] == [2, 1]
    images, idle = group_of(picture, "images"), group_of(picture, "idle")
    assert (images["queued"], images["pending"], images["running"]) == (1, 1, 1)
    assert images["oldest_pending"] == pytest.approx(3600, abs=60)
    assert images["oldest_queued"] == pytest.approx(0, abs=60)
    assert (idle["queued"], idle["pending"], idle["consumers"]) == (2, 0, 0)
    assert idle["oldest_queued"] == idle["oldest"] == pytest.approx(3600, abs=60)
    assert picture.at == pytest.approx(time.time(), abs=60)
    assert picture.to_dict()["server"]["version"]


async def test_jobs_of_a_consumer_that_is_gone_are_stalled(app: App, client: redis.Redis) -> None:
    add(client, {"type": "resize", "data": "{}"})
    client.xgroup_create("jobs", "images", "0")
    read(client, "web-1", group="images")
    at_once = Admin(app.server, lease=0)
    found = group_of(await at_once.snapshot(), "images")
    assert (found["stalled"], found["running"]) == (1, 0)
    assert (found["consumers"], found["gone"]) == (0, 1)


async def test_retrying_dead_and_paused(app: App, admin: Admin) -> None:
    @app.group("images").handler("resize")
    async def resize(bad: bool) -> None:
        raise Dead("it is no picture") if bad else Retry(delay=60)

    await app.produce_many([("resize", {"bad": True}), ("resize", {"bad": False})])
    await app.worker(settings=Settings(result_ttl=0), max_jobs=2).run()
    await admin.pause("jobs", "images")

    found = group_of(await admin.snapshot(), "images")

    assert (found["retrying"], found["pending"], found["dead_letters"]) == (1, 1, 1)
    assert found["paused_since"] == pytest.approx(time.time(), abs=60)


async def test_rates_are_since_the_picture_before(app: App, admin: Admin) -> None:
    @app.group("images").handler("resize")
    async def resize(bad: bool = False) -> None:
        if bad:
            raise Dead("it is no picture")

    async def work() -> None:
        await app.worker(settings=Settings(result_ttl=0), burst=True).run()

    await app.produce("resize")
    await work()
    pictures = admin.watch(interval=0.001)
    first = await anext(pictures)
    await app.produce_many([("resize", {})] * 7 + [("resize", {"bad": True})] * 2)
    await work()
    await app.produce_many([("resize", {})] * 3)
    second = await anext(pictures)

    [stream], seconds = second.streams, second.at - first.at
    [group] = stream.groups
    assert first.streams[0].added_rate is None
    assert first.groups[0].settled_rate is None
    assert stream.added_rate == pytest.approx(12 / seconds)
    assert group.settled_rate == pytest.approx(9 / seconds)
    assert group.dead_rate == pytest.approx(2 / seconds)
    assert (await anext(pictures)).groups[0].settled_rate == 0


async def test_a_stream_without_a_group_has_a_rate_too(admin: Admin, client: redis.Redis) -> None:
    add(client, {"type": "resize", "data": "{}"})
    pictures = admin.watch(["jobs"], interval=0.001)
    first = await anext(pictures)
    add(client, {"type": "resize", "data": "{}"})
    second = await anext(pictures)
    assert second.streams[0].added_rate == pytest.approx(1 / (second.at - first.at))


async def test_only_the_streams_that_are_asked_for(admin: Admin, client: redis.Redis) -> None:
    for name in ("jobs", "photos"):
        client.xadd(name, {"type": "resize"})
    picture = await admin.snapshot(["photos", "missing"])
    assert [stream.name for stream in picture.streams] == ["photos"]
    assert (await admin.snapshot([])).streams == ()


async def test_what_a_user_may_not_see_is_named(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    for name in ("jobs", "secret"):
        client.xadd(name, {"type": "resize"})
    client.acl_setuser(
        "looker", enabled=True, nopass=True, categories=["+@all"], keys=["jobs", "{jobs}*"]
    )
    try:
        url = server.url.replace("redis://", "redis://looker:x@")
        async with App(url) as other:
            picture = await other.admin.snapshot()
        assert [stream.name for stream in picture.streams] == ["jobs"]
        assert picture.forbidden == ("secret",)
    finally:
        client.acl_deluser("looker")


async def test_an_interval_that_is_none(admin: Admin) -> None:
    with pytest.raises(ConfigError, match="interval=0"):
        admin.watch(interval=0)


async def test_a_server_that_is_not_there() -> None:
    async with App(f"redis://127.0.0.1:{free_port()}") as app:
        with pytest.raises(ServerUnavailable):
            await app.admin.snapshot()
