"""Metrics, on real servers and, where it is installed, with the real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry

from streamq import App, Backoff, Dead, Job, Retry, Settings, events
from streamq.errors import ConfigError, ServerUnavailable
from streamq.events import Outcome, Verdict
from streamq.job import decode
from streamq.metrics import BUCKETS, Histogram, Metrics, backlog, http
from streamq.metrics.merge import MergedMetrics, Scoreboard
from tests import scraping
from tests.scraping import Scrape
from tests.servers import RedisServer, binaries, free_port

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
AT_ONCE = Backoff(base=0.001, cap=0.001)

Labels = tuple[str, ...]


def scrape(metrics: Metrics) -> Scrape:
    return scraping.scrape(metrics.url)


@contextmanager
def serving(app: App) -> Iterator[Metrics]:
    with closing(Metrics(app.server, app.subscriptions())) as metrics:
        metrics.serve(port=0)
        yield metrics


def settings(**changes: Any) -> Settings:
    return Settings(**{"result_ttl": 0, **changes})


IMAGES = {"stream": "jobs", "group": "images"}


# -- what a worker did ----------------------------------------------------------


async def test_deliveries_are_counted_by_their_outcome(app: App) -> None:
    @app.handler("good", group="images")
    async def good() -> None: ...

    @app.handler("flaky", group="images", retries=2, backoff=AT_ONCE)
    async def flaky(job: Job) -> None:
        if job.attempt < 3:
            raise Retry

    @app.handler("bad", group="images")
    async def bad() -> None:
        raise Dead("no use")

    app.ignore("noise", group="images")
    for type, count in (("good", 3), ("flaky", 1), ("bad", 2), ("noise", 1), ("unknown", 1)):
        await app.produce_many([(type, {})] * count)
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)

    counts = {
        type: {
            name: found(f"job_{name}_total", **IMAGES, type=type)
            for name in ("success", "failure", "retry", "dead", "skipped", "expired", "released")
        }
        for type in ("good", "flaky", "bad", "*")
    }
    nothing = dict.fromkeys(counts["good"], 0)
    assert counts == {
        "good": {**nothing, "success": 3},
        "flaky": {**nothing, "success": 1, "failure": 2, "retry": 2},
        "bad": {**nothing, "failure": 2, "dead": 2},
        "*": {**nothing, "failure": 1, "dead": 1, "skipped": 1},
    }
    # Every call of a handler has a duration, every job that was called waited once.
    for type, calls, jobs in (("good", 3, 3), ("flaky", 3, 1), ("bad", 2, 2), ("*", 0, 0)):
        assert found("job_duration_seconds_count", **IMAGES, type=type) == calls
        assert found("job_wait_seconds_count", **IMAGES, type=type) == jobs
    assert found("job_dead_letters", **IMAGES) == 3
    assert found("streamq_server_up") == 1


async def test_every_series_is_there_before_the_first_job(app: App) -> None:
    @app.handler("resize", group="images")
    async def resize() -> None: ...

    with serving(app) as metrics:
        before = scrape(metrics)
        await app.produce("resize")
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        after = scrape(metrics)

    assert before("job_success_total", **IMAGES, type="resize") == 0
    assert after("job_success_total", **IMAGES, type="resize") == 1
    assert before("job_queue_length", **IMAGES) == 0
    assert before.samples.keys() == after.samples.keys()


async def test_foreign_types_make_no_series(app: App, client: redis.Redis) -> None:
    @app.handler("resize", group="images")
    async def resize() -> None: ...

    for i in range(1000):
        client.xadd("jobs", {"type": f"foreign-{i}", "data": "{}"})
    with serving(app) as metrics:
        before = scrape(metrics)
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        after = scrape(metrics)

    assert after.samples.keys() == before.samples.keys()
    assert after("job_dead_total", **IMAGES, type="*") == 1000


async def test_a_handler_for_everything_has_one_series(app: App) -> None:
    @app.handler("*", group="images")
    async def anything() -> None: ...

    await app.produce_many([(f"type-{i}", {}) for i in range(10)])
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)

    assert found("job_success_total", **IMAGES, type="*") == 10
    assert found("job_success_total", **IMAGES, type="type-0") is None


async def test_groups_are_counted_apart(app: App) -> None:
    @app.handler("resize", group="images")
    async def resize() -> None: ...

    @app.handler("resize", group="audit")
    async def audit() -> None:
        raise Dead("no")

    await app.produce_many([("resize", {})] * 5)
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)

    audit_group = {**IMAGES, "group": "audit"}
    assert found("job_success_total", **IMAGES, type="resize") == 5
    assert found("job_success_total", **audit_group, type="resize") == 0
    assert found("job_dead_total", **IMAGES, type="resize") == 0
    assert found("job_dead_total", **audit_group, type="resize") == 5


async def test_what_dead_workers_left_behind(app: App, client: redis.Redis) -> None:
    @app.handler("resize", group="images", retries=3)
    async def resize() -> None: ...

    ids = await app.produce_many([("resize", {})] * 3)
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "dead-worker", {"jobs": ">"})
    client.xclaim("jobs", "images", "dead-worker", 0, [ids[0]], retrycount=4, justid=True)
    with serving(app) as metrics:
        worker = app.worker(observers=[metrics], settings=settings(lease=0.05), burst=True)
        await worker.run()
        found = scrape(metrics)

    assert found("streamq_reclaimed_total", **IMAGES) == 2
    assert found("job_success_total", **IMAGES, type="resize") == 2
    assert found("job_dead_total", **IMAGES, type="resize") == 1
    assert found("job_failure_total", **IMAGES, type="resize") == 1
    # Neither was at its first delivery: what they waited for was not their turn.
    assert found("job_wait_seconds_count", **IMAGES, type="resize") == 0


def job(id: str = "1000-0", attempt: int = 1) -> Job:
    return Job(id, "jobs", "images", "c", attempt, decode([b"type", b"resize", b"data", b"{}"]))


def test_incidents_are_counted() -> None:
    app = App("redis://127.0.0.1:1")
    app.handler("resize", group="images")(lambda: None)
    registry = CollectorRegistry()
    metrics = Metrics(app.server, app.subscriptions(), registry=registry)
    for event in (
        events.Refused(Verdict(job(), Outcome.SUCCEEDED), "another"),
        events.LeaseLost("jobs", "images", ["1-0", "2-0"]),
        events.Reclaimed("jobs", "images", ["3-0", "4-0", "5-0"]),
        events.Vanished("jobs", "images", ["6-0"]),
        events.HandlerStuck(job()),
        events.ServerLost(ServerUnavailable("gone")),
        events.ServerBack(1.0),
        events.GroupCreated("jobs", "images", again=True),
        events.Stopping(0, 30.0),
    ):
        metrics(event)

    value = registry.get_sample_value
    assert value("streamq_refused_total", IMAGES) == 1
    assert value("streamq_lease_lost_total", IMAGES) == 2
    assert value("streamq_reclaimed_total", IMAGES) == 3
    assert value("streamq_vanished_total", IMAGES) == 1
    assert value("streamq_handler_stuck_total", IMAGES) == 1
    assert value("streamq_server_lost_total") == 1
    assert value("job_success_total", {**IMAGES, "type": "resize"}) == 0


def test_duration_and_wait_are_in_seconds() -> None:
    app = App("redis://127.0.0.1:1")
    app.handler("resize", group="images")(lambda: None)
    registry = CollectorRegistry()
    metrics = Metrics(app.server, app.subscriptions(), registry=registry)
    done = Verdict(job("1716998413000-7"), Outcome.SUCCEEDED, 1716998415.0, 1716998415.25)
    again = Verdict(job("1716998413000-8", 2), Outcome.RETRY, 1716998453.0, 1716998453.5)
    released = Verdict(job("1716998413000-9"), Outcome.RELEASED, 1716998415.0, 1716998445.0)
    metrics(events.Settled([done, again, released]))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {**IMAGES, "type": "resize", **labels})

    assert value("job_duration_seconds_sum") == pytest.approx(0.75)
    assert value("job_duration_seconds_bucket", le="0.25") == 1
    assert value("job_duration_seconds_bucket", le="0.5") == 2
    assert value("job_duration_seconds_count") == 2
    assert value("job_wait_seconds_sum") == pytest.approx(2.0, abs=0.001)
    assert value("job_wait_seconds_count") == 1
    assert value("job_released_total") == 1


@given(st.lists(st.lists(st.floats(-1, 5000) | st.sampled_from(BUCKETS[:-1]), max_size=20)))
def test_a_histogram_counts_like_one_that_looks_at_each_value(
    batches: list[list[float]],
) -> None:
    histogram = Histogram()
    for batch in batches:
        histogram.observe(batch)

    values = [max(value, 0.0) for batch in batches for value in batch]
    counts, total = histogram.state
    expected = [0] * len(BUCKETS)
    for value in values:
        for i in range(bisect_left(BUCKETS, value), len(BUCKETS)):
            expected[i] += 1
    assert list(counts) == expected
    assert total == pytest.approx(sum(values))


# -- what the server holds ------------------------------------------------------


async def test_a_scrape_is_answered_while_a_handler_blocks_the_loop(app: App) -> None:
    seen: list[Scrape] = []

    @app.handler("resize", group="images")
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
    @app.handler("resize", group="images")
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
    @app.handler("resize", group="images")
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
    app.handler("resize", group="images")(lambda: None)
    await app.produce_many([("resize", {})] * 4)
    with serving(app) as metrics:
        assert scrape(metrics)("job_queue_length", **IMAGES) == 4


async def test_queue_length_where_the_server_does_not_know_the_lag(
    app: App, client: redis.Redis
) -> None:
    app.handler("resize", group="images")(lambda: None)
    ids = await app.produce_many([("resize", {})] * 10)
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
    monkeypatch.setattr(backlog, "COUNTED", 1)
    app.handler("resize", group="images")(lambda: None)
    ids = await app.produce_many([("resize", {})] * 500)
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "c", {"jobs": ">"}, count=200)
    client.xdel("jobs", ids[300])
    with serving(app) as metrics:
        assert scrape(metrics)("job_queue_length", **IMAGES) == 299


async def test_a_consumer_that_has_long_been_silent_is_not_counted(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.handler("resize", group="images")(lambda: None)
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    client.xgroup_createconsumer("jobs", "images", "c")
    with serving(app) as metrics:
        assert scrape(metrics)("job_consumers", **IMAGES) == 1
        monkeypatch.setattr(backlog, "ALIVE", 0.0)
        assert scrape(metrics)("job_consumers", **IMAGES) == 0


async def test_the_number_of_groups_is_bounded(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_GROUPS", 5)
    app.handler("resize", group="images")(lambda: None)
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
        app.handler("resize", group="images")(lambda: None)
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
        app.handler("resize", group="images")(lambda: None)
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
        app.handler("resize", group="images")(lambda: None)
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
        app.handler("resize", group="images")(lambda: None)
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
        app.handler("resize", group="images")(lambda: None)
        with serving(app) as metrics:
            assert scrape(metrics)("streamq_server_up") == 0


async def test_a_server_that_permits_only_a_part_is_not_up(
    make_server: Callable[..., RedisServer],
) -> None:
    server = make_server()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-time")
    async with App(server.unix_url) as app:
        app.handler("resize", group="images")(lambda: None)
        with serving(app) as metrics:
            assert scrape(metrics)("streamq_server_up") == 0


# -- serving --------------------------------------------------------------------


@pytest.fixture
def offline() -> App:
    app = App("redis://127.0.0.1:1")
    app.handler("resize", group="images")(lambda: None)
    return app


def test_a_port_in_use_is_an_error_or_the_next_free_one_is_taken(offline: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with closing(Metrics(offline.server, offline.subscriptions())) as metrics:
            with pytest.raises(
                ConfigError, match=rf"^cannot serve metrics at 127.0.0.1: port {port} is in use"
            ):
                metrics.serve(port=port)
            url = metrics.serve(port=port, next_free=True)
            taken = urllib.parse.urlsplit(url).port
            assert taken is not None
            assert port < taken <= port + http.PORTS_TRIED
            assert scrape(metrics)("streamq_server_up") == 0


def test_no_port_is_free(offline: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PORTS_TRIED", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            closing(Metrics(offline.server, offline.subscriptions())) as metrics,
            pytest.raises(ConfigError, match="in use"),
        ):
            metrics.serve(port=port, next_free=True)


def test_close_frees_the_port(offline: App) -> None:
    first = Metrics(offline.server, offline.subscriptions())
    port = urllib.parse.urlsplit(first.serve(port=0)).port
    assert port is not None
    first.close()
    first.close()
    with closing(Metrics(offline.server, offline.subscriptions())) as second:
        assert second.serve(port=port) == f"http://127.0.0.1:{port}/metrics"


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 65536, "give a number from 0 to 65535"),
        ("", 0, "give an address"),
        ("192.0.2.1", 0, "cannot serve metrics at 192.0.2.1:0: .*; give another address"),
        ("x" * 70 + "\n", 0, r"cannot serve metrics at x+…:0: .*; give another address"),
    ],
)
def test_an_address_that_cannot_be_served(offline: App, host: str, port: int, message: str) -> None:
    with closing(Metrics(offline.server, offline.subscriptions())) as metrics:
        with pytest.raises(ConfigError, match=message) as caught:
            metrics.serve(host, port)
        assert "\n" not in str(caught.value)


def test_a_client_that_goes_away_is_no_event(
    offline: App, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG", "streamq.metrics")
    with serving(offline) as metrics:
        address = urllib.parse.urlsplit(metrics.url or "")
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(b"GET /metr")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end = time.monotonic() + 20
        while not caplog.records and time.monotonic() < end:
            time.sleep(0.01)
        assert scrape(metrics)("streamq_server_up") == 0

    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert capfd.readouterr() == ("", "")


def test_serving_twice_is_an_error(offline: App) -> None:
    with serving(offline) as metrics, pytest.raises(ConfigError, match="served already, at http"):
        metrics.serve(port=0)


def test_a_registry_takes_one_at_a_time(offline: App) -> None:
    with (
        closing(Metrics(offline.server, offline.subscriptions(), registry=REGISTRY)),
        pytest.raises(ConfigError, match="the registry has streamq's metrics already"),
    ):
        Metrics(offline.server, offline.subscriptions(), registry=REGISTRY)
    Metrics(offline.server, offline.subscriptions(), registry=REGISTRY).close()


# -- Prometheus, and the documentation ------------------------------------------


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Start Prometheus with a configuration; returns where its API is."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: apt install prometheus)")
    started: list[subprocess.Popen[bytes]] = []

    def start(config: str) -> str:
        (tmp_path / "prometheus.yml").write_text(config)
        address = f"127.0.0.1:{free_port()}"
        with (tmp_path / "log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [
                        program, f"--config.file={tmp_path}/prometheus.yml",
                        f"--storage.tsdb.path={tmp_path}/data",
                        f"--web.listen-address={address}",
                    ],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip
        return f"http://{address}/api/v1"

    yield start
    for process in started:
        process.kill()
        process.wait()


def query(api: str, promql: str, seconds: float = 60) -> dict[Labels, float]:
    """The answer to a query by stream, group and type, once there is one."""
    end = time.monotonic() + seconds
    url = f"{api}/query?" + urllib.parse.urlencode({"query": promql})
    while True:
        found: list[dict[str, Any]] = []
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                found = json.load(response)["data"]["result"]
        except OSError:
            pass  # it is still starting
        if found or time.monotonic() > end:
            return {
                tuple(item["metric"].get(label, "") for label in ("stream", "group", "type")):
                    float(item["value"][1])
                for item in found
            }  # fmt: skip
        time.sleep(0.1)  # it scrapes at its own pace, and tells nobody


@pytest.fixture
async def any_app() -> AsyncIterator[App]:
    """An app on one kind of server: it makes no difference to Prometheus."""
    server = RedisServer(next(iter(binaries().values()))).start()
    async with App(server.unix_url) as app:
        yield app
    server.stop()


async def test_prometheus_reads_it(any_app: App, prometheus: Callable[[str], str]) -> None:
    @any_app.handler("good", group="images")
    async def good() -> None: ...

    @any_app.handler("flaky", group="images", retries=1, backoff=AT_ONCE)
    async def flaky(job: Job) -> None:
        if job.attempt == 1:
            raise Retry

    await any_app.produce_many([("good", {})] * 3 + [("flaky", {})])
    with serving(any_app) as metrics:
        await any_app.worker(observers=[metrics], settings=settings(), burst=True).run()
        await any_app.produce_many([("good", {})] * 2)

        config = (ROOT / "prometheus.yml").read_text()
        assert "localhost:8000" in config
        assert "scrape_interval: 5s" in config
        address = urllib.parse.urlsplit(metrics.url or "").netloc
        config = config.replace("scrape_interval: 5s", "scrape_interval: 1s")
        api = prometheus(config.replace("localhost:8000", address))

        assert query(api, "job_queue_length") == {("jobs", "images", ""): 2}
        assert query(api, "job_success_total") == {
            ("jobs", "images", "good"): 3,
            ("jobs", "images", "flaky"): 1,
            ("jobs", "images", "*"): 0,
        }
        assert query(api, "job_failure_total > 0") == {("jobs", "images", "flaky"): 1}
        assert query(api, "job_wait_seconds_count > 0") == {
            ("jobs", "images", "good"): 3,
            ("jobs", "images", "flaky"): 1,
        }


def test_every_metric_is_documented(offline: App) -> None:
    with closing(
        MergedMetrics(offline.server, offline.subscriptions(), scoreboard=Scoreboard(), pids=dict)
    ) as metrics:
        exposed = {
            family.name + ("_total" if family.type == "counter" else "")
            for family in metrics.describe()
        }
    text = (ROOT / "docs" / "metrics.md").read_text()

    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == exposed


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_configuration_and_the_documented_alerts_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    (rules,) = re.findall(r"```yaml\n(groups:.*?)```", text, re.DOTALL)
    path = tmp_path / "alerts.yml"
    path.write_text(rules)
    for command in (
        ["promtool", "check", "rules", str(path)],
        ["promtool", "check", "config", str(ROOT / "prometheus.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
