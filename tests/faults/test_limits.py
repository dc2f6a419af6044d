"""Limits, rates and pauses while workers are killed, stopped and cut off."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from streamq import App
from streamq.wire.keys import group_keys
from tests.faults.flow_checker import at_once
from tests.faults.rig import Rig
from tests.faults.test_order import keyed

KEYS = group_keys("jobs", "alpha")
DUE = KEYS.flow[3]


def with_rules(rig: Rig, **rules: Any) -> Rig:
    rig.config.rules = {"alpha": rules}
    rig.config.concurrency = 8
    return rig


def admin(rig: Rig, do: str, *args: Any, **options: Any) -> None:
    """Have something done by ``app.admin``."""

    async def call() -> None:
        async with App(rig.server.unix_url) as app:
            await getattr(app.admin, do)("jobs", "alpha", *args, **options)

    asyncio.run(call())


def most(rig: Rig, *, by_key: bool) -> int:
    return max(at_once(list(rig.recorder.steps), "alpha", by_key=by_key).values())


@pytest.mark.parametrize("rules", [{"max_in_flight": 5}, {"limit_per_key": 2}])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_no_more_run_at_once_than_may(rig: Rig, rules: dict[str, int], how: signal.Signals) -> None:
    with_rules(rig, **rules)
    rig.produce_jobs(keyed(3, 60, do="sleep", seconds=0.005))
    workers = [rig.worker() for _ in range(3)]
    for round in range(1, 4):
        rig.recorder.wait_begun(40 * round)
        lost = workers.pop(0)
        lost.signal(how)
        workers.append(lost if how is signal.SIGSTOP else rig.worker())
        rig.recorder.wait_begun(40 * round + 20)
        lost.signal(signal.SIGCONT)
    rig.drain()
    assert rig.check().handled == 180
    by_key = "limit_per_key" in rules
    [limit] = rules.values()
    assert most(rig, by_key=by_key) == limit


def test_jobs_in_flight_with_a_lost_worker_count_until_they_are_begun_again(rig: Rig) -> None:
    with_rules(rig, max_in_flight=4)
    rig.produce_jobs(keyed(1, 12, do="wait", until=1))
    first = rig.worker()
    rig.recorder.wait_begun(4)
    first.kill()
    second = rig.worker()
    rig.recorder.wait_begun(8)
    begun = [begin.delivery for begin in rig.recorder.begins]
    assert {delivery.job for delivery in begun[:4]} == {delivery.job for delivery in begun[4:8]}
    rig.gate.open()
    rig.recorder.wait_settled(12)
    second.terminate()
    assert rig.check().handled == 12


def test_what_a_killed_worker_had_begins_again_no_faster_than_the_rate(rig: Rig) -> None:
    with_rules(rig, rate="1/h burst 5")
    rig.produce_jobs(keyed(5, 2, do="wait", until=1))
    first = rig.worker()
    rig.recorder.wait_begun(5)
    first.kill()
    second = rig.worker()
    rig.wait(lambda: rig.client.zcard(DUE) == 5, "a time for each")
    assert len(rig.recorder.begins) == 5
    times = [at for _, at in rig.client.zrange(DUE, 0, -1, withscores=True)]
    assert [round(later - times[0]) for later in times] == [n * 3_600_000 for n in range(5)]
    rig.gate.open()
    second.terminate()
    rig.drain(rules={})
    assert rig.check().handled == 10


def test_jobs_start_no_faster_than_the_rate_whatever_becomes_of_their_workers(rig: Rig) -> None:
    with_rules(rig, rate="100/s burst 5")

    def ms() -> float:
        seconds, micros = rig.client.time()
        return float(seconds) * 1000 + float(micros) / 1000

    start = ms()
    rig.produce_jobs(keyed(4, 30, do="sleep", seconds=0.02))
    workers = [rig.worker() for _ in range(2)]
    for round in range(1, 4):
        rig.recorder.wait_begun(30 * round)
        workers[0].kill()
        workers = [workers[1], rig.worker()]
        # Whatever was begun, was begun by now.
        assert len(rig.recorder.begins) <= 5 + (ms() - start) / 10
    rig.drain()
    assert len(rig.recorder.begins) <= 5 + (ms() - start) / 10
    assert rig.check().handled == 120


def test_a_paused_type_is_not_begun_again_when_its_worker_is_killed(rig: Rig) -> None:
    with_rules(rig)
    rig.produce_jobs(keyed(4, 1, do="wait", until=1))
    first = rig.worker()
    rig.recorder.wait_begun(4)
    admin(rig, "pause", type="work")
    first.kill()
    second = rig.worker()
    rig.wait(lambda: _held(rig) == 4, "all to be held")
    third = rig.worker()
    second.kill()
    assert len(rig.recorder.begins) == 4
    admin(rig, "resume", type="work")
    rig.recorder.wait_settled(4)
    third.terminate()
    assert rig.check().handled == 4
    assert len(rig.recorder.begins) == 8


def test_a_paused_group_begins_nothing_when_its_workers_are_killed(rig: Rig) -> None:
    with_rules(rig, order=True)
    rig.produce_jobs(keyed(4, 3, do="wait", until=1))
    first = rig.worker()
    rig.recorder.wait_begun(4)
    admin(rig, "pause")
    first.kill()
    second = rig.worker()
    rig.recorder.wait_event("started", 2)
    rig.wait(
        lambda: all(row["time_since_delivered"] > 1500 for row in rig.pending()),
        "leases to run out",
    )
    assert len(rig.recorder.begins) == 4
    rig.gate.open()
    admin(rig, "resume")
    rig.recorder.wait_settled(12)
    second.terminate()
    assert rig.check().handled == 12


def _held(rig: Rig) -> int:
    return sum(row["consumer"] == "~held" for row in rig.pending())
