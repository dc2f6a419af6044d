"""Load on a primary that is killed, hangs, or is replaced, with Sentinels; tests/faults/checker.py
says what is promised."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.checker import Evidence, collect
from tests.faults.rig import Rig
from tests.servers import binaries
from tests.topology.evidence import broken
from tests.topology.sentinels import SentinelServers
from tests.topology.writer import Writer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CAREFUL = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
"""A primary without replicas takes no writes."""


@pytest.fixture(params=list(binaries()))
def make_sentinels(request: pytest.FixtureRequest) -> Iterator[Callable[..., SentinelServers]]:
    """Start servers with these options, and Sentinels."""
    started: list[SentinelServers] = []

    def make(*options: str) -> SentinelServers:
        started.append(SentinelServers(binaries()[request.param], *options))
        return started[-1].start()

    yield make
    for servers in started:
        servers.stop()


@pytest.fixture
def make_rig() -> Iterator[Callable[[SentinelServers], Rig]]:
    """Make a rig on the primary of the moment."""
    rigs: list[Rig] = []

    def make(sentinels: SentinelServers) -> Rig:
        rigs.append(Rig(sentinels.primary, sentinels.url))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def finish(rig: Rig, writer: Writer, sentinels: SentinelServers) -> Evidence:
    """Let everything that was written be handled; what is known then."""
    rig.produced += writer.stop()
    rig.drain()
    for worker in rig.workers:
        if worker.alive:
            worker.terminate()
    rig.client.close()
    rig.client = sentinels.primary.client()
    return collect(rig.client, rig.recorder, rig.produced, rig.config.groups)


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_nothing_acknowledged_by_a_replica_is_lost(
    make_rig: Callable[[SentinelServers], Rig],
    make_sentinels: Callable[..., SentinelServers],
    fault: str,
) -> None:
    sentinels = make_sentinels(*CAREFUL)
    rig = make_rig(sentinels)
    for _ in range(3):
        rig.worker(concurrency=4)
    writer = Writer(sentinels.url, "jobs", replicas=1).start()
    rig.recorder.wait_settled(50)
    old = sentinels.primary
    if fault == "killed":
        old.kill()
    else:
        old.signal(signal.SIGSTOP)
    sentinels.took_over(old)
    old.signal(signal.SIGCONT)  # it takes itself for the primary until it is told
    rig.recorder.wait_settled(len(rig.recorder.outcomes["succeeded"]) + 200)
    evidence = finish(rig, writer, sentinels)
    assert rig.recorder.events["server lost"]
    assert broken(evidence) == []
    assert len(set(rig.produced)) > 200


def test_what_no_replica_had_may_be_lost_and_nothing_else(
    make_rig: Callable[[SentinelServers], Rig], make_sentinels: Callable[..., SentinelServers]
) -> None:
    sentinels = make_sentinels()
    rig = make_rig(sentinels)
    for _ in range(3):
        rig.worker(concurrency=4)
    writer = Writer(sentinels.url, "jobs").start()
    rig.recorder.wait_settled(100)
    old = sentinels.primary
    killed_at = time.monotonic()
    old.kill()
    sentinels.took_over(old)
    rig.recorder.wait_settled(len(rig.recorder.outcomes["succeeded"]) + 200)
    evidence = finish(rig, writer, sentinels)
    lost = {one.split(" ")[1] for one in broken(evidence) if one.endswith(" was lost")}
    # Replication keeps the order: the last ones before the end, if any.
    before = [job for job, at in writer.jobs.items() if at <= killed_at]
    assert lost <= set(before[len(before) - len(lost) :]) if lost else True
    assert [one for one in broken(evidence) if not one.endswith(" was lost")] == []
    assert len(lost) < 20


def test_a_planned_failover(
    make_rig: Callable[[SentinelServers], Rig], make_sentinels: Callable[..., SentinelServers]
) -> None:
    sentinels = make_sentinels(*CAREFUL)
    rig = make_rig(sentinels)
    for _ in range(3):
        rig.worker(concurrency=4)
    # Sentinels do not stop the old primary first: for a moment it takes writes, and the other
    # replica acknowledges them. Only what all replicas have is safe.
    writer = Writer(sentinels.url, "jobs", replicas=2).start()
    rig.recorder.wait_settled(50)
    sentinels.fail_over()
    rig.recorder.wait_settled(len(rig.recorder.outcomes["succeeded"]) + 200)
    evidence = finish(rig, writer, sentinels)
    assert broken(evidence) == []
