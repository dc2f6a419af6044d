"""Servers that crash, come back with their data, without it, or not at all."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from streamq import App
from streamq.errors import OutcomeUnknown, ServerUnavailable
from tests.faults.rig import Rig

BALLAST = [f"ballast:{n}" for n in range(1000)]
AOF = ("--appendonly", "yes", "--appendfsync")


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_crash_in_the_middle_of_the_work(make_rig: Callable[..., Rig], policy: str) -> None:
    rig = make_rig(*AOF, policy)
    rig.produce(1000, do="sleep", seconds=0.001)
    # With everysec, what is older than a second or two is on the disk.
    rig.client.execute_command("WAITAOF", 1, 0, 0)
    worker = rig.worker(concurrency=4)
    for done in (100, 300, 500):
        rig.recorder.wait_begun(done)
        rig.server.kill()
        rig.server.start()
    rig.recorder.wait(
        lambda r: len({d.job for d in r.outcomes["succeeded"]}) == 1000, "all to succeed"
    )
    worker.terminate()

    assert rig.check().handled == 1000


def test_a_crash_while_jobs_are_produced(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(*AOF, "always")
    rig.produce(1)
    worker = rig.worker()
    rig.recorder.wait_settled(1)  # a worker that finds no server at its start ends

    async def produce() -> int:
        failures = 0
        async with App(rig.config.url) as app:
            for n in range(300):
                if n % 100 == 50:
                    rig.server.kill()  # at once, so that the producer cannot see it coming
                    restarted = asyncio.get_running_loop().run_in_executor(None, rig.server.start)
                while True:
                    try:
                        rig.produced.append((await app.produce("work", {"n": n})).id)
                        break
                    except ServerUnavailable:
                        failures += 1
                        await restarted
        return failures

    assert asyncio.run(produce()) == 3
    rig.recorder.wait(
        lambda r: {d.job for d in r.outcomes["succeeded"]} >= set(rig.produced), "all to succeed"
    )
    worker.terminate()
    rig.check()


def test_it_comes_back_empty(rig: Rig) -> None:
    # A cache and no more: what was in it is gone, and the workers go on with what comes.
    rig.produce(4, do="wait")
    worker = rig.worker(concurrency=4)
    rig.recorder.wait_begun(4)
    rig.server.kill()
    rig.server.start()
    rig.produced.clear()
    rig.gate.open()
    rig.produce(10)
    rig.recorder.wait_settled(10)
    rig.recorder.wait(lambda r: len(r.refused) + lost_leases(rig) == 4, "4 late verdicts")
    worker.terminate()

    assert {d.job for d in rig.recorder.outcomes["succeeded"]} == set(rig.produced)
    assert any(note["again"] for note in rig.recorder.told("group created"))
    rig.recorder.begins[:4] = []
    rig.check()


def test_an_outage_is_told_once_and_its_end_once(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(*AOF, "always")
    rig.produce(8, do="wait")
    worker = rig.worker(concurrency=8)
    rig.recorder.wait_begun(8)
    rig.server.kill()
    rig.recorder.wait_event("server lost")
    rig.gate.open()
    rig.server.start()
    rig.recorder.wait_event("server back")
    rig.recorder.wait_settled(8)
    worker.terminate()

    events = rig.recorder.events
    assert (events["server lost"], events["server back"]) == (1, 1)
    assert "Traceback" not in worker.said()
    assert rig.check().handled == 8


def test_verdicts_wait_for_the_server(make_rig: Callable[..., Rig]) -> None:
    # Each kind of verdict is reached while there is no server to take it.
    rig = make_rig(*AOF, "always")
    rig.produce(4, do="wait")
    rig.produce(4, do="wait", then="fail", until=1)
    dead = rig.produce(4, do="wait", then="dead")
    worker = rig.worker(concurrency=12, lease=30.0, backoff=0.0)
    rig.recorder.wait_begun(12)
    rig.server.kill()
    rig.gate.open()
    rig.recorder.wait_event("server lost")
    rig.server.start()
    rig.recorder.wait_settled(8)
    rig.recorder.wait_settled(4, "dead")
    worker.terminate()

    report = rig.check()
    assert (report.handled, report.dead, report.retried) == (8, 4, 4)
    assert {d.job for d in rig.recorder.outcomes["dead"]} == set(dead)


def test_producing_while_the_server_loads_is_an_error(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("--loading-process-events-interval-bytes", "1024")
    rig.produce(20)
    load_slowly(rig)

    with pytest.raises(ServerUnavailable, match="LOADING"):
        rig.produce(1)

    rig.client.config_set("key-load-delay", 0)
    rig.server.wait()
    rig.client.delete(*BALLAST)
    rig.drain()
    assert rig.check().handled == 20


def test_running_workers_wait_while_the_server_loads(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("--loading-process-events-interval-bytes", "1024")
    rig.produce(50, do="sleep", seconds=0.001)
    worker = rig.worker(concurrency=2)
    rig.recorder.wait_begun(10)
    load_slowly(rig)
    rig.recorder.wait_event("server lost")
    rig.client.config_set("key-load-delay", 0)
    rig.server.wait()
    rig.client.delete(*BALLAST)
    rig.recorder.wait(
        lambda r: len({d.job for d in r.outcomes["succeeded"]}) == 50, "all to succeed"
    )
    worker.terminate()
    assert rig.recorder.events["server lost"] == 1


@pytest.mark.parametrize("how", ["crashed", "hung"])
def test_a_worker_can_be_stopped_without_a_server(rig: Rig, how: str) -> None:
    rig.produce(4, do="wait")
    worker = rig.worker(concurrency=8, grace=0.5)
    rig.recorder.wait_begun(4)
    if how == "crashed":
        rig.server.kill()
        rig.recorder.wait_event("server lost")
    else:
        rig.server.signal(signal.SIGSTOP)
    try:
        worker.signal(signal.SIGTERM)
        assert worker.wait(25) == 0, worker.said()
    finally:
        if how == "hung":
            rig.server.signal(signal.SIGCONT)


def test_a_worker_does_not_start_without_a_server(rig: Rig) -> None:
    rig.server.kill()
    worker = rig.worker()
    assert worker.wait() != 0
    assert "cannot connect" in worker.said()


def test_producing_without_a_server_is_an_error(rig: Rig) -> None:
    rig.server.kill()
    with pytest.raises(ServerUnavailable, match="cannot connect") as caught:
        rig.produce(1)
    assert not isinstance(caught.value, OutcomeUnknown)


def test_an_idle_producer_does_not_notice_a_restart(rig: Rig) -> None:
    async def produce() -> None:
        async with App(rig.config.url) as app:
            await app.produce("work", {"n": 0})
            await asyncio.to_thread(rig.server.kill)
            await asyncio.to_thread(rig.server.start)
            rig.produced.append((await app.produce("work", {"n": 1})).id)

    asyncio.run(produce())
    rig.drain()
    assert rig.check().handled == 1


def lost_leases(rig: Rig) -> int:
    return sum(len(note["jobs"]) for note in rig.recorder.told("lease lost"))


def load_slowly(rig: Rig) -> None:
    """Restart the server on a snapshot that it takes long to load."""
    rig.client.mset(dict.fromkeys(BALLAST, "x" * 100))
    rig.client.save()
    rig.server.kill()
    rig.server.options += ["--key-load-delay", "2000"]
    rig.server.start(wait=False)
    rig.wait(lambda: is_loading(rig), "the server to load")


def is_loading(rig: Rig) -> bool:
    try:
        rig.client.ping()
    except Exception as error:
        return "oading" in str(error)
    return False
