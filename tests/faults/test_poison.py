"""Jobs that kill their worker, again and again: they must not take others with them."""

from __future__ import annotations

import signal

import pytest

from tests.faults.rig import Rig


def work_until_done(rig: Rig, most: int, **options: object) -> int:
    """Start a worker whenever the last one has died, as a supervisor would; count the deaths."""
    for deaths in range(most):
        if rig.worker(burst=True, **options).wait() == 0:
            return deaths
    raise AssertionError(f"{most} workers died: {rig.recorder.summary()}")


@pytest.mark.parametrize("how", ["kill", "leave"])
def test_it_is_dead_after_its_deliveries_and_others_are_unharmed(rig: Rig, how: str) -> None:
    rig.config.groups = {"alpha": 3}
    poison = rig.produce(1, do=how)
    # In hand with it each time, and never through before it strikes.
    rig.produce(7, do="sleep", seconds=0.2)
    rig.produce(50)

    deaths = work_until_done(rig, 8, concurrency=8)

    report = rig.check()
    assert deaths == 4
    assert (report.handled, report.dead) == (57, 1)
    assert rig.recorder.attempts(poison[0]) == [1, 2, 3, 4]
    assert rig.recorder.told("dead lettered")[0]["job"] == poison[0]


def test_two_of_them_among_others_that_may_be_tried_twice(rig: Rig) -> None:
    rig.config.groups = {"alpha": 1}
    rig.produce(2, do="kill")
    rig.produce(6, do="sleep", seconds=0.2)

    work_until_done(rig, 8, concurrency=8)

    report = rig.check()
    assert (report.handled, report.dead) == (6, 2)


def test_it_hangs_every_worker_that_takes_it(rig: Rig) -> None:
    rig.config.groups = {"alpha": 1}
    rig.produce(1, do="block", seconds=3600)
    rig.produce(20)
    rig.worker(concurrency=1)
    rig.recorder.wait(lambda r: r.attempts(rig.produced[0]) == [1], "its first delivery")
    rig.worker(concurrency=1)
    rig.recorder.wait(lambda r: r.attempts(rig.produced[0]) == [1, 2], "its second delivery")
    rig.drain()

    report = rig.check()
    assert (report.handled, report.dead) == (20, 1)


def test_with_no_retries_it_is_dead_at_once(rig: Rig) -> None:
    rig.config.groups = {"alpha": 0}
    rig.produce(1, do="kill")
    deaths = work_until_done(rig, 3)
    rig.produce(20)
    rig.drain()

    report = rig.check()
    assert deaths == 1
    assert (report.handled, report.dead) == (20, 1)


def test_a_process_handler_that_kills_itself_kills_no_worker(rig: Rig) -> None:
    rig.config.groups = {"alpha": 1}
    rig.produce(1, "process", do="kill")
    rig.produce(20)

    assert work_until_done(rig, 1) == 0
    report = rig.check()
    assert (report.handled, report.dead) == (20, 1)


def test_it_is_told_to_stop_in_the_end(rig: Rig) -> None:
    # A handler that never ends has a lease as long as its worker lives; SIGTERM gives it back.
    rig.produce(1, do="wait", until=1)
    worker = rig.worker(grace=0.1)
    rig.recorder.wait_begun(1)
    worker.signal(signal.SIGTERM)
    worker.finish()
    rig.gate.open()
    rig.drain()

    report = rig.check()
    assert (report.handled, report.retried) == (1, 0)
