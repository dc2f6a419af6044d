"""The network between a worker and its server: cut, slow, silent, or swallowing replies."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from streamq import App, Enqueued
from streamq.errors import OutcomeUnknown, ServerUnavailable
from streamq.new_job import Options
from streamq.process.eventloop import run_async
from streamq.server.protocol import Connection
from tests.faults.rig import Rig

MINUTE = 60.0


def test_connections_are_cut_again_and_again(rig: Rig) -> None:
    rig.produce(600, do="sleep", seconds=0.001)
    worker = rig.worker(url=rig.proxy.url, concurrency=4, burst=True)
    for done in (50, 150, 250, 350, 450):
        rig.recorder.wait_begun(done)
        rig.wait(rig.proxy.cut, "a connection to be cut")
    worker.finish()

    report = rig.check()
    assert report.handled == 600
    assert rig.recorder.events["server lost"] >= 1


def test_connections_are_half_closed(rig: Rig) -> None:
    rig.produce(200, do="sleep", seconds=0.001)
    worker = rig.worker(url=rig.proxy.url, concurrency=4, burst=True)
    rig.recorder.wait_begun(50)
    rig.proxy.half_close()
    worker.finish()

    assert rig.check().handled == 200


@pytest.mark.timeout(MINUTE + 60)
def test_connections_are_refused_for_a_minute(rig: Rig) -> None:
    rig.produce(200, do="sleep", seconds=0.001)
    worker = rig.worker(url=rig.proxy.url, concurrency=4, burst=True)
    rig.recorder.wait_begun(50)
    rig.proxy.refuse()
    rig.recorder.wait_event("server lost")
    worked = worker.cpu_seconds
    time.sleep(MINUTE)  # nothing happens, which is the point
    assert worker.cpu_seconds - worked < MINUTE / 10  # it does not try all the time
    rig.proxy.accept()
    worker.finish()

    report = rig.check()
    assert report.handled == 200
    assert rig.recorder.events["server lost"] == 1


def test_connections_break_as_soon_as_they_are_made(rig: Rig) -> None:
    rig.produce(100, do="sleep", seconds=0.001)
    worker = rig.worker(url=rig.proxy.url, concurrency=4, burst=True)
    rig.recorder.wait_begun(20)
    rig.proxy.reject = True
    rig.proxy.cut()
    rig.recorder.wait_event("server lost")
    rig.wait(lambda: rig.proxy.rejected >= 10, "10 attempts")
    rig.proxy.reject = False
    worker.finish()

    assert rig.check().handled == 100


def test_connections_fall_silent_and_stay_open(rig: Rig) -> None:
    # Half open: the worker's own patience ends it. Another one has its jobs by then.
    rig.produce(8, do="wait", until=1)
    worker = rig.worker(url=rig.proxy.url, concurrency=8, lease=4.0)
    rig.recorder.wait_begun(8)
    rig.proxy.freeze()
    rig.drain()
    rig.recorder.wait_event("server back")
    rig.produce(8)
    rig.recorder.wait_settled(16)
    worker.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (16, 8)


def test_a_slow_network(rig: Rig) -> None:
    rig.produce(200)
    rig.proxy.delay = 0.01
    worker = rig.worker(url=rig.proxy.url, burst=True)
    worker.finish()

    report = rig.check()
    assert (report.handled, report.replays) == (200, 0)


def test_a_network_that_trickles(rig: Rig) -> None:
    rig.produce(100)
    rig.proxy.trickle = 7
    worker = rig.worker(url=rig.proxy.url, burst=True)
    worker.finish()

    report = rig.check()
    assert (report.handled, report.replays) == (100, 0)


# -- the server does the work, and the reply is lost --------------------------


def test_the_reply_to_a_settlement_is_lost(rig: Rig) -> None:
    rig.produce(5)
    rig.produce(5, do="fail", until=1)
    rig.produce(5, do="dead")
    rig.swallow("settle")
    worker = rig.worker(url=rig.proxy.url, burst=True, lease=30.0)
    worker.finish()

    assert rig.proxy.swallowed.is_set()
    report = rig.check()
    assert (report.handled, report.dead, report.retried) == (10, 5, 5)
    assert not rig.recorder.refused  # what it did itself is no refusal


def test_the_reply_to_a_read_is_lost(rig: Rig) -> None:
    rig.produce(20)
    rig.proxy.swallow(b"\r\nXREADGROUP\r\n")
    worker = rig.worker(url=rig.proxy.url, burst=True, lease=30.0)
    worker.finish()

    # Promptly, and at no cost: the lease is far too long for this test.
    assert rig.proxy.swallowed.is_set()
    report = rig.check()
    assert (report.handled, report.retried, report.replays) == (20, 0, 0)


def test_the_reply_to_a_claim_of_due_retries_is_lost(rig: Rig) -> None:
    rig.produce(10, do="fail", until=1)
    worker = rig.worker(url=rig.proxy.url, burst=True, lease=30.0, backoff=0.5)
    rig.recorder.wait_settled(10, "retry")
    rig.swallow("claim_due")
    worker.finish()

    assert rig.proxy.swallowed.is_set()
    report = rig.check()
    assert (report.handled, report.retried) == (10, 10)


def test_the_reply_to_a_sweep_is_lost(rig: Rig) -> None:
    rig.produce(10, do="wait", until=1)
    first = rig.worker(concurrency=10, lease=0.3)
    rig.recorder.wait_begun(10)
    first.kill()
    rig.wait(
        lambda: all(row["time_since_delivered"] > 300 for row in rig.pending()), "leases to run out"
    )
    rig.swallow("reclaim")
    worker = rig.worker(url=rig.proxy.url, burst=True, lease=0.3)
    worker.finish()

    assert rig.proxy.swallowed.is_set()
    report = rig.check()
    assert (report.handled, report.retried) == (10, 10)


def test_the_reply_to_a_heartbeat_is_lost(rig: Rig) -> None:
    rig.produce(4, do="wait")
    worker = rig.worker(url=rig.proxy.url, lease=0.3)
    rig.recorder.wait_begun(4)
    rig.swallow("extend")
    assert rig.proxy.swallowed.wait(20)
    rig.gate.open()
    rig.recorder.wait_settled(4)
    worker.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (4, 0)


def test_the_reply_to_a_release_is_lost(rig: Rig) -> None:
    rig.produce(4, do="wait")
    worker = rig.worker(url=rig.proxy.url, grace=0.1, lease=30.0)
    rig.recorder.wait_begun(4)
    rig.swallow("settle")
    worker.terminate()
    assert rig.proxy.swallowed.is_set()
    rig.gate.open()
    rig.drain(lease=30.0)

    report = rig.check()
    assert (report.handled, report.retried) == (4, 0)


def test_the_reply_to_a_produce_is_lost(rig: Rig) -> None:
    async def produce() -> None:
        async with App(rig.proxy.url) as app:
            rig.proxy.swallow(b"XADD")
            with pytest.raises(OutcomeUnknown, match="is not known"):
                await app.produce("work", {"n": 1})
            rig.produced.append((await app.produce("work", {"n": 2})).id)

    asyncio.run(produce())
    written = rig.client.xlen("jobs")
    rig.drain()

    assert written == 2  # it was written, unknown to its producer
    assert rig.check().handled == 2


def test_the_reply_to_a_produce_with_a_key_is_lost(rig: Rig) -> None:
    async def produce() -> None:
        async with App(rig.proxy.url) as app:
            rig.swallow("produce_once")
            rig.produced.append((await app.produce("work", {"n": 1}, unique="once")).id)

    asyncio.run(produce())
    rig.drain()

    assert rig.proxy.swallowed.is_set()
    report = rig.check()
    assert (report.produced, report.handled) == (1, 1)


def test_the_reply_to_a_produce_with_a_key_is_lost_and_then_the_server(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it cannot be reached now does not mean that nothing was written."""
    monkeypatch.setattr("streamq.produce.producer.PATIENCE", 0.5)

    async def produce() -> None:
        async with App(rig.proxy.url) as app:
            await app.server.info()
            rig.swallow("produce_once")
            rig.proxy.reject = True  # every connection but this one
            with pytest.raises(OutcomeUnknown, match="is not known"):
                await app.produce("work", {"n": 1}, unique="once")

    asyncio.run(produce())
    assert rig.client.xlen("jobs") == 1


