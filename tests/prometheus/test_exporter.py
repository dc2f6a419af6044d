"""The exporter: what all streams and groups of a server hold."""

from __future__ import annotations

import signal
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis

from streamq import App, Retry
from streamq.errors import ConfigError
from streamq.observe.prometheus import exporter as exporters
from streamq.observe.prometheus.exporter import Exporter
from tests import scraping
from tests.prometheus.support import IMAGES, probe, settings
from tests.scraping import Scrape
from tests.servers import RedisServer, free_port
from tests.worker.support import eventually, running

pytestmark = pytest.mark.anyio


@contextmanager
def exporting(app: App, *streams: str, **options: Any) -> Iterator[Exporter]:
    options = {"interval": 0.001, **options}
    with closing(Exporter(app.server, streams or None, **options)) as exporter:
        exporter.serve(port=0)
        yield exporter


def scrape(exporter: Exporter) -> Scrape:
    return scraping.scrape(exporter.url)


def streams_in(found: Scrape) -> set[str]:
    return {dict(labels)["stream"] for name, labels in found.samples if name == "job_pending"}


async def test_it_reports_all_groups_of_all_streams(app: App, client: redis.Redis) -> None:
    @app.group("images").handler("resize")
    async def resize() -> None:
        raise Retry(delay=60)

    an_hour_ago = int((time.time() - 3600) * 1000)
    client.xadd("mails", {"type": "mail", "data": "{}"}, id=f"{an_hour_ago}-0")
    client.xgroup_create("mails", "forgotten", "0")
    await app.produce_many([("resize", {})] * 2)
    await app.worker(settings=settings(), max_jobs=2).run()
    await app.admin.pause("jobs", "images")
    with exporting(app) as exporter:
        found = scrape(exporter)

    forgotten = {"stream": "mails", "group": "forgotten"}
    assert found("job_queue_length", **forgotten) == 1
    assert found("job_oldest_queued_seconds", **forgotten) == pytest.approx(3600, abs=60)
    assert found("job_oldest_pending_seconds", **forgotten) == 0
    assert found("job_paused_seconds", **forgotten) == 0
    assert found("job_pending", **IMAGES) == found("job_retrying", **IMAGES) == 2
    assert found("job_in_progress", **IMAGES) == found("job_stalled", **IMAGES) == 0
    assert found("job_oldest_queued_seconds", **IMAGES) == 0
    assert (found("job_oldest_pending_seconds", **IMAGES) or 0) > 0
    assert (found("job_paused_seconds", **IMAGES) or 0) > 0
    assert found("job_dead_letters", **IMAGES) == 0
    assert found("streamq_stream_length", stream="jobs") == 2
    assert found("streamq_stream_added_total", stream="jobs") == 2
    assert found("streamq_server_up") == 1
    assert (found("streamq_server_memory_bytes") or 0) > 0
    assert found("streamq_server_memory_limit_bytes") == 0


async def test_held_jobs_by_what_they_wait_for(app: App, client: redis.Redis) -> None:
    group = app.group("images", order=True)

    @group.handler("first")
    async def first() -> None:
        raise Retry(delay=60)

    group.handler("news")(lambda: None)
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    await app.admin.pause("jobs", "images", type="news")
    await app.produce("first", key="k")
    await app.produce_many([("first", {}), ("first", {})], key="k")
    await app.produce("news")
    async with running(app, settings=settings()):
        await eventually(lambda: client.xpending("jobs", "images")["pending"] == 4)
        await eventually(lambda: client.zcard("{jobs}:group:images:retry"))
        with exporting(app) as exporter:
            found = scrape(exporter)

    held = {
        reason: found("job_held", **IMAGES, reason=reason)
        for reason in ("key", "rate", "room", "paused")
    }
    assert held == {"key": 2, "rate": 0, "room": 0, "paused": 1}
    assert found("job_pending", **IMAGES) == 4


