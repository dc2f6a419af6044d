"""Servers that answer with an error, answer late, or throw everybody out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import redis

from streamq.errors import ServerRefused, ServerUnavailable
from tests.faults.rig import STREAMQ, Rig, WorkerProcess


@contextmanager
def at_work(rig: Rig, **options: object) -> Iterator[WorkerProcess]:
    """A worker in the middle of 300 jobs when the block begins; it must do them all after."""
    rig.produce(1, do="wait")  # so that it is not done before the fault is
    rig.produce(199, do="sleep", seconds=0.001)
    rig.produce(50, do="fail", until=1)
    rig.produce(50, do="dead")
    worker = rig.worker(concurrency=4, burst=True, **options)
    rig.recorder.wait_begun(50)
    yield worker
    rig.gate.open()
    worker.finish()
    report = rig.check()
    assert (report.handled, report.dead) == (250, 50)
    assert STREAMQ not in worker.said()  # no traceback but those of handlers


def test_scripts_are_flushed(rig: Rig) -> None:
    with at_work(rig):
        for _ in range(20):
            rig.client.script_flush()
    assert rig.recorder.events["server lost"] == 0


def test_every_connection_is_killed(rig: Rig) -> None:
    with at_work(rig):
        for _ in range(5):
            rig.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            rig.recorder.wait_event("server back", rig.recorder.events["server back"])


def test_blocked_reads_are_broken_off(rig: Rig) -> None:
    worker = rig.worker()
    rig.produce(1)
    rig.recorder.wait_settled(1)
    for _ in range(20):
        for client in rig.client.client_list(_type="normal"):
            rig.client.client_unblock(client["id"], error=True)
    rig.produce(20)
    rig.recorder.wait_settled(21)
    worker.terminate()

    assert rig.check().handled == 21


@pytest.mark.parametrize("kind", ["ALL", "WRITE"])
def test_clients_are_paused(rig: Rig, kind: str) -> None:
    # Longer than the worker waits for an answer, and than its leases last.
    with at_work(rig):
        rig.client.execute_command("CLIENT", "PAUSE", 1500, kind)


def test_the_server_sleeps(rig: Rig) -> None:
    with at_work(rig):
        rig.client.execute_command("DEBUG", "SLEEP", 1.5)


def test_a_script_keeps_the_server_busy(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("--lua-time-limit", "20")

    def hang() -> None:
        with rig.server.client() as other, suppress(redis.ResponseError):
            other.eval("while true do end", 0)

    with at_work(rig):
        busy = threading.Thread(target=hang)
        busy.start()
        rig.recorder.wait_event("server lost")
        rig.wait(lambda: says(rig, "BUSY", "PING"), "the server to be busy")
        with pytest.raises(ServerRefused, match="BUSY"):
            rig.produce(1)
        rig.client.script_kill()
        busy.join()


def test_a_primary_becomes_a_replica_for_a_while(rig: Rig) -> None:
    with at_work(rig):
        # Its new primary does not exist: it keeps what it has, and is read-only.
        rig.client.replicaof("127.0.0.1", "1")
        rig.recorder.wait_event("server lost")
        with pytest.raises(ServerRefused, match="READONLY"):
            rig.produce(1)
        rig.client.replicaof("NO", "ONE")


def test_the_memory_is_full(rig: Rig) -> None:
    # Producing is refused, and says why; working goes on, for it frees memory.
    with at_work(rig):
        rig.client.config_set("maxmemory", "1mb")
        with pytest.raises(ServerRefused, match="maxmemory") as caught:
            rig.produce(1)
        assert caught.value.passing
        rig.client.script_flush()
        rig.recorder.wait_settled(249)
        rig.client.config_set("maxmemory", "0")
    assert rig.recorder.events["server lost"] == 0


def test_the_disk_fails(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("--enable-protected-configs", "yes")
    gone = rig.server.directory / "gone"
    gone.mkdir()
    with at_work(rig):
        rig.client.config_set("dir", str(gone))
        gone.rmdir()
        rig.client.config_set("save", "3600 1")
        rig.client.bgsave()
        rig.wait(lambda: rig.client.info()["rdb_last_bgsave_status"] == "err", "the save to fail")
        rig.recorder.wait_event("server lost")
        with pytest.raises(ServerRefused, match="MISCONF"):
            rig.produce(1)
        rig.client.config_set("stop-writes-on-bgsave-error", "no")


def test_replicas_are_too_few(rig: Rig) -> None:
    with at_work(rig):
        rig.client.config_set("min-replicas-to-write", 1)
        rig.recorder.wait_event("server lost")
        with pytest.raises(ServerRefused, match="NOREPLICAS"):
            rig.produce(1)
        rig.client.config_set("min-replicas-to-write", 0)


def test_the_server_takes_no_more_clients(rig: Rig) -> None:
    with at_work(rig):
        rig.client.ping()
        rig.client.config_set("maxclients", 1)
        rig.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        rig.recorder.wait_event("server lost")
        with pytest.raises(ServerUnavailable):
            rig.produce(1)
        rig.client.config_set("maxclients", 1000)


def test_an_answer_is_larger_than_the_output_buffer_may_be(make_rig: Callable[..., Rig]) -> None:
    # The server throws out who is sent more than that at once: the worker asks for less.
    rig = make_rig("--client-output-buffer-limit", "normal 1mb 0 0")
    rig.produce(64, ballast="x" * 200_000)
    worker = rig.worker(concurrency=32, burst=True)
    worker.finish()

    assert rig.check().handled == 64


def test_the_worker_s_clock_is_an_hour_off(rig: Rig) -> None:
    ids = rig.produce(20)
    rig.produce(20, do="fail", until=1)
    for clock in (3600.0, -3600.0):
        rig.worker(clock=clock, burst=True, backoff=0.2).finish()
        rig.produced += produce_expiring(rig)
    rig.drain(clock=3600.0)

    report = rig.check()
    assert (report.handled, report.dead) == (42, 0)
    assert not rig.recorder.outcomes["expired"]
    record = rig.client.hgetall(f"{{jobs}}:group:alpha:job:{ids[0]}")
    created, started = int(ids[0].split("-")[0]), int(record["started_at"])
    assert abs(started - created) < 600_000


def produce_expiring(rig: Rig) -> list[str]:
    """One job that expires in five minutes."""
    fields = {"type": "work", "data": '{"n":0}', "expires": 300_000}
    return [str(rig.client.xadd("jobs", fields))]


def says(rig: Rig, code: str, *command: str) -> bool:
    """Whether the server answers with that error."""
    try:
        rig.client.execute_command(*command)
    except redis.RedisError as error:
        return code in str(error) or code.lower() in str(error).lower()
    return False