def test_the_reply_to_a_schedule_is_lost(rig: Rig) -> None:
    async def produce() -> None:
        async with App(rig.proxy.url) as app:
            rig.swallow("schedule")
            await app.produce("work", {"n": 1}, delay=0.1)

    asyncio.run(produce())
    rig.wait(lambda: rig.client.zcard("{jobs}:scheduled") == 1, "the schedule")
    worker = rig.worker()
    rig.recorder.wait_settled(1)
    worker.terminate()

    assert rig.proxy.swallowed.is_set()
    assert rig.check().handled == 1


def test_the_reply_to_a_schedule_is_lost_until_the_job_is_done(rig: Rig) -> None:
    worker = rig.worker()

    async def produce() -> None:
        async with App(rig.proxy.url) as app:
            await app.produce("work", {"n": 1}, delay=0.05)

    rig.swallow("schedule")
    producer = threading.Thread(target=lambda: asyncio.run(produce()))
    producer.start()
    assert rig.proxy.swallowed.wait(20)
    rig.proxy.refuse()
    rig.recorder.wait_settled(1)
    rig.proxy.accept()
    producer.join()
    rig.wait(lambda: not rig.client.exists("{jobs}:scheduled"), "what else is scheduled")
    worker.terminate()
    rig.drain()

    assert rig.check().handled == 1