async def test_streams_that_come_later_and_streams_that_are_named(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.admin.snapshot.SEARCH_EVERY", 0.0)
    monkeypatch.setattr("streamq.admin.snapshot.SEARCH_SHARE", 1e9)
    for stream in ("jobs", "mails"):
        client.xgroup_create(stream, "images", "0", mkstream=True)
    with exporting(app) as everything, exporting(app, "mails", "missing") as named:
        assert streams_in(scrape(everything)) == {"jobs", "mails"}
        assert streams_in(scrape(named)) == {"mails"}
        client.xgroup_create("later", "images", "0", mkstream=True)
        assert streams_in(scrape(everything)) == {"jobs", "later", "mails"}


async def test_one_answer_serves_all_scrapes_of_an_interval(app: App, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    with exporting(app, interval=3600.0) as exporter, exporting(app) as other:
        assert scrape(exporter)("job_queue_length", **IMAGES) == 0
        await app.produce("resize")
        client.config_resetstat()
        assert scrape(exporter)("job_queue_length", **IMAGES) == 0
        assert "cmdstat_evalsha_ro" not in client.info("commandstats")
        assert scrape(other)("job_queue_length", **IMAGES) == 1


async def test_a_server_that_goes_and_comes_back(
    make_server: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server()
    async with App(server.unix_url) as app:
        with server.client() as client:
            client.xgroup_create("jobs", "images", "0", mkstream=True)
        with exporting(app) as exporter:
            assert probe(exporter.url, "/readyz") == (200, "ok\n")
            server.kill()
            for _ in range(2):
                gone = scrape(exporter)
                assert gone("streamq_server_up") == 0
                assert gone("job_queue_length", **IMAGES) == 0, "the last known value"
            assert probe(exporter.url, "/readyz") == (503, "no server: the log says why\n")
            assert probe(exporter.url, "/healthz") == (200, "ok\n")
            server.start()
            assert scrape(exporter)("streamq_server_up") == 1
            assert probe(exporter.url, "/readyz").status == 200
    lost, back = caplog.messages
    assert lost.startswith("Server lost: ")
    assert lost.endswith("; streamq_server_up is 0 until it is back")
    assert back == "Server back"


async def test_a_server_that_was_never_there() -> None:
    async with App(f"redis://127.0.0.1:{free_port()}") as app:
        with exporting(app) as exporter:
            assert exporter.look() is None
            assert scrape(exporter)("streamq_server_up") == 0


async def test_a_server_that_hangs(
    make_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporters, "PICTURE_TIMEOUT", 0.2)
    server = make_server()
    async with App(server.unix_url) as app:
        with exporting(app) as exporter:
            server.signal(signal.SIGSTOP)
            try:
                assert scrape(exporter)("streamq_server_up") == 0
                assert probe(exporter.url, "/healthz").status == 200
            finally:
                server.signal(signal.SIGCONT)
            monkeypatch.undo()
            assert scrape(exporter)("streamq_server_up") == 1


async def test_what_the_user_may_not_see_is_logged_once(
    make_server: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server()
    with server.client() as client:
        for stream in ("jobs", "secret"):
            client.xgroup_create(stream, "images", "0", mkstream=True)
        client.acl_setuser("looker", enabled=True, nopass=True, categories=["+@all"],
                           keys=["jobs", "{jobs}*"])  # fmt: skip
    async with App(server.url.replace("redis://", "redis://looker:x@")) as app:
        with exporting(app) as exporter:
            for _ in range(2):
                assert streams_in(scrape(exporter)) == {"jobs"}
    assert caplog.messages == ["The user may not look at the stream secret"]


def test_mistakes(offline: App) -> None:
    with pytest.raises(ConfigError, match="interval=0"):
        Exporter(offline.server, interval=0)
    with pytest.raises(ConfigError, match="not a valid stream name"):
        Exporter(offline.server, ["a\nb"])
    with socket.create_server(("127.0.0.1", 0)) as other, closing(Exporter(offline.server)) as one:
        with pytest.raises(ConfigError, match="is in use"):
            one.serve(port=other.getsockname()[1])
        one.serve(port=0)
        with pytest.raises(ConfigError, match="served already, at http"):
            one.serve(port=0)


def test_close_frees_the_port(offline: App) -> None:
    first = Exporter(offline.server)
    port = urllib.parse.urlsplit(first.serve(port=0)).port
    assert port is not None
    first.close()
    first.close()
    assert first.look() is None
    with closing(Exporter(offline.server)) as second:
        assert second.serve(port=port) == f"http://127.0.0.1:{port}/metrics"
