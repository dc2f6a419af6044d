"""Whether a worker is alive and ready, for whoever watches over it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from streamq import App, Settings, signals
from streamq.errors import ServerUnavailable
from streamq.observe.prometheus import Metrics
from streamq.observe.prometheus.health import Vitals, health_of
from streamq.observe.prometheus.merge import MergedMetrics, Scoreboard
from streamq.observe.prometheus.series import Series
from streamq.observe.prometheus.sheet import Sheet
from streamq.signals import Signal
from tests import scraping
from tests.cli.support import Program
from tests.prometheus.support import Probed, probe, scrape, serving
from tests.servers import RedisServer, free_port
from tests.worker.support import PATIENCE, Watch, eventually, running

pytestmark = pytest.mark.anyio

LOST, BACK = signals.ServerLost(ServerUnavailable("gone")), signals.ServerBack(1.0)
STARTED, STOPPING, STOPPED = signals.Started(), signals.Stopping(0, 30.0), signals.Stopped()


@pytest.mark.parametrize(
    ("events", "ready", "words"),
    [
        ([], False, "starting"),
        ([STARTED], True, "ready"),
        ([STARTED, LOST], False, "no server for 0 s: the log says why"),
        ([STARTED, LOST, BACK], True, "ready"),
        ([STARTED, LOST, STOPPING], False, "stopping"),
        ([STARTED, STOPPING, STOPPED], False, "stopped"),
        ([STARTED, LOST, STOPPED, STARTED], True, "ready"),
        ([STOPPING, STOPPED], False, "starting"),
        # Two workers in one process.
        ([STARTED, STARTED, STOPPING, STOPPED], True, "ready"),
        ([STARTED, STARTED, LOST, LOST, BACK], False, "no server for 0 s: the log says why"),
    ],
    ids=lambda value: None,
)
def test_a_worker_is_ready_while_it_works(
    events: Sequence[Signal], ready: bool, words: str
) -> None:
    vitals = Vitals()
    for event in events:
        vitals.note(event)

    assert health_of(vitals.numbers(), 30.0) == (True, ready, words)


def test_a_loop_that_does_not_turn_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    vitals = Vitals()
    vitals.note(STARTED)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 41)

    assert health_of(vitals.numbers(), 60.0).alive
    assert health_of(vitals.numbers(), 30.0) == (
        False, False, "the event loop has not turned for 41 s: an async handler blocks it",
    )  # fmt: skip
    vitals.note(signals.LoopAlive())
    assert health_of(vitals.numbers(), 30.0).ready


async def test_a_worker_tells_how_it_is(app: App) -> None:
    app.handler("t")(lambda: None)
    watch = Watch()
    with serving(app) as metrics:
        assert probe(metrics.url, "/readyz") == (503, "worker: starting\n")
        assert scrape(metrics)("streamq_workers_ready") == 0
        async with running(app, observers=[watch, metrics]):
            await watch.until(lambda: watch.of(signals.LoopAlive))
            assert probe(metrics.url, "/healthz") == (200, "ok\nworker: ready\n")
            assert probe(metrics.url, "/readyz") == (200, "ok\nworker: ready\n")
            assert scrape(metrics)("streamq_workers_ready") == 1
        assert probe(metrics.url, "/readyz") == (503, "worker: stopped\n")
        assert probe(metrics.url, "/healthz").status == 200
        assert probe(metrics.url, "/nothing") == (
            404, "nothing is served here; try /metrics, /healthz, /readyz\n",
        )  # fmt: skip
    assert isinstance(watch.events[-1], signals.Stopped)


async def test_a_worker_without_its_server_is_alive_and_not_ready(
    make_server: Callable[..., RedisServer],
) -> None:
    server = make_server()
    watch = Watch()
    async with App(server.unix_url) as app:
        app.handler("t")(lambda: None)
        with serving(app) as metrics:
            async with running(app, observers=[watch, metrics]):
                await watch.until(lambda: watch.of(signals.LoopAlive))
                server.kill()
                await watch.until(lambda: watch.of(signals.ServerLost))
                ready = probe(metrics.url, "/readyz")
                assert ready.status == 503
                assert ready.text.startswith("worker: no server for ")
                assert probe(metrics.url, "/healthz").status == 200
                server.start()
                await watch.until(lambda: watch.of(signals.ServerBack))
                assert probe(metrics.url, "/readyz").status == 200
                found = scrape(metrics)
    assert found("streamq_server_lost_total") == found("streamq_reconnects_total") == 1
    assert (found("streamq_server_lost_seconds_total") or 0) > 0


async def test_a_handler_that_blocks_the_loop(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but time tells that it is stuck: it asks until the answer is no."""
    monkeypatch.setattr("streamq.worker.worker.LOOP_ALIVE", 0.01)
    seen: list[Probed] = []

    @app.handler("block")
    async def block() -> None:
        end = time.monotonic() + PATIENCE
        while not seen or seen[-1].status == 200:
            assert time.monotonic() < end
            seen.append(probe(metrics.url, "/healthz"))
            time.sleep(0.01)  # noqa: ASYNC251  # that is what it is about
        seen.append(probe(metrics.url, "/readyz"))

    await app.produce("block")
    with closing(Metrics(app.server, app.subscriptions(), stuck_after=0.2)) as metrics:
        metrics.serve(port=0)
        watch = Watch()
        async with running(app, observers=[watch, metrics], settings=Settings(result_ttl=0)):
            await watch.until(lambda: watch.verdicts)
            await eventually(lambda: probe(metrics.url, "/healthz").status == 200)
    assert [answer.status for answer in seen[-2:]] == [503, 503]
    assert "the event loop has not turned for 0 s: an async handler blocks it" in seen[-1].text


