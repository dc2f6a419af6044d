"""Slots that the partitions of a stream share."""

from __future__ import annotations

import pytest

from streamq.worker.inflight import InFlight
from streamq.worker.pool import Part, Pool
from streamq.worker.slot import Slot

pytestmark = pytest.mark.anyio


class Partition:
    """One with a backlog, and what was woken."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.woken = 0
        self.in_flight = InFlight(8, 0, places=lambda: part.places)
        part.join(self.in_flight, self.wake)

    def wake(self) -> None:
        self.woken += 1

    def has(self, count: int) -> None:
        self.in_flight.take([(f"{n}-1", [], 1) for n in range(count)])


def partitions(slots: int, count: int) -> tuple[Pool, list[Partition]]:
    pool = Pool(slots)
    return pool, [Partition(pool.part()) for _ in range(count)]


async def test_no_more_run_than_there_are_slots() -> None:
    pool, [a, b] = partitions(2, 2)
    a.has(5)
    b.has(5)
    first, second, third = Slot(), Slot(), Slot()
    assert a.part.take(first) is not None
    assert (a.part.places, b.part.places) == (2, 1)
    assert b.part.take(second) is not None
    assert a.part.take(third) is None
    assert pool.busy == 2
    b.part.release(second)
    assert (pool.busy, a.woken) == (1, 1)
    assert a.part.take(third) is not None


async def test_a_runner_goes_on_until_it_has_nothing() -> None:
    pool, [a, b] = partitions(1, 2)
    a.has(3)
    slot, other = Slot(), Slot()
    taken = [a.part.take(slot)[0] for _ in range(3)]  # type: ignore[index]
    assert taken == ["0-1", "1-1", "2-1"]
    b.has(1)
    assert b.part.take(other) is None
    assert a.part.take(slot) is None
    assert (pool.busy, b.woken) == (0, 1)
    assert b.part.take(other) is not None


async def test_slow_jobs_go_round(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("streamq.worker.pool.time.monotonic", lambda: now)
    _, [a, b] = partitions(1, 2)
    a.has(9)
    b.has(9)
    slots = {id(a): Slot(), id(b): Slot()}
    order = ""
    current, other = a, b
    assert a.part.take(slots[id(a)]) is not None
    assert b.part.take(slots[id(b)]) is None
    for _ in range(6):
        now += 0.006  # for how long a job takes
        if current.part.take(slots[id(current)]) is None:
            current, other = other, current
            assert current.part.take(slots[id(current)]) is not None
        order += "a" if current is a else "b"
    assert order == "abbaab"
    assert other.woken + current.woken == 3


async def test_one_that_has_nothing_left_is_passed_over() -> None:
    _, [a, b, c] = partitions(1, 3)
    for one in (a, b, c):
        one.has(1)
    slot = Slot()
    assert a.part.take(slot) is not None
    assert b.part.take(Slot()) is None
    assert c.part.take(Slot()) is None
    b.in_flight.forget_waiting()
    a.part.release(slot)
    assert (b.woken, c.woken) == (0, 1)
