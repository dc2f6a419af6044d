"""A replica takes over, by hand, with or without what the primary wrote last."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.rig import Rig
from tests.servers import RedisServer

AT_ONCE = ("--repl-diskless-sync-delay", "0")


def replica_of(rig: Rig, make_server: Callable[..., RedisServer]) -> RedisServer:
    """A replica that has all of the rig's data."""
    replica = make_server("--replicaof", f"127.0.0.1 {rig.server.port}")
    with replica.client() as client:
        rig.wait(lambda: client.info()["master_link_status"] == "up", "the replica to be in step")
    return replica


def pause(rig: Rig) -> None:
    """Let nobody write, and wait until the replica has everything, as a planned failover does."""
    rig.client.client_pause(10_000, all=False)

    def in_step() -> bool:
        info = rig.client.info("replication")
        return bool(info["slave0"]["offset"] == info["master_repl_offset"])

    rig.wait(in_step, "the replica to be in step")


def promote(rig: Rig, replica: RedisServer) -> None:
    """Make the replica the primary, and let the address lead to it."""
    with replica.client() as client:
        client.replicaof("NO", "ONE")
    rig.proxy.retarget(replica.port)


def test_the_primary_crashes_and_nothing_was_on_its_way(
    make_rig: Callable[..., Rig], make_server: Callable[..., RedisServer]
) -> None:
    rig = make_rig(*AT_ONCE)
    rig.produce(300, do="sleep", seconds=0.001)
    replica = replica_of(rig, make_server)
    worker = rig.worker(url=rig.proxy.url, concurrency=4, burst=True)
    rig.recorder.wait_begun(100)
    pause(rig)
    rig.server.kill()
    promote(rig, replica)
    worker.finish()

    rig.client = replica.client()
    assert rig.check().handled == 300


def test_the_primary_crashes_and_what_it_wrote_last_is_lost(
    make_rig: Callable[..., Rig], make_server: Callable[..., RedisServer]
) -> None:
    # Replication is asynchronous: a job that only the primary knew is gone, and what had
    # been settled meanwhile runs once more. WAIT tells a producer that a replica has it.
    rig = make_rig(*AT_ONCE)
    early = rig.produce(20)
    replica = replica_of(rig, make_server)
    with replica.client() as cut_off:
        cut_off.replicaof("127.0.0.1", "1")
    late = rig.produce(20)
    worker = rig.worker(url=rig.proxy.url)
    rig.recorder.wait_settled(40)
    rig.server.kill()
    promote(rig, replica)
    rig.recorder.wait_settled(60)
    worker.terminate()

    rig.client = replica.client()
    again = [d.job for d in rig.recorder.outcomes["succeeded"][40:]]
    assert sorted(again) == sorted(early)
    rig.recorder.begins[:40] = []
    assert rig.check(lost=late).handled == 20


def test_a_primary_is_demoted_and_its_connections_stay_open(
    make_rig: Callable[..., Rig], make_server: Callable[..., RedisServer]
) -> None:
    # The address leads to the new primary; only who connects anew gets there.
    rig = make_rig(*AT_ONCE)
    rig.produce(300, do="sleep", seconds=0.001)
    replica = replica_of(rig, make_server)
    worker = rig.worker(url=rig.proxy.url, concurrency=4, burst=True)
    rig.recorder.wait_begun(100)
    pause(rig)
    promote(rig, replica)
    rig.client.replicaof("127.0.0.1", str(replica.port))
    rig.client.client_unpause()
    worker.finish()

    rig.client = replica.client()
    assert rig.check().handled == 300
