"""Load on a Cluster that changes: every promise is kept; see tests/faults/checker.py."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.checker import collect
from tests.faults.rig import Rig, WorkerProcess
from tests.servers import binaries
from tests.topology.cluster import ClusterNode, ClusterServers, wait
from tests.topology.evidence import broken
from tests.topology.writer import Writer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SECONDS = float(os.environ.get("STREAMQ_STORM_SECONDS", "30"))

STREAM = "{effects}:jobs"
"""In the slot of the stream to which the handlers' effects are written."""


@pytest.fixture(params=list(binaries()))
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterServers]:
    """A Cluster whose nodes may go."""
    servers = ClusterServers(binaries()[request.param])
    try:
        yield servers.start()
    finally:
        servers.stop()


@pytest.fixture
def make_rig(cluster: ClusterServers) -> Iterator[Callable[[], Rig]]:
    """Make a rig on the Cluster."""
    rigs: list[Rig] = []

    def make() -> Rig:
        rig = Rig(cluster.primaries[0], cluster.url, cluster.client())
        rig.config.stream = STREAM
        rigs.append(rig)
        return rig

    yield make
    for rig in rigs:
        rig.close()


def finish(rig: Rig, writer: Writer, cluster: ClusterServers) -> None:
    """Let everything that was written be handled."""
    rig.produced += writer.stop()
    rig.drain()
    for worker in rig.workers:
        if worker.alive:
            worker.terminate()
    rig.client.close()
    rig.client = cluster.client()


@pytest.mark.parametrize("at_once", [False, True], ids=["key by key", "at once"])
def test_the_slot_moves_under_load(
    make_rig: Callable[[], Rig], cluster: ClusterServers, at_once: bool
) -> None:
    rig = make_rig()
    rig.produce(300, do="sleep", seconds=0.005)
    for _ in range(3):
        rig.worker(concurrency=4)
    writer = Writer(cluster.url, STREAM).start()
    rig.recorder.wait_begun(50)
    for number in range(1, 7):
        source = cluster.owner(STREAM)
        target = cluster.primaries[(cluster.primaries.index(source) + 1) % 3]
        if not at_once:
            with cluster.moving(STREAM, target):
                pass
        elif not cluster.move_at_once(STREAM, target):
            writer.stop()
            pytest.skip("this server moves slots key by key only")
        rig.recorder.wait_settled(100 * number)
    finish(rig, writer, cluster)
    report = rig.check()
    assert report.handled == len(rig.produced)
    assert report.dead == 0


def test_a_replica_takes_over_in_good_order(
    make_rig: Callable[[], Rig], cluster: ClusterServers
) -> None:
    rig = make_rig()
    for _ in range(3):
        rig.worker(concurrency=4)
    writer = Writer(cluster.url, STREAM).start()
    rig.recorder.wait_begun(50)
    for _ in range(2):
        cluster.fail_over(STREAM)
        rig.recorder.wait_settled(len(rig.recorder.outcomes["succeeded"]) + 50)
    finish(rig, writer, cluster)
    assert rig.check().handled == len(rig.produced)


def test_the_primary_is_killed(make_rig: Callable[[], Rig], cluster: ClusterServers) -> None:
    rig = make_rig()
    for _ in range(3):
        rig.worker(concurrency=4)
    # That a replica has a job before it counts as written is what makes it safe.
    writer = Writer(cluster.url, STREAM, replicas=1).start()
    rig.recorder.wait_settled(50)
    primary = cluster.owner(STREAM)
    replica = cluster.replica_of(primary)
    primary.kill()
    wait(lambda: cluster.owner(STREAM) is replica, "the replica to take over")
    primary.start()  # as a replica
    cluster.settled()
    rig.recorder.wait_settled(len(rig.recorder.outcomes["succeeded"]) + 100)
    finish(rig, writer, cluster)
    assert rig.recorder.events["server lost"]
    evidence = collect(rig.client, rig.recorder, rig.produced, rig.config.groups, STREAM)
    assert broken(evidence) == []
    assert len(set(rig.produced)) > 150


@pytest.mark.timeout(SECONDS + 240)
def test_a_storm(make_rig: Callable[[], Rig], cluster: ClusterServers) -> None:
    seed = int(os.environ.get("STREAMQ_STORM_SEED", random.randrange(10**6)))
    print(f"STREAMQ_STORM_SEED={seed}")  # shown when the test fails
    chance = random.Random(seed)
    rig = make_rig()
    writer = Writer(cluster.url, STREAM, replicas=1).start()

    def move() -> None:
        owner = cluster.owner(STREAM)
        others = [one for one in cluster.running if one is not owner and is_primary(one)]
        with cluster.moving(STREAM, chance.choice(others)):
            pass

    def replace() -> None:
        cluster.fail_over(STREAM)

    def kill_node() -> None:
        node = cluster.owner(STREAM)
        replica = cluster.replica_of(node)
        node.kill()
        wait(lambda: cluster.owner(STREAM) is replica, "the replica to take over")
        node.start()

    def kill_worker() -> None:
        chance.choice(working()).kill()

    def hang_worker() -> None:
        worker = chance.choice(working())
        worker.signal(signal.SIGSTOP)
        time.sleep(3 * rig.config.lease)
        worker.signal(signal.SIGCONT)

    def working() -> list[WorkerProcess]:
        return [worker for worker in rig.workers if worker.alive]

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        while len(working()) < 3:
            rig.worker(concurrency=4)
        rig.recorder.wait_settled(len(rig.recorder.outcomes["succeeded"]) + 50)
        chance.choice([move, replace, kill_node, kill_worker, hang_worker])()
        cluster.settled()
    finish(rig, writer, cluster)
    evidence = collect(rig.client, rig.recorder, rig.produced, rig.config.groups, STREAM)
    assert broken(evidence) == []


def is_primary(node: ClusterNode) -> bool:
    return bool(node.ask("ROLE")[0] == "master")
