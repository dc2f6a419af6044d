"""Workers that are killed, told to stop or get stuck, at every stage of a job's life."""

from __future__ import annotations

import signal

import pytest

from tests.faults.rig import Rig

# -- kill -9 ------------------------------------------------------------------


def test_killed_in_the_middle_of_a_thousand_jobs(rig: Rig) -> None:
    rig.produce(1000)
    first = rig.worker(concurrency=4)
    rig.recorder.wait_begun(200)
    first.kill()

    rig.drain()

    assert rig.check().handled == 1000


def test_killed_while_idle(rig: Rig) -> None:
    first = rig.worker()
    rig.produce(10)
    rig.recorder.wait_settled(10)
    first.kill()

    rig.produce(10)
    rig.drain()

    report = rig.check()
    assert (report.handled, report.replays) == (20, 0)


def test_killed_in_the_middle_of_its_handlers(rig: Rig) -> None:
    rig.produce(20, do="wait")
    first = rig.worker(concurrency=8)
    rig.recorder.wait_begun(8)
    first.kill()
    rig.gate.open()

    rig.drain()

    report = rig.check()
    assert (report.handled, report.replays) == (20, 8)


def test_killed_between_the_handler_and_the_settlement(rig: Rig) -> None:
    rig.produce(20)
    # The server does the work only after the worker is gone.
    rig.swallow("settle")
    rig.server.signal(signal.SIGSTOP)
    first = rig.worker(url=rig.proxy.url)
    rig.server.signal(signal.SIGCONT)
    rig.recorder.wait_begun(20)
    rig.server.signal(signal.SIGSTOP)
    first.kill()
    rig.server.signal(signal.SIGCONT)

    rig.drain()

    assert rig.check().handled == 20


def test_killed_after_a_settlement_whose_reply_it_never_saw(rig: Rig) -> None:
    rig.produce(20)
    rig.swallow("settle")
    first = rig.worker(url=rig.proxy.url, concurrency=32)
    assert rig.proxy.swallowed.wait(30)
    rig.proxy.refuse()
    first.kill()

    rig.drain()

    assert rig.check().handled == 20


def test_every_one_of_several_workers_is_killed_in_turn(rig: Rig) -> None:
    rig.produce(600, do="sleep", seconds=0.002)
    for round in range(1, 4):
        workers = [rig.worker(concurrency=4) for _ in range(2)]
        rig.recorder.wait_begun(100 * round)
        for worker in workers:
            worker.kill()

    rig.drain()

    report = rig.check()
    assert report.handled + report.dead == 600


# -- SIGTERM ------------------------------------------------------------------


def test_told_to_stop_while_idle(rig: Rig) -> None:
    worker = rig.worker()
    rig.produce(1)
    rig.recorder.wait_settled(1)

    worker.terminate()

    assert rig.client.xinfo_consumers("jobs", "alpha") == []
    rig.check()


def test_told_to_stop_with_handlers_that_end_in_time(rig: Rig) -> None:
    rig.produce(4, do="wait")
    worker = rig.worker(grace=30.0)
    rig.recorder.wait_begun(4)
    worker.signal(signal.SIGTERM)
    rig.recorder.wait_event("stopping")
    rig.gate.open()
    worker.finish()

    report = rig.check()
    assert (report.handled, report.replays) == (4, 0)


def test_told_to_stop_with_handlers_that_do_not_end(rig: Rig) -> None:
    rig.produce(4, do="wait")
    worker = rig.worker(grace=0.1)
    rig.recorder.wait_begun(4)
    worker.terminate()
    rig.gate.open()
    rig.recorder.wait_settled(4, "released")

    # A release costs no attempt and no wait: the next worker has them at once.
    rig.drain(lease=30.0)

    report = rig.check()
    assert (report.handled, report.retried) == (4, 0)


def test_told_to_stop_gives_back_what_has_not_begun(rig: Rig) -> None:
    rig.produce(100, do="sleep", seconds=0.001)
    worker = rig.worker(concurrency=2, grace=5.0)
    rig.recorder.wait_begun(20)
    worker.terminate()

    rig.drain(lease=30.0)

    report = rig.check()
    assert (report.handled, report.retried, report.replays) == (100, 0, 0)


