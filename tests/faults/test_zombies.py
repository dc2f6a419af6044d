"""Workers that were given up for dead, and come back."""

from __future__ import annotations

import signal

import pytest

from tests.faults.rig import Rig, WorkerProcess


def stopped(rig: Rig, count: int, **options: object) -> WorkerProcess:
    """A worker that is stopped in the middle of ``count`` handlers, and robbed of its jobs."""
    zombie = rig.worker(concurrency=count, **options)
    rig.recorder.wait_begun(count)
    zombie.signal(signal.SIGSTOP)
    rig.drain()
    return zombie


def test_a_late_success_is_refused(rig: Rig) -> None:
    # The handler is at its end the moment the process goes on.
    rig.produce(1, do="block", seconds=0.3, until=1)
    zombie = stopped(rig, 1)
    zombie.signal(signal.SIGCONT)
    rig.recorder.wait_event("refused")
    zombie.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (1, 1)
    assert [d.attempt for d in rig.recorder.refused] == [1]


@pytest.mark.parametrize("then", ["fail", "dead"])
def test_a_late_failure_is_refused(rig: Rig, then: str) -> None:
    rig.produce(1, do="block", seconds=0.3, then=then, until=1)
    zombie = stopped(rig, 1)
    zombie.signal(signal.SIGCONT)
    rig.recorder.wait_event("refused")
    zombie.terminate()

    report = rig.check()
    assert (report.handled, report.dead) == (1, 0)


def test_handlers_whose_lease_is_lost_are_cancelled(rig: Rig) -> None:
    rig.produce(8, do="wait", until=1)
    zombie = stopped(rig, 8)
    zombie.signal(signal.SIGCONT)
    rig.recorder.wait(
        lambda r: sum(len(note["jobs"]) for note in r.told("lease lost")) == 8, "8 lost leases"
    )
    # It is a good worker again.
    rig.produce(8)
    rig.recorder.wait_settled(16)
    zombie.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (16, 8)


def test_a_thread_that_outlives_its_lease_settles_nothing(rig: Rig) -> None:
    rig.produce(1, "thread", do="wait", until=1)
    zombie = stopped(rig, 1)
    zombie.signal(signal.SIGCONT)
    rig.recorder.wait_event("lease lost")
    rig.gate.open()
    zombie.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (1, 1)


def test_a_zombie_that_still_holds_its_job_goes_on_with_it(rig: Rig) -> None:
    # Nobody else was there: the lease has run out, but the entry is its own.
    rig.produce(4, do="wait")
    worker = rig.worker(lease=0.2)
    rig.recorder.wait_begun(4)
    worker.signal(signal.SIGSTOP)
    rig.wait(
        lambda: all(row["time_since_delivered"] > 400 for row in rig.pending()), "leases to run out"
    )
    worker.signal(signal.SIGCONT)
    rig.gate.open()
    rig.recorder.wait_settled(4)
    worker.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (4, 0)


def test_zombies_follow_each_other(rig: Rig) -> None:
    rig.produce(4, do="wait", until=3)
    zombies = []
    for round in range(1, 4):
        zombies.append(rig.worker(concurrency=4))
        rig.recorder.wait_begun(4 * round)
        zombies[-1].signal(signal.SIGSTOP)
    rig.drain()
    for zombie in zombies:
        zombie.signal(signal.SIGCONT)
    rig.gate.open()
    for zombie in zombies:
        zombie.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (4, 12)
