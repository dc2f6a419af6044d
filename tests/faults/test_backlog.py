"""Many entries left behind at once: the server must stay quick, and the workers get through."""

from __future__ import annotations

from tests.faults.rig import Rig

SLOW = 500_000
"""Microseconds that no single command may take, whatever lies about, on a busy machine."""


def leave_behind(rig: Rig, count: int, consumers: int, type: str = "work") -> None:
    """Let consumers that no longer exist hold ``count`` entries."""
    rig.client.xgroup_create("jobs", "alpha", "0", mkstream=True)
    rig.produce(count, type)
    each = count // consumers
    with rig.client.pipeline(transaction=False) as pipeline:
        for number in range(consumers):
            pipeline.xreadgroup("alpha", f"dead-{number}", {"jobs": ">"}, count=each)
            if number % 50 == 0:
                pipeline.execute()
        pipeline.execute()
    assert rig.client.xinfo_groups("jobs")[0]["pending"] == count
    rig.client.config_set("slowlog-log-slower-than", SLOW)
    rig.client.slowlog_reset()


def test_ten_thousand_stalled_at_once(rig: Rig) -> None:
    leave_behind(rig, 10_000, consumers=1)
    workers = [rig.worker(burst=True, result_ttl=60.0) for _ in range(2)]
    for worker in workers:
        worker.finish()

    report = rig.check()
    assert (report.handled, report.retried) == (10_000, 10_000)
    assert rig.client.slowlog_get() == []


def test_the_pending_list_of_a_thousand_dead_consumers(rig: Rig) -> None:
    leave_behind(rig, 100_000, consumers=1000, type="quiet")
    workers = [rig.worker(burst=True, result_ttl=0.0) for _ in range(2)]
    for worker in workers:
        worker.finish()

    assert rig.client.xlen("jobs") == 0
    assert rig.client.xinfo_groups("jobs")[0]["pending"] == 0
    assert sum(note["counted"] for note in rig.recorder.told("ended")) == 100_000
    assert rig.client.slowlog_get() == []


def test_a_hundred_thousand_wait_for_their_retry(rig: Rig) -> None:
    # They cost reclaiming nothing, and new jobs pass them by.
    rig.client.xgroup_create("jobs", "alpha", "0", mkstream=True)
    parked = rig.produce(100_000, "quiet")
    while rig.client.xreadgroup("alpha", "~retry", {"jobs": ">"}, count=10_000):
        pass
    for start in range(0, len(parked), 10_000):
        due = dict.fromkeys(parked[start : start + 10_000], 4_000_000_000_000)
        rig.client.zadd("{jobs}:group:alpha:retry", due)
    rig.client.config_set("slowlog-log-slower-than", SLOW)
    rig.client.slowlog_reset()

    worker = rig.worker(lease=0.2)
    new = rig.produce(1000)
    rig.recorder.wait_settled(1000)
    worker.terminate()

    assert {d.job for d in rig.recorder.outcomes["succeeded"]} == set(new)
    assert rig.client.xinfo_groups("jobs")[0]["pending"] == 100_000
    assert rig.client.slowlog_get() == []
