"""Order per key, and limits, through everything that can happen to workers and servers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection
from typing import Any

import pytest

from streamq import App, NewJob
from streamq.admin.dead_letters import Redriven
from streamq.wire.keys import group_keys
from tests.faults.checker import Report, collect
from tests.faults.flow_checker import out_of_order, overlapping
from tests.faults.rig import Rig, WorkerProcess

AOF = ("--appendonly", "yes", "--appendfsync", "always")
FLOW = group_keys("jobs", "alpha").flow


@pytest.fixture
def ordered(rig: Rig) -> Rig:
    """A rig whose group alpha runs the jobs of a key one by one."""
    return in_order(rig)


def in_order(rig: Rig, **rules: Any) -> Rig:
    rig.config.rules = {"alpha": {"order": True, **rules}}
    rig.config.concurrency = 8
    rig.config.backoff = 0.0
    return rig


def keyed(keys: int, each: int, **data: Any) -> list[NewJob]:
    """Jobs of some keys, each key's numbered from 0."""
    return [
        NewJob("work", {"n": n, **data}, key=f"k{key}") for n in range(each) for key in range(keys)
    ]


def failing(keys: int, each: int) -> list[NewJob]:
    """The same; some fail at first, some for good, and each takes a moment."""
    return [
        NewJob(
            "work", {"n": n, "do": "sleep", "seconds": 0.002, "then": then, "until": until},
            key=f"k{key}",
        )
        for n in range(each)
        for key in range(keys)
        for then, until in [_FATES.get((n + key) % 11, ("", 0))]
    ]  # fmt: skip


_FATES = {3: ("fail", 1), 5: ("fail", 2), 8: ("dead", 9)}


def consumers(rig: Rig, *workers: WorkerProcess) -> set[str]:
    """Their names, as far as they have begun anything."""
    pids = {worker.pid for worker in workers}
    steps = rig.recorder.steps
    return {step.consumer for step in steps if step.pid in pids and step.what == "begin"}


def check(
    rig: Rig, robbed: Collection[str] = (), *, groups: Collection[str] = ("alpha",), **options: Any
) -> Report:
    """The promises of all, and those of order."""
    report = rig.check(**options)
    steps = list(rig.recorder.steps)
    evidence = collect(rig.client, rig.recorder, rig.produced, rig.config.groups)
    for group in groups:
        assert list(out_of_order(steps, evidence, group)) == []
        assert list(overlapping(steps, group, robbed)) == []
    return report


# -- order --------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 40, 110])
def test_workers_are_killed_at_any_moment(ordered: Rig, at: int) -> None:
    ordered.produce_jobs(failing(keys=12, each=25))
    workers = [ordered.worker(), ordered.worker()]
    for round in range(1, 4):
        ordered.recorder.wait_begun(at * round)
        workers[round % 2].kill()
        workers[round % 2] = ordered.worker()
    ordered.recorder.wait(
        lambda r: {w.pid for w in workers} <= {note["pid"] for note in r.told("started")},
        "both to start",
    )
    ordered.wait(lambda: ordered.client.xlen("jobs") == 0, "all to come to an end")
    for worker in workers:
        worker.terminate()
    report = check(ordered, consumers(ordered, *ordered.workers))
    assert report.handled + report.dead == 300


def test_a_killed_worker_keeps_its_keys_until_its_jobs_are_begun_again(ordered: Rig) -> None:
    ordered.produce_jobs(keyed(4, 3, do="wait", until=1))
    first = ordered.worker()
    ordered.recorder.wait_begun(4)
    first.kill()
    ordered.gate.open()
    ordered.drain()
    again = [step.delivery for step in ordered.recorder.steps if step.what == "begin"][4:8]
    assert [delivery.attempt for delivery in again] == [2] * 4
    assert check(ordered, consumers(ordered, first)).handled == 12


def test_a_job_that_kills_every_worker_leaves_its_key_to_the_next(ordered: Rig) -> None:
    ordered.config.groups = {"alpha": 1}
    jobs = keyed(2, 5)
    jobs[2] = NewJob("work", {"n": 1, "do": "kill"}, key="k0")
    ordered.produce_jobs(jobs)
    workers = [ordered.worker() for _ in range(2)]
    for worker in workers:
        worker.wait()
    ordered.drain()
    report = check(ordered, consumers(ordered, *workers))
    assert (report.handled, report.dead) == (9, 1)


def test_zombies_come_back(ordered: Rig) -> None:
    ordered.produce_jobs(keyed(8, 6, do="wait", until=2))
    zombies = []
    for round in range(1, 3):
        zombies.append(ordered.worker())
        ordered.recorder.wait_begun(8 * round)
        zombies[-1].signal(signal.SIGSTOP)
    last = ordered.worker()
    ordered.recorder.wait_begun(8 * 3)
    for zombie in zombies:
        zombie.signal(signal.SIGCONT)
    ordered.gate.open()
    ordered.recorder.wait_settled(48)
    for worker in (*zombies, last):
        worker.terminate()
    assert check(ordered, consumers(ordered, *zombies)).handled == 48