@pytest.mark.parametrize("delay", [None, 0.05])
@pytest.mark.parametrize(
    "rules", [{"unique_until": "settled"}, {"on_conflict": "replace"}, {"on_conflict": "error"}]
)
def test_the_reply_to_a_produce_with_rules_is_lost_until_the_job_is_done(
    rig: Rig, rules: Options, delay: float | None
) -> None:
    """Its key is free by then, or to be replaced, or its own first attempt has it."""
    worker = rig.worker()
    jobs: list[Enqueued] = []

    async def produce() -> None:
        async with App(rig.proxy.url) as app:
            await app.server.info()
            options: Options = {"unique": "once", "delay": delay, **rules}
            jobs.append(await app.produce("work", {"n": 1}, **options))

    rig.swallow("produce_unique")
    producer = threading.Thread(target=lambda: asyncio.run(produce()))
    producer.start()
    assert rig.proxy.swallowed.wait(20)
    rig.proxy.refuse()
    rig.recorder.wait_settled(1)
    rig.proxy.accept()
    producer.join()
    worker.terminate()
    rig.drain()

    assert [job.created for job in jobs] == [True]
    assert rig.check().handled == 1


def test_the_connection_breaks_while_the_first_of_many_jobs_is_made(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed = asyncio.Event()
    lost = Connection.connection_lost

    def connection_lost(wire: Connection, error: Exception | None) -> None:
        lost(wire, error)
        noticed.set()

    monkeypatch.setattr(Connection, "connection_lost", connection_lost)

    async def jobs() -> AsyncIterator[tuple[str, dict[str, int]]]:
        # On a connection that is open by now. The loop has to notice, before it writes.
        assert rig.proxy.cut()
        await noticed.wait()
        yield "work", {"n": 1}

    async def produce() -> None:
        async with App(rig.proxy.url) as app:
            with pytest.raises(ServerUnavailable):
                await app.produce_many(jobs())
            rig.produced += [job.id for job in await app.produce_many([("work", {"n": 2})])]

    run_async(produce)  # with uvloop, as in production
    rig.drain()
    assert rig.check().handled == 1


def test_a_producer_that_nobody_listens_to(rig: Rig) -> None:
    rig.proxy.refuse()
    with pytest.raises(ServerUnavailable, match="cannot connect"):
        asyncio.run(App(rig.proxy.url).produce("work", {"n": 1}))
