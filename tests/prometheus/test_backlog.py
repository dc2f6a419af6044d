"""What the server holds, asked for at each scrape."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest
import redis

from streamq import App, Retry
from streamq.admin import backlog as backlogs
from streamq.observe.prometheus import Metrics, backlog
from tests.prometheus.support import IMAGES, scrape, serving, settings
from tests.scraping import Scrape
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.anyio


async def test_a_scrape_is_answered_while_a_handler_blocks_the_loop(app: App) -> None:
    seen: list[Scrape] = []

    @app.group("images").handler("resize")
    async def resize() -> None:
        seen.append(scrape(metrics))

    await app.produce_many([("resize", {})] * 3)
    one_by_one = settings(concurrency=1, prefetch=0)
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=one_by_one, burst=True).run()
        after = scrape(metrics)

    assert [found("job_queue_length", **IMAGES) for found in (*seen, after)] == [2, 1, 0, 0]
    assert [found("job_pending", **IMAGES) for found in (*seen, after)] == [1, 1, 1, 0]
    assert [found("job_in_progress", **IMAGES) for found in (*seen, after)] == [1, 1, 1, 0]
    assert [found("job_consumers", **IMAGES) for found in (*seen, after)] == [1, 1, 1, 0]


async def test_a_parked_job_is_pending_and_not_in_progress(app: App) -> None:
    @app.group("images").handler("resize")
    async def resize() -> None:
        raise Retry(delay=60)

    await app.produce("resize")
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), max_jobs=1).run()
        found = scrape(metrics)

    assert found("job_pending", **IMAGES) == 1
    assert found("job_in_progress", **IMAGES) == 0
    assert found("job_consumers", **IMAGES) == 0
    assert found("job_queue_length", **IMAGES) == 0


async def test_a_group_that_nobody_reads_is_named(app: App, client: redis.Redis) -> None:
    @app.group("images").handler("resize")
    async def resize() -> None: ...

    an_hour_ago = int((time.time() - 3600) * 1000)
    client.xadd("jobs", {"type": "resize", "data": "{}"}, id=f"{an_hour_ago}-0")
    await app.produce_many([("resize", {})] * 4)
    client.xgroup_create("jobs", "forgotten", "0")
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)

    forgotten = {**IMAGES, "group": "forgotten"}
    assert found("job_queue_length", **forgotten) == 5
    assert found("job_consumers", **forgotten) == 0
    assert found("job_oldest_seconds", **forgotten) == pytest.approx(3600, abs=60)
    assert found("job_oldest_seconds", **IMAGES) == 0
    assert found("job_success_total", **forgotten, type="resize") is None


async def test_a_group_yet_to_be_created_has_the_whole_stream_queued(app: App) -> None:
    app.group("images").handler("resize")(lambda: None)
    await app.produce_many([("resize", {})] * 4)
    with serving(app) as metrics:
        assert scrape(metrics)("job_queue_length", **IMAGES) == 4


async def test_queue_length_where_the_server_does_not_know_the_lag(
    app: App, client: redis.Redis
) -> None:
    app.group("images").handler("resize")(lambda: None)
    ids = [job.id for job in await app.produce_many([("resize", {})] * 10)]
    client.xgroup_create("jobs", "images", ids[1])
    client.xdel("jobs", ids[5])
    (info,) = client.xinfo_groups("jobs")
    assert info["lag"] is None
    with serving(app) as metrics:
        assert scrape(metrics)("job_queue_length", **IMAGES) == 7
        client.xdel("jobs", *ids[2:])
        assert scrape(metrics)("job_queue_length", **IMAGES) == 0


async def test_queue_length_where_there_are_too_many_to_count(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlogs, "COUNTED", 1)
    app.group("images").handler("resize")(lambda: None)
    ids = [job.id for job in await app.produce_many([("resize", {})] * 500)]
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "c", {"jobs": ">"}, count=200)
    client.xdel("jobs", ids[300])
    with serving(app) as metrics:
        assert scrape(metrics)("job_queue_length", **IMAGES) == 299


async def test_a_consumer_silent_for_longer_than_the_lease_is_not_counted(
    app: App, client: redis.Redis
) -> None:
    app.group("images").handler("resize")(lambda: None)
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    client.xgroup_createconsumer("jobs", "images", "c")
    with serving(app) as metrics:
        assert scrape(metrics)("job_consumers", **IMAGES) == 1
    with closing(Metrics(app.server, app.subscriptions(), lease=0)) as metrics:
        assert metrics.registry.get_sample_value("job_consumers", IMAGES) == 0


async def test_the_number_of_groups_is_bounded(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlogs, "MAX_GROUPS", 5)
    app.group("images").handler("resize")(lambda: None)
    for i in range(20):
        client.xgroup_create("jobs", f"foreign {i}\n", "0", mkstream=True)
    client.xgroup_create("jobs", "images", "0")
    with serving(app) as metrics:
        found = scrape(metrics)

    groups = {dict(labels)["group"] for name, labels in found.samples if name == "job_pending"}
    assert len(groups) == 5
    assert "images" in groups
    assert all(re.fullmatch(r"foreign \d+\\x0a", group) for group in groups - {"images"})


async def test_a_scrape_without_the_server(make_server: Callable[..., RedisServer]) -> None:
    server = make_server()
    async with App(server.unix_url) as app:
        app.group("images").handler("resize")(lambda: None)
        await app.produce_many([("resize", {})] * 4)
        with serving(app) as metrics:
            assert scrape(metrics)("job_queue_length", **IMAGES) == 4
            server.kill()
            found = scrape(metrics)
            assert found("streamq_server_up") == 0
            assert found("job_queue_length", **IMAGES) == 4
            assert found("job_success_total", **IMAGES, type="resize") == 0


async def test_a_scrape_of_a_server_that_was_never_there() -> None:
    async with App(f"redis://127.0.0.1:{free_port()}") as app:
        app.group("images").handler("resize")(lambda: None)
        with serving(app) as metrics:
            found = scrape(metrics)

    assert found("streamq_server_up") == 0
    assert found("job_queue_length", **IMAGES) is None


async def test_a_scrape_of_a_server_that_hangs(
    make_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "SCRAPE_TIMEOUT", 0.2)
    server = make_server()
    async with App(server.unix_url) as app:
        app.group("images").handler("resize")(lambda: None)
        with serving(app) as metrics:
            server.signal(signal.SIGSTOP)
            try:
                assert scrape(metrics)("streamq_server_up") == 0
                assert not any(t.name == "streamq-metrics" for t in threading.enumerate())
            finally:
                server.signal(signal.SIGCONT)
            monkeypatch.undo()
            assert scrape(metrics)("streamq_server_up") == 1


async def test_a_scrape_that_hangs_outside_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "SCRAPE_TIMEOUT", 0.1)
    looking_up, released = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        looking_up.set()
        released.wait(60)
        raise socket.gaierror

    async with App("redis://server.invalid") as app:
        app.group("images").handler("resize")(lambda: None)
        with serving(app) as metrics, monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", look_up)
            assert metrics.registry.get_sample_value("streamq_server_up") == 0
            assert looking_up.is_set()
            (thread,) = (t for t in threading.enumerate() if t.name == "streamq-metrics")
            released.set()
            thread.join()


async def test_a_server_that_refuses_is_not_up(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--requirepass", "secret")
    async with App(server.unix_url) as app:
        app.group("images").handler("resize")(lambda: None)
        with serving(app) as metrics:
            assert scrape(metrics)("streamq_server_up") == 0


async def test_a_server_that_permits_only_a_part_is_not_up(
    make_server: Callable[..., RedisServer],
) -> None:
    server = make_server()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-time")
    async with App(server.unix_url) as app:
        app.group("images").handler("resize")(lambda: None)
        with serving(app) as metrics:
            assert scrape(metrics)("streamq_server_up") == 0