def test_told_to_stop_twice_leaves_at_once(rig: Rig) -> None:
    rig.produce(4, do="wait")
    worker = rig.worker(grace=60.0)
    rig.recorder.wait_begun(4)
    worker.signal(signal.SIGTERM)
    rig.recorder.wait_event("stopping")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 128 + signal.SIGTERM
    rig.gate.open()

    rig.drain()

    assert rig.check().handled == 4


def test_told_to_stop_before_it_has_started(rig: Rig) -> None:
    rig.produce(4)
    worker = rig.worker()
    rig.recorder.wait_event("started")
    worker.signal(signal.SIGTERM)
    worker.wait()

    rig.drain()

    assert rig.check().handled == 4


@pytest.mark.parametrize("type", ["work", "thread"])
def test_told_to_stop_with_a_handler_that_ignores_it(rig: Rig, type: str) -> None:
    # Longer than the grace, and deaf to cancellation: the process must end all the same.
    rig.produce(1, type, do="stubborn" if type == "work" else "wait")
    worker = rig.worker(grace=0.1)
    rig.recorder.wait_begun(1)
    worker.signal(signal.SIGTERM)

    assert worker.wait(20) == 0, worker.said()

    letter_or_release = rig.recorder.outcomes["released"]
    assert len(letter_or_release) == 1


# -- bad handlers -------------------------------------------------------------


def test_a_handler_that_ends_with_sys_exit_is_a_failure(rig: Rig) -> None:
    rig.produce(1, do="exit", until=1)
    rig.produce(20)
    rig.drain(lease=30.0)

    report = rig.check()
    assert (report.handled, report.retried) == (21, 1)


@pytest.mark.parametrize("how", ["cancelled", "base exception"])
def test_a_handler_that_raises_no_ordinary_exception_is_a_failure(rig: Rig, how: str) -> None:
    # Such as one that awaits a task which somebody else has cancelled.
    rig.produce(1, do=how, until=1)
    rig.produce(20)
    rig.drain(lease=30.0)

    report = rig.check()
    assert (report.handled, report.retried) == (21, 1)


def test_a_thread_that_raises_stop_iteration_is_a_failure(rig: Rig) -> None:
    rig.produce(1, "thread", do="stop iteration")
    rig.produce(20)
    rig.drain(lease=30.0)

    report = rig.check()
    assert (report.handled, report.dead) == (20, 1)


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_a_process_handler_that_dies_is_a_failure(rig: Rig, how: str) -> None:
    rig.produce(1, "process", do=how, until=1)
    rig.produce(5, "process")
    rig.drain(lease=30.0)

    effects = rig.client.xlen("effects")
    assert effects == 6


def test_a_handler_that_exhausts_memory_is_a_failure(rig: Rig) -> None:
    rig.produce(1, do="exhaust", until=1)
    rig.produce(20)
    rig.drain(lease=30.0, memory=1500)

    report = rig.check()
    assert (report.handled, report.retried) == (21, 1)


def test_a_handler_that_never_ends_is_ended_by_its_timeout(rig: Rig) -> None:
    rig.produce(1, "bounded", do="wait", until=1)
    rig.produce(20)
    rig.drain(lease=30.0, timeout=0.1)

    report = rig.check()
    assert (report.handled, report.retried) == (21, 1)


def test_a_handler_that_ignores_its_cancellation_holds_nobody_up(rig: Rig) -> None:
    rig.produce(1, "bounded", do="stubborn", until=1)
    rig.produce(20)
    worker = rig.worker(concurrency=1, lease=30.0, timeout=0.1)
    rig.recorder.wait_settled(21)
    rig.recorder.wait_event("stuck")
    worker.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (21, 1)


def test_a_blocked_event_loop_loses_its_leases_and_no_job(rig: Rig) -> None:
    rig.produce(1, do="block", seconds=1.5, until=1)
    rig.produce(20)
    blocked = rig.worker(concurrency=1)
    rig.recorder.wait_begun(1)
    rig.drain()
    rig.recorder.wait(lambda r: r.refused, "a refusal")
    blocked.terminate()

    report = rig.check()
    assert report.handled == 21


def test_a_blocked_event_loop_does_not_rob_itself(rig: Rig) -> None:
    # The only worker there is: what it holds stays its own, however late the heartbeat.
    rig.produce(5, do="block", seconds=0.8)
    rig.drain(concurrency=1, lease=0.3)

    report = rig.check()
    assert (report.handled, report.replays) == (5, 0)