def test_workers_stop_and_go_on(ordered: Rig) -> None:
    ordered.produce_jobs(failing(keys=10, each=30))
    workers = [ordered.worker() for _ in range(3)]
    for round in range(1, 5):
        ordered.recorder.wait_begun(60 * round)
        stopped = workers[round % 3]
        stopped.signal(signal.SIGSTOP)
        ordered.recorder.wait_begun(60 * round + 30)
        stopped.signal(signal.SIGCONT)
    for worker in workers:
        worker.terminate()
    ordered.drain()
    report = check(ordered, consumers(ordered, *workers))
    assert report.handled + report.dead == 300


@pytest.mark.parametrize("script", ["settle_and_admit", "admit", "release"])
def test_replies_are_lost(ordered: Rig, script: str) -> None:
    ordered.produce_jobs(failing(keys=10, each=20))
    ordered.config.url = ordered.proxy.url
    ordered.config.lease = 5.0  # none is lost
    workers = [ordered.worker() for _ in range(2)]
    for round in range(1, 5):
        ordered.recorder.wait_begun(40 * round)
        ordered.swallow("settle_and_admit")
        if script != "settle_and_admit":
            ordered.swallow(script)
    for worker in workers:
        worker.terminate()
    ordered.drain()
    report = check(ordered)
    assert report.handled + report.dead == 200


def test_connections_are_cut(ordered: Rig) -> None:
    ordered.produce_jobs(failing(keys=10, each=30))
    ordered.config.url = ordered.proxy.url
    ordered.config.lease = 5.0
    workers = [ordered.worker() for _ in range(2)]
    for round in range(1, 9):
        ordered.recorder.wait_begun(30 * round)
        ordered.proxy.cut()
    for worker in workers:
        worker.terminate()
    ordered.drain()
    report = check(ordered)
    assert report.handled + report.dead == 300


def waiting_to_read(rig: Rig) -> int:
    return sum(client["cmd"].startswith("xread") for client in rig.client.client_list())


def test_the_server_crashes(make_rig: Callable[..., Rig]) -> None:
    rig = in_order(make_rig(*AOF))
    rig.config.lease = 5.0
    workers = [rig.worker() for _ in range(2)]
    # A worker that finds no server at its start ends; these two have found it.
    rig.wait(lambda: waiting_to_read(rig) == 2, "two idle workers")
    rig.produce_jobs(failing(keys=10, each=20))
    for round in range(1, 4):
        rig.recorder.wait_begun(50 * round)
        rig.server.kill()
        rig.server.start()
    rig.drain()
    for worker in workers:
        worker.terminate()
    report = check(rig)
    assert report.handled + report.dead == 200


def test_redriven_jobs_come_after_what_was_there(ordered: Rig) -> None:
    ordered.produce_jobs([NewJob("work", {"n": 0, "do": "dead", "until": 1}, key="k")])
    ordered.drain()
    ordered.produce_jobs(keyed(2, 10, do="sleep", seconds=0.01))

    async def redrive() -> list[str]:
        found: list[Redriven] = []
        async with App(ordered.config.url) as app:
            await app.admin.dead_letters("jobs", "alpha").redrive_all(progress=found.extend)
        return [one.new_id for one in found if one.new_id is not None]

    first = ordered.worker()
    ordered.recorder.wait_begun(4)
    ordered.produced = [*ordered.produced[1:], *asyncio.run(redrive())]
    ordered.recorder.wait_begun(8)
    first.kill()
    ordered.drain()
    report = check(ordered, consumers(ordered, first))
    assert report.handled + report.dead == 21  # it dies again, unless its worker does


def test_what_is_for_one_group_has_its_place_in_that_group(ordered: Rig) -> None:
    ordered.config.groups = {"alpha": 3, "beta": 3}
    ordered.config.rules["beta"] = {"order": True}
    jobs = keyed(3, 8, do="sleep", seconds=0.005)
    first = ordered.worker()
    ordered.recorder.wait_event("started")
    ordered.produce_jobs(jobs[:12])
    for key in range(3):
        # As `redrive` and `replay` write them.
        fields = {"type": "work", "data": '{"n":99}', "key": f"k{key}", "for": "beta"}
        ordered.client.xadd("jobs", fields)
    ordered.produce_jobs(jobs[12:])
    ordered.recorder.wait_begun(20)
    first.kill()
    ordered.drain()
    report = check(ordered, consumers(ordered, first), groups=("alpha", "beta"))
    assert report.handled == 2 * 24 + 3
