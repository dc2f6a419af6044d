"""Numbers of several processes as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from streamq import App, Job, signals
from streamq.errors import ServerUnavailable
from streamq.observe.prometheus import Metrics, sheet
from streamq.observe.prometheus.merge import MergedMetrics, Scoreboard, added
from streamq.observe.prometheus.rows import Counts, outcomes
from streamq.observe.prometheus.series import Series
from streamq.observe.prometheus.sheet import Sheet, new_sheet, read_sheet
from streamq.verdict import Outcome, Verdict
from streamq.wire.entry import decode
from tests.scraping import scrape
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

IMAGES = {"stream": "jobs", "group": "images"}
RESIZE = {**IMAGES, "type": "resize"}


def subscribed() -> App:
    app = App("redis://127.0.0.1:1")
    app.group("images").handler("resize")(lambda: None)
    return app


def settled(*outcomes: Outcome, seconds: float = 0.25) -> signals.Settled:
    job = Job("1000-0", "jobs", "images", "c", 1, decode([b"type", b"resize", b"data", b"{}"]))
    return signals.Settled([Verdict(job, outcome, 2.0, 2.0 + seconds) for outcome in outcomes])


class Process:
    """What a process under the scoreboard does, without being one."""

    def __init__(self, descriptor: int) -> None:
        subscriptions = subscribed().subscriptions()
        page = Sheet(descriptor, Series(subscriptions).counts())
        self.series = Series(subscriptions, page.write)

    def settle(self, *outcomes: Outcome) -> None:
        self.series(settled(*outcomes))


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    with closing(Scoreboard()) as board:
        yield board


# -- one process ----------------------------------------------------------------


def test_a_sheet_has_the_numbers_of_its_process() -> None:
    with new_sheet() as file:
        process = Process(file.fileno())
        before = read_sheet(file.fileno())
        for event in (
            settled(Outcome.SUCCEEDED, Outcome.RETRY),
            settled(Outcome.DEAD, seconds=7.5),
            signals.DeadLettered("jobs", "images", "1-0", 4),
            signals.DeadLettered("jobs", "images", "2-0", 4, "resize"),
            signals.LeaseLost("jobs", "images", ["1-0", "2-0"]),
            signals.HandlerAbandoned(settled(Outcome.DEAD).verdicts[0].job),
            signals.ServerLost(ServerUnavailable("gone")),
        ):
            process.series(event)
        after = read_sheet(file.fileno())

    assert {key for key in before if key[0] != "script"} == {
        ("type", "jobs", "images", "resize"), ("type", "jobs", "images", "*"),
        ("group", "jobs", "images"), ("stream", "jobs"), ("process",), ("vitals",),
    }  # fmt: skip
    assert not any(map(sum, before.values()))
    assert after == process.series.counts()
    assert outcomes(after)[Outcome.DEAD] == 3
    assert after["process",] == [1, 0, 0]


def test_a_sheet_is_empty_until_its_process_has_begun() -> None:
    with new_sheet() as file:
        assert read_sheet(file.fileno()) == {}
        os.ftruncate(file.fileno(), 4096)
        assert read_sheet(file.fileno()) == {}


def test_a_sheet_of_another_version_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_sheet() as file:
        process = Process(file.fileno())
        process.settle(Outcome.SUCCEEDED)
        monkeypatch.setattr(sheet, "__version__", "0.0.another")
        assert read_sheet(file.fileno()) == {}


KILLED = """
import os, signal, sys
from tests.prometheus.test_merge import Outcome, Process

process = Process(int(sys.argv[1]))
process.settle(*[Outcome.SUCCEEDED] * 3)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_has_counted_is_not_lost(scoreboard: Scoreboard) -> None:
    for _ in range(2):
        descriptor = scoreboard.sheet(1)
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(descriptor)], pass_fds=[descriptor], timeout=60
        )
        assert ended.returncode == -signal.SIGKILL

    assert outcomes(scoreboard.counts())[Outcome.SUCCEEDED] == 6


# -- several --------------------------------------------------------------------