def test_several_processes_answer_together(offline: App) -> None:
    pids = {1: os.getpid(), 2: os.getpid()}
    with (
        closing(Scoreboard()) as board,
        closing(
            MergedMetrics(
                offline.server, offline.subscriptions(), scoreboard=board, pids=lambda: pids
            )
        ) as metrics,
    ):
        url = metrics.serve(port=0)
        assert probe(url, "/readyz") == (503, "supervisor: starting\n")
        subscriptions = offline.subscriptions()
        descriptors = [board.sheet(1), board.sheet(2)]
        assert probe(url, "/readyz") == (503, "process 1: starting\nprocess 2: starting\n")
        one, two = (
            Series(subscriptions, Sheet(fd, Series(subscriptions).counts()).write)
            for fd in descriptors
        )
        one(STARTED)
        assert probe(url, "/healthz").status == 200
        assert probe(url, "/readyz") == (503, "process 1: ready\nprocess 2: starting\n")
        two(STARTED)
        assert probe(url, "/readyz") == (200, "ok\nprocess 1: ready\nprocess 2: ready\n")
        two(LOST)
        assert probe(url, "/readyz").text.startswith("process 1: ready\nprocess 2: no server")
        assert scraping.scrape(url)("streamq_workers_ready") == 1
        del pids[1]
        assert probe(url, "/readyz").text.startswith("process 1: not running")
        assert probe(url, "/healthz").status == 200


def until(url: str, path: str, status: int) -> Probed:
    """Probe until the answer is another: what changes in a process, only it knows."""
    end = time.monotonic() + 3 * PATIENCE
    while (answer := probe(url, path)).status != status:
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return answer


@pytest.mark.slow
def test_a_process_that_hangs_is_named(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    program = Program(["consume", "-p", "2", "--metrics-port", str(port), "--stuck-after", "2s"])
    pid = 0
    try:
        program.wait_for(f"metrics: {url}")
        until(url, "/readyz", 200)
        with server.client() as client:
            pid = int(client.xinfo_consumers("jobs", "default")[0]["name"].split("-")[-2])
        os.kill(pid, signal.SIGSTOP)
        lines = until(url, "/healthz", 503).text.splitlines()
        assert sorted(line.partition(": ")[2].partition(" for ")[0] for line in lines) == [
            "ready", "the event loop has not turned",
        ]  # fmt: skip
    finally:
        if pid:
            os.kill(pid, signal.SIGCONT)
        program.kill()
