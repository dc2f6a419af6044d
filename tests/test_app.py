"""The App: registering handlers, and which worker serves which of them."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from streamq import App, Job, Settings, Worker
from streamq.errors import ConfigError
from streamq.signals import Settled, Signal
from tests.servers import RedisServer
from tests.worker.support import eventually


def plain(n: int = 0) -> int:
    return n


def other(n: int = 0) -> int:
    return n


def places(app: App, **wanted: Any) -> dict[tuple[str, str], set[str]]:
    """For each stream and group of a worker, the types that it handles."""
    return {
        (s.stream, s.group): {*s.handlers.by_type, *(["*"] if s.handlers.rest else [])}
        for s in app.subscriptions(**wanted)
    }


# -- registering --------------------------------------------------------------


def test_a_function_stays_as_it_is() -> None:
    app = App()
    assert app.handler("t")(plain) is plain


def test_the_type_is_the_functions_name_by_default() -> None:
    app = App()
    app.handler()(plain)
    assert places(app) == {("jobs", "default"): {"plain"}}


@pytest.mark.parametrize("function", [lambda: None, functools.partial(plain, n=1)])
def test_what_has_no_name_needs_a_type(function: Any) -> None:
    app = App()
    with pytest.raises(ConfigError, match="give the job type"):
        app.handler()(function)
    app.handler("t")(function)
    assert places(app) == {("jobs", "default"): {"t"}}


def test_the_same_function_can_handle_several_types() -> None:
    app = App()
    app.handler("a")(app.handler("b")(plain))
    assert places(app) == {("jobs", "default"): {"a", "b"}}


def test_a_type_has_one_handler_in_a_group_on_a_stream() -> None:
    app = App()
    app.group("a").handler("t")(plain)
    app.group("b").handler("t")(plain)
    app.group("a").handler("t", stream="other")(plain)
    app.handler("t")(plain)
    with pytest.raises(ConfigError, match="'t' has a handler already, plain"):
        app.handler("t")(other)
    app.group("a").handler("t")(other)
    with pytest.raises(ConfigError, match="group a has two handlers for the type 't': plain and"):
        app.subscriptions()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stream": ""}, "is not a valid stream name"),
        ({"type": "\n"}, "is not a valid job type"),
        ({"retries": -1}, "retries=-1"),
        ({"timeout": 0}, "timeout=0"),
    ],
)
def test_what_cannot_be_registered(options: dict[str, Any], message: str) -> None:
    app = App()
    with pytest.raises(ConfigError, match=message):
        app.handler(**options)(plain)
    with pytest.raises(ConfigError, match="no handlers"):
        app.subscriptions()


@pytest.mark.parametrize("stream", ["", "\n", "\ud800"])
def test_an_app_needs_a_stream_that_can_be_named(stream: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid stream name"):
        App(stream=stream)


# -- which worker serves what -------------------------------------------------


def make_app(**options: Any) -> App:
    app = App(**options)
    app.handler("shared")(plain)
    app.group("images").handler("resize")(plain)
    app.group("audit").handler("*")(plain)
    app.group("mail").handler("mail", stream="mails")(plain)
    return app


def test_handlers_without_a_group_serve_in_each() -> None:
    assert places(make_app()) == {
        ("jobs", "images"): {"shared", "resize"},
        ("jobs", "audit"): {"shared", "*"},
        ("mails", "mail"): {"mail"},
    }


def test_a_worker_can_be_for_some_groups_only() -> None:
    assert places(make_app(), groups=["images"]) == {("jobs", "images"): {"shared", "resize"}}
    assert places(make_app(), groups=["new"]) == {("jobs", "new"): {"shared"}}
    assert places(make_app(), groups=["mail", "audit", "audit"]) == {
        ("jobs", "mail"): {"shared"}, ("jobs", "audit"): {"shared", "*"},
        ("mails", "mail"): {"mail"},
    }  # fmt: skip


def test_a_worker_can_be_for_some_streams_only() -> None:
    assert places(make_app(), streams=["mails"]) == {("mails", "mail"): {"mail"}}


def test_what_nobody_handles_is_said() -> None:
    app = App()
    app.group("images").handler("t")(plain)
    with pytest.raises(ConfigError, match="no handler for the group 'audit'"):
        app.subscriptions(groups=["images", "audit"])
    with pytest.raises(ConfigError, match="no handler for the stream 'mails'"):
        app.subscriptions(streams=["mails"])
    with pytest.raises(ConfigError, match="is not a valid group name"):
        app.subscriptions(groups=["a b"])
    with pytest.raises(ConfigError, match="no handlers"):
        App().subscriptions()


def test_a_group_that_only_ignores_handles_nothing() -> None:
    app = App()
    app.group("images", ignore=["x"])
    with pytest.raises(ConfigError, match="no handlers"):
        app.subscriptions()


def test_what_is_ignored_where() -> None:
    app = make_app(ignore=["y"])
    app.group("images", ignore=["thumbnail_*", "x"])
    ignores = {s.group: s.handlers.ignores for s in app.subscriptions()}
    assert ignores["images"]("thumbnail_ready")
    assert ignores["images"]("x")
    assert not ignores["images"]("thumbnai")
    assert ignores["images"]("y")
    assert ignores["audit"]("y")
    assert not ignores["audit"]("x")
    assert ignores["mail"]("y")


def test_how_many_deliveries_a_job_may_have() -> None:
    app = App()
    app.handler("a", retries=0)(plain)
    app.handler("b", retries=5)(plain)
    [subscription] = app.subscriptions()
    assert subscription.handlers.deliveries_by_type == {"a": 1, "b": 6}
    app.handler("*", retries=2)(plain)
    [subscription] = app.subscriptions()
    assert subscription.handlers.deliveries == 3


# -- a worker's settings ------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concurrency": 0}, "concurrency=0"),
        ({"prefetch": -1}, "prefetch=-1"),
        ({"lease": 0.01}, "lease=0.01"),
        ({"lease": float("inf")}, "lease=inf"),
        ({"lease": float("nan")}, "lease=nan"),
        ({"result_ttl": -1}, "result_ttl=-1"),
        ({"result_ttl": float("nan")}, "result_ttl=nan"),
        ({"grace": -1}, "grace=-1"),
        ({"processes": 0}, "processes=0"),
        ({"start": "now"}, "'now' is not a valid start"),
        ({"start": "1-"}, "'1-' is not a valid start"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], message: str) -> None:
    app = App("redis://localhost:1")
    app.handler("t")(plain)
    with pytest.raises(ConfigError, match=message):
        app.worker(settings=Settings(**settings))


@pytest.mark.parametrize("start", ["0", "$", "17", "17-3"])
def test_where_a_group_may_start(start: str) -> None:
    app = App("redis://localhost:1")
    app.handler("t")(plain)
    assert isinstance(app.worker(settings=Settings(start=start)), Worker)


def test_max_jobs_is_at_least_one() -> None:
    app = App("redis://localhost:1")
    app.handler("t")(plain)
    with pytest.raises(ConfigError, match="max_jobs=0"):
        app.worker(max_jobs=0)


# -- its life -----------------------------------------------------------------


@pytest.mark.anyio
async def test_the_lifespan_surrounds_all_jobs(server: RedisServer) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        seen.append("open")
        yield
        seen.append("closed")

    async with App(server.unix_url, lifespan=lifespan) as app:

        @app.handler("t")
        async def handle() -> None:
            seen.append("job")

        await app.produce("t")
        await app.worker(burst=True).run()
    assert seen == ["open", "job", "closed"]


@pytest.mark.anyio
async def test_an_app_can_be_used_again_after_closing(app: App, client: redis.Redis) -> None:
    await app.produce("t")
    await app.close()
    await app.produce("t")
    await app.close()
    await app.close()
    assert client.xlen("jobs") == 2


@pytest.mark.anyio
async def test_connections_are_shared_and_closed(app: App, client: redis.Redis) -> None:
    def open_now() -> int:
        return sum(row["name"] == "streamq" for row in client.client_list())

    await asyncio.gather(*(app.produce("t") for _ in range(5)))
    assert 1 <= open_now() <= 5
    for _ in range(20):
        await app.produce("t")
    assert open_now() <= 5
    await app.close()
    await eventually(lambda: not open_now())


@pytest.mark.anyio
async def test_a_worker_leaves_no_connection_and_no_consumer(app: App, client: redis.Redis) -> None:
    @app.handler("t")
    async def handle(job: Job) -> None:
        assert job.consumer in {row["name"] for row in client.client_list()}

    await app.produce("t")
    seen: list[Signal] = []
    await app.worker(burst=True, observers=[seen.append]).run()
    assert [type(event) for event in seen if isinstance(event, Settled)] == [Settled]
    await app.close()
    await eventually(lambda: len(client.client_list()) == 1)
    assert client.xinfo_consumers("jobs", "default") == []


@pytest.mark.anyio
async def test_an_observer_that_fails_hurts_nobody(
    app: App, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Signal] = []

    def broken(event: Signal) -> None:
        raise RuntimeError("no")

    app.handler("t")(plain)
    await app.produce("t")
    await app.worker(burst=True, observers=[broken, seen.append]).run()
    assert any(isinstance(event, Settled) for event in seen)
    assert client.xlen("jobs") == 0
    assert "an observer failed at Settled" in caplog.text


def test_the_public_face() -> None:
    import streamq

    for name in streamq.__all__:
        assert getattr(streamq, name).__name__ == name
    assert {*streamq.__all__} <= {*dir(streamq)}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = streamq.Nothing


def test_an_app_can_be_used_in_one_event_loop_after_the_other(server: RedisServer) -> None:
    """As a script does that calls asyncio.run() for each job."""
    code = """
import asyncio, sys
from streamq import App, testing

app = App(sys.argv[1])
app.handler("t")(lambda: None)
asyncio.run(app.produce("t"))
asyncio.run(app.produce("t"))
print(len(asyncio.run(testing.drain(app))))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, server.unix_url], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("2\n", "")
