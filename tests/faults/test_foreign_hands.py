"""Other people's hands in the server: keys deleted, replaced and taken, and strange entries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.rig import STREAMQ, Rig, WorkerProcess

RETRY = "{jobs}:group:alpha:retry"
DLQ = "{jobs}:group:alpha:dlq"


def holding(rig: Rig, count: int, **options: Any) -> tuple[WorkerProcess, list[str]]:
    """A worker in the middle of ``count`` handlers, and their jobs."""
    jobs = rig.produce(count, do="wait")
    worker = rig.worker(concurrency=count, **options)
    rig.recorder.wait_begun(count)
    return worker, jobs


def goes_on(rig: Rig, worker: WorkerProcess, jobs: int = 20) -> None:
    """The worker does what comes, and ends in good order."""
    before = len(rig.recorder.outcomes["succeeded"])
    rig.produce(jobs)
    rig.recorder.wait_settled(before + jobs)
    worker.terminate()
    assert STREAMQ not in worker.said()


# -- keys ---------------------------------------------------------------------


def test_everything_is_flushed(rig: Rig) -> None:
    worker, lost = holding(rig, 4)
    rig.client.flushall()
    rig.gate.open()
    rig.recorder.wait(lambda _: refused_or_lost(rig) == 4, "4 refusals")
    goes_on(rig, worker)

    assert rig.recorder.events["server lost"] == 0
    assert rig.check(lost=lost).handled == 20


def test_everything_is_flushed_again_and_again(rig: Rig) -> None:
    worker = rig.worker()
    for _ in range(10):
        rig.produce(20, do="sleep", seconds=0.005)
        begun = len(rig.recorder.begins)
        rig.recorder.wait_begun(begun + 1)
        rig.client.flushall()
    lost = list(rig.produced)
    goes_on(rig, worker)

    assert rig.recorder.events["server lost"] == 0
    rig.recorder.begins[:] = [b for b in rig.recorder.begins if b.delivery.job not in lost]
    rig.check(lost=lost)


def test_the_stream_is_deleted(rig: Rig) -> None:
    worker, lost = holding(rig, 4)
    rig.client.delete("jobs")
    rig.gate.open()
    rig.recorder.wait(lambda _: refused_or_lost(rig) == 4, "4 refusals")
    goes_on(rig, worker)

    assert any(note["again"] for note in rig.recorder.told("group created"))
    assert rig.recorder.events["server lost"] == 0
    assert rig.check(lost=lost).handled == 20


@pytest.mark.parametrize("kind", ["string", "list"])
def test_the_stream_is_replaced_by_another_type(rig: Rig, kind: str) -> None:
    worker, lost = holding(rig, 4)
    with rig.client.pipeline() as transaction:
        transaction.delete("jobs")
        if kind == "string":
            transaction.set("jobs", "mine")
        else:
            transaction.rpush("jobs", "mine")
        transaction.execute()
    rig.recorder.wait_event("server lost")
    rig.gate.open()
    rig.client.delete("jobs")
    rig.recorder.wait_event("server back")
    goes_on(rig, worker)

    assert "another type" in str(rig.recorder.told("server lost")[0]["error"])
    assert rig.check(lost=lost).handled == 20


@pytest.mark.parametrize("key", [RETRY, DLQ])
def test_a_key_of_streamq_s_own_is_replaced(rig: Rig, key: str) -> None:
    # Nothing is settled by half: it waits until the key is free again.
    jobs = rig.produce(4, do="wait", then="dead")
    worker = rig.worker(concurrency=4)
    rig.recorder.wait_begun(4)
    rig.client.set(key, "mine")
    rig.gate.open()
    rig.recorder.wait_event("server lost")
    rig.client.delete(key)
    rig.recorder.wait_settled(4, "dead")
    goes_on(rig, worker)

    report = rig.check()
    assert (report.handled, report.dead) == (20, len(jobs))


def test_the_retry_set_is_deleted(rig: Rig) -> None:
    rig.produce(10, do="fail", until=1)
    worker = rig.worker(backoff=1.0, lease=1.0)
    rig.recorder.wait_settled(10, "retry")
    rig.client.delete(RETRY)
    rig.recorder.wait_settled(10)
    worker.terminate()

    report = rig.check()
    assert (report.handled, report.retried) == (10, 10)


def test_the_group_is_deleted(rig: Rig) -> None:
    # The new group begins at the beginning: what was in hand runs again, nothing is lost.
    worker, _ = holding(rig, 4)
    rig.client.xgroup_destroy("jobs", "alpha")
    rig.gate.open()
    rig.recorder.wait_settled(4)
    goes_on(rig, worker)

    assert any(note["again"] for note in rig.recorder.told("group created"))
    assert rig.check().handled == 24


def test_a_consumer_is_deleted(rig: Rig) -> None:
    # XGROUP DELCONSUMER settles, for this group, what the consumer holds: Redis's own rule.
    worker, held = holding(rig, 4)
    [consumer] = rig.client.xinfo_consumers("jobs", "alpha")
    assert rig.client.xgroup_delconsumer("jobs", "alpha", consumer["name"]) == 4
    rig.gate.open()
    rig.recorder.wait(lambda _: refused_or_lost(rig) == 4, "4 refusals")
    goes_on(rig, worker)

    rig.client.xdel("jobs", *held)
    assert rig.check(lost=held).handled == 20


def test_a_dead_consumer_is_deleted(rig: Rig) -> None:
    worker, held = holding(rig, 4)
    worker.kill()
    [consumer] = rig.client.xinfo_consumers("jobs", "alpha")
    rig.client.xgroup_delconsumer("jobs", "alpha", consumer["name"])
    rig.gate.open()
    rig.produce(10)
    rig.drain()

    rig.client.xdel("jobs", *held)
    assert rig.check(lost=held).handled == 10


# -- entries ------------------------------------------------------------------


def test_entries_are_deleted_while_they_run(rig: Rig) -> None:
    worker, held = holding(rig, 4)
    rig.client.xdel("jobs", *held[:2])
    rig.recorder.wait(lambda _: refused_or_lost(rig) == 2, "2 lost leases")
    rig.gate.open()
    rig.recorder.wait_settled(2)
    goes_on(rig, worker)

    assert rig.check(lost=held[:2]).handled == 22


def test_entries_are_deleted_while_they_wait_for_their_retry(rig: Rig) -> None:
    gone = rig.produce(4, do="fail", until=1)
    worker = rig.worker(backoff=0.5)
    rig.recorder.wait_settled(4, "retry")
    rig.client.xdel("jobs", *gone)
    rig.recorder.wait(lambda r: vanished(r.told("vanished")) == set(gone), "4 to vanish")
    goes_on(rig, worker)

    assert rig.check(lost=gone).handled == 20


def test_entries_are_deleted_while_they_are_stalled(rig: Rig) -> None:
    worker, held = holding(rig, 4)
    worker.kill()
    rig.client.xdel("jobs", held[0], held[2])
    rig.gate.open()
    rig.drain()

    assert vanished(rig.recorder.told("vanished")) == {held[0], held[2]}
    report = rig.check(lost=(held[0], held[2]))
    assert (report.handled, report.retried) == (2, 2)


def test_the_stream_is_trimmed(rig: Rig) -> None:
    # What is in hand may still succeed; what nobody had yet is gone.
    worker, _ = holding(rig, 4, lease=30.0)
    queued = rig.produce(1000)
    rig.client.xtrim("jobs", maxlen=5, approximate=False)
    rig.gate.open()
    rig.recorder.wait_settled(9)
    goes_on(rig, worker)

    assert rig.check(lost=queued[:-5]).handled < 1000


def test_entries_are_acknowledged_by_hand(rig: Rig) -> None:
    worker, held = holding(rig, 4)
    rig.client.xack("jobs", "alpha", *held)
    rig.client.xdel("jobs", *held)
    rig.gate.open()
    rig.recorder.wait(lambda _: refused_or_lost(rig) == 4, "4 refusals")
    goes_on(rig, worker)

    assert rig.check(lost=held).handled == 20


def test_entries_are_claimed_by_hand(rig: Rig) -> None:
    # By redis-cli, which then goes home: they are stalled, and come back.
    rig.produce(4, do="wait", until=1)
    worker = rig.worker(concurrency=4)
    rig.recorder.wait_begun(4)
    rig.client.xclaim("jobs", "alpha", "somebody", 0, rig.produced)
    rig.recorder.wait(lambda _: refused_or_lost(rig) == 4, "4 lost leases")
    rig.gate.open()
    rig.recorder.wait_settled(4)
    goes_on(rig, worker)

    assert rig.check().handled == 24


def test_entries_are_claimed_by_hand_for_the_worker_itself(rig: Rig) -> None:
    # Which knows nothing of them: they are not stuck with it.
    worker = rig.worker()
    rig.produce(1)
    rig.recorder.wait_settled(1)
    stolen = rig.produce(0) or []
    [consumer] = rig.client.xinfo_consumers("jobs", "alpha")
    with rig.client.pipeline() as transaction:
        for n in range(4):
            transaction.xadd("jobs", {"type": "work", "data": f'{{"n":{n}}}'})
        transaction.xreadgroup("alpha", consumer["name"], {"jobs": ">"})
        stolen = transaction.execute()[:4]
    rig.produced += stolen
    rig.recorder.wait_settled(5)
    worker.terminate()

    assert rig.check().handled == 5


def test_the_group_is_set_back_to_the_beginning(rig: Rig) -> None:
    worker, held = holding(rig, 2)
    rig.client.xgroup_setid("jobs", "alpha", "0")
    rig.gate.open()
    rig.recorder.wait(
        lambda r: {d.job for d in r.outcomes["succeeded"]} == set(held), "both to succeed"
    )
    goes_on(rig, worker)

    assert rig.client.xlen("jobs") == 0
    assert rig.client.xlen("effects") == 22


# -- a foreign producer -------------------------------------------------------

DEEP = "[" * 900 + "]" * 900
GARBAGE: dict[str, dict[Any, Any]] = {
    "no data": {"a": "b"},
    "no type": {"data": "{}"},
    "empty names": {"": ""},
    "a type of no handler": {"type": "never heard of", "data": "{}"},
    "a type that is not text": {"type": b"\xff\xfe", "data": "{}"},
    "a long type": {"type": "t" * 5000, "data": "{}"},
    "a type of terminal escapes": {"type": "\x1b]0;owned\x07", "data": "{}"},
    "fields that are not text": {"type": "work", b"\xff": b"\xff"},
    "data that is not JSON": {"type": "work", "data": "{"},
    "data that is not text": {"type": "work", "data": b"\xff\xfe\x00"},
    "data that is a number": {"type": "work", "data": "7"},
    "data that is null": {"type": "work", "data": "null"},
    "data that is deep": {"type": "work", "data": DEEP},
    "an argument that is deep": {"type": "work", "data": f'{{"n":{DEEP}}}'},
    "an argument of another type": {"type": "work", "data": '{"n":"seven"}'},
    "a number that no float holds": {"type": "work", "data": '{"n":1e999}'},
    "an argument missing": {"type": "work", "data": "{}"},
    "a bad time": {"type": "work", "data": '{"n":1}', "expires": "tomorrow"},
    "a huge time": {"type": "work", "data": '{"n":1}', "expires": "9" * 30},
    "a group that does not exist": {"type": "work", "data": '{"n":1}', "for": "nobody"},
    "a group that is not text": {"type": "work", "data": '{"n":1}', "for": b"\xff"},
    "very many fields": {f"field {n}": "x" for n in range(6000)},
    "very many fields and data": {"data": "{}", **{f"field {n}": "x" for n in range(6000)}},
    "a very large field": {"type": "work", "data": '{"n":"' + "x" * 8_000_000 + '"}'},
}


def test_a_foreign_producer_writes_garbage(rig: Rig) -> None:
    worker = rig.worker(lease=30.0)
    ids = {name: str(rig.client.xadd("jobs", fields)) for name, fields in GARBAGE.items()}
    good = rig.produce(20)
    rig.recorder.wait_settled(20)
    rig.recorder.wait_settled(len(ids) - 2, "dead")
    rig.recorder.wait_settled(2, "skipped")  # what is for another group
    worker.terminate()

    rig.produced += ids.values()
    report = rig.check()
    assert (report.handled, report.dead) == (len(good), len(ids))
    assert STREAMQ not in worker.said()
    assert "\x1b" not in worker.said()


def test_garbage_stalls_and_goes_to_the_dead_letters(rig: Rig) -> None:
    # Taken by a worker that died, each with its deliveries used up.
    rig.client.xgroup_create("jobs", "alpha", "0", mkstream=True)
    ids = [str(rig.client.xadd("jobs", fields)) for fields in GARBAGE.values()]
    with rig.server.client(decode_responses=False) as dead:
        dead.xreadgroup("alpha", "dead", {"jobs": ">"})
        dead.xclaim("jobs", "alpha", "dead", 0, ids, retrycount=4)
    rig.produced += ids
    rig.drain()

    assert rig.check().dead == len(ids)


def test_a_foreign_producer_writes_ids_of_its_own(rig: Rig) -> None:
    worker = rig.worker()
    fields: dict[Any, Any] = {"type": "work", "data": '{"n":1}'}
    far = [f"{10**19}-{n}" for n in range(3)]
    rig.produced += [str(rig.client.xadd("jobs", fields, id=id)) for id in ("1-1", "5-5")]
    rig.recorder.wait_settled(2)
    rig.produced += [str(rig.client.xadd("jobs", fields, id=id)) for id in far]
    rig.recorder.wait_settled(5)
    goes_on(rig, worker)

    assert rig.check().handled == 25


def test_the_ids_of_the_stream_are_used_up(rig: Rig) -> None:
    # Nothing can be written any more, and that is what the producer is told.
    worker = rig.worker()
    fields: dict[Any, Any] = {"type": "work", "data": '{"n":1}'}
    rig.produced.append(str(rig.client.xadd("jobs", fields, id=f"{2**64 - 1}-{2**64 - 1}")))
    rig.recorder.wait_settled(1)
    with pytest.raises(Exception, match="ID"):
        rig.produce(1)
    worker.terminate()

    assert rig.check().handled == 1


def refused_or_lost(rig: Rig) -> int:
    """How many deliveries the worker knows to have lost."""
    told = rig.recorder.told("lease lost") + rig.recorder.told("vanished")
    return len(rig.recorder.refused) + sum(len(note["jobs"]) for note in told)


def vanished(notes: list[Any]) -> set[str]:
    return {job for note in notes for job in note["jobs"]}