def test_rows_are_added_up_by_their_labels() -> None:
    one: Counts = {("jobs", "a"): [1, 2.5], ("jobs", "b"): [10, 20]}
    other: Counts = {("jobs", "a"): [3, 4], ("jobs", "c"): [5, 6]}

    assert added(one, {}, other) == {
        ("jobs", "a"): [4, 6.5], ("jobs", "b"): [10, 20], ("jobs", "c"): [5, 6],
    }  # fmt: skip
    assert one[("jobs", "a")] == [1, 2.5]
    assert added() == {}


@given(st.lists(st.tuples(st.integers(1, 3), st.none() | st.sampled_from(Outcome))))
def test_sums_never_go_back(steps: Sequence[tuple[int, Outcome | None]]) -> None:
    expected = dict.fromkeys(Outcome, 0)
    with closing(Scoreboard()) as board:
        processes: dict[int, Process] = {}
        for number, outcome in steps:
            if outcome is None or number not in processes:
                processes[number] = Process(board.sheet(number))
            if outcome is not None:
                processes[number].settle(outcome)
                expected[outcome] += 1
            assert outcomes(board.counts()) == expected


async def test_metrics_of_several_processes(
    app: App, client: redis.Redis, scoreboard: Scoreboard
) -> None:
    app.group("images").handler("resize")(lambda: None)
    await app.produce_many([("resize", {})] * 4)
    one = Process(scoreboard.sheet(1))
    two = Process(scoreboard.sheet(2))
    one.settle(Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.DEAD)
    two.settle(Outcome.SUCCEEDED)
    two = Process(scoreboard.sheet(2))  # the one before has died
    two.settle(Outcome.SUCCEEDED)
    one.series(signals.Reclaimed("jobs", "images", ["1-0"]))
    two.series(signals.Reclaimed("jobs", "images", ["2-0", "3-0"]))

    with closing(
        MergedMetrics(app.server, app.subscriptions(), scoreboard=scoreboard, pids=dict)
    ) as metrics:
        metrics.serve(port=0)
        found = scrape(metrics.url)

    assert found("job_success_total", **RESIZE) == 4
    assert found("job_dead_total", **RESIZE) == 1
    assert found("job_success_total", **{**RESIZE, "type": "*"}) == 0
    assert found("job_duration_seconds_count", **RESIZE) == 5
    assert found("job_duration_seconds_sum", **RESIZE) == 5 * 0.25
    assert found("job_duration_seconds_bucket", **RESIZE, le="0.1") == 0
    assert found("job_duration_seconds_bucket", **RESIZE, le="0.25") == 5
    assert found("streamq_reclaimed_total", **IMAGES) == 3
    assert found("job_queue_length", **IMAGES) == 4
    assert found("streamq_server_up") == 1
    assert found("streamq_process_restarts_total", process="1") == 0
    assert found("streamq_process_restarts_total", process="2") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="prometheus_client reads /proc")
async def test_each_process_has_metrics_of_its_own(
    app: App, server: RedisServer, scoreboard: Scoreboard
) -> None:
    app.group("images").handler("resize")(lambda: None)
    pids = {1: server.pid}
    with closing(
        MergedMetrics(app.server, app.subscriptions(), scoreboard=scoreboard, pids=lambda: pids)
    ) as metrics:
        metrics.serve(port=0)
        both = scrape(metrics.url)
        pids.clear()
        alone = scrape(metrics.url)

    started = "process_start_time_seconds"
    assert (both(started, process="1") or 0) > (both(started, process="supervisor") or 0) > 0
    assert alone(started, process="1") is None
    assert alone(started, process="supervisor") == both(started, process="supervisor")


async def test_the_series_are_those_of_a_single_process(app: App, scoreboard: Scoreboard) -> None:
    app.group("images").handler("resize")(lambda: None)
    with closing(Metrics(app.server, app.subscriptions())) as single:
        single.serve(port=0)
        expected = scrape(single.url).samples.keys()
    with closing(
        MergedMetrics(app.server, app.subscriptions(), scoreboard=scoreboard, pids=dict)
    ) as merged:
        merged.serve(port=0)
        before = scrape(merged.url).samples.keys()
        Process(scoreboard.sheet(1)).settle(Outcome.SUCCEEDED)
        after = scrape(merged.url).samples.keys()

    def own(keys: Sequence[tuple[str, frozenset[tuple[str, str]]]]) -> set[object]:
        return {key for key in keys if not key[0].startswith(("process_", "streamq_process_"))}

    assert own([*before]) == own([*after]) == own([*expected])
