"""Wrong keys: of another type, or gone. A message each, and workers go on."""

from __future__ import annotations

import asyncio
import logging

import pytest
import redis

from streamq import App
from streamq.errors import WrongKeyType
from streamq.observe.log_lines import LogObserver
from streamq.signals import GroupCreated, Refused, ServerBack, ServerLost
from tests.bad_input.support import DLQ, assert_safe
from tests.lua.support import raw_entries
from tests.worker.support import (
    QUIET,
    Outcome,
    Watch,
    eventually,
    running,
    together,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("brisk")]


async def test_a_stream_of_another_type_at_the_start(app: App, client: redis.Redis) -> None:
    client.set("jobs", "x")
    app.handler("t")(lambda: None)
    with pytest.raises(WrongKeyType, match="another type") as caught:
        await app.worker().run()
    assert "\n" not in str(caught.value)
    assert client.get("jobs") == "x"


async def test_a_group_that_is_deleted_while_consuming(app: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await app.produce("t", {"n": 1})
        await watch.until(lambda: seen == [1])
        client.xgroup_destroy("jobs", "default")
        await app.produce("t", {"n": 2})
        await watch.until(lambda: seen == [1, 2])
    assert [(event.group, event.again) for event in watch.of(GroupCreated)] == [
        ("default", False), ("default", True),
    ]  # fmt: skip


async def test_a_stream_that_is_deleted_while_consuming(app: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        for n in range(3):
            client.delete("jobs")
            await app.produce("t", {"n": n})
            await watch.until(lambda n=n: n in seen)  # type: ignore[misc]  # mypy on defaults of a lambda
    assert seen == [0, 1, 2]
    assert watch.of(Refused) == []


async def test_a_stream_that_is_deleted_while_jobs_run(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle(n: int) -> None:
        if n == 0:
            begun.set()
            await together(go_on)

    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await app.produce("t", {"n": 0})
        await together(begun)
        client.delete("jobs")
        go_on.set()
        await watch.until(lambda: watch.of(Refused))
        await app.produce("t", {"n": 1})
        await watch.until(lambda: watch.verdicts)
    assert [verdict.job.data for verdict in watch.verdicts] == [{"n": 1}]


@pytest.mark.parametrize("key", ["jobs", "{jobs}:group:default:retry", DLQ])
async def test_a_key_that_is_replaced_by_another_type_while_consuming(
    app: App, client: redis.Redis, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker says so once, loses nothing, and goes on when the key is right again."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    @app.handler("t", retries=0)
    async def handle(n: int) -> None:
        seen.append(n)
        if n == 0:
            begun.set()
            await together(go_on)
            raise ValueError("no")

    caplog.set_level(logging.DEBUG, "streamq")
    watch = Watch()
    async with running(app, observers=[watch, LogObserver()], settings=QUIET):
        id = (await app.produce("t", {"n": 0})).id
        await together(begun)
        if key == "jobs":
            client.rename(key, "kept")
        client.set(key, "x")
        go_on.set()
        await watch.until(lambda: watch.of(ServerLost))
        client.delete(key)
        if key == "jobs":
            client.rename("kept", key)
        await watch.until(lambda: watch.verdicts and watch.of(ServerBack))
        await app.produce("t", {"n": 1})
        await watch.until(lambda: len(watch.verdicts) == 2)
    assert watch.outcomes == [Outcome.DEAD, Outcome.SUCCEEDED]
    assert [fields[0] for _, fields in raw_entries(client, DLQ)] == [("id", id)]
    assert len(watch.of(ServerLost)) == 1
    error = str(watch.of(ServerLost)[0].error)
    assert "another type" in error
    assert key == "jobs" or key in error
    assert_safe(caplog)


async def test_a_worker_can_be_stopped_while_the_stream_is_wrong(
    app: App, client: redis.Redis
) -> None:
    app.handler("t")(lambda: None)
    watch = Watch()
    async with running(app, observers=[watch]):
        await eventually(lambda: client.exists("jobs"))
        client.delete("jobs")
        client.set("jobs", "x")
        await watch.until(lambda: watch.of(ServerLost))
    assert client.get("jobs") == "x"
