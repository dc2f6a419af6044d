"""What is in flight, and the room for more; deadlines under one timer."""

from __future__ import annotations

import asyncio

import pytest

from streamq.worker.deadlines import NEVER, Deadlines
from streamq.worker.inflight import InFlight

pytestmark = pytest.mark.anyio


def deliveries(*ids: str, attempt: int = 1) -> list[tuple[str, list[bytes], int]]:
    return [(id, [], attempt) for id in ids]


async def test_what_is_taken_is_held_until_let_go() -> None:
    in_flight = InFlight(2, 0)
    in_flight.take(deliveries("1-0", "2-0"))
    assert in_flight.deliveries() == [("1-0", 1), ("2-0", 1)]
    assert in_flight.waiting == 2
    assert in_flight.free == 0
    in_flight.let_go([("1-0", 1)])
    assert in_flight.deliveries() == [("2-0", 1)]
    assert in_flight.free == 1
    assert in_flight.finished == 1
    in_flight.let_go([("1-0", 1)])
    assert in_flight.finished == 1


async def test_a_later_delivery_is_not_let_go_with_an_earlier() -> None:
    in_flight = InFlight(2, 0)
    in_flight.take(deliveries("1-0"))
    in_flight.take(deliveries("1-0", attempt=2))
    in_flight.let_go([("1-0", 1)])
    assert in_flight.deliveries() == [("1-0", 2)]
    in_flight.let_go([("1-0", 2)])
    assert in_flight.deliveries() == []


async def test_what_is_lost_is_not_begun() -> None:
    in_flight = InFlight(4, 0)
    in_flight.take(deliveries("1-0", "2-0", "3-0"))
    in_flight.lose([("1-0", 1), ("3-0", 1)])
    assert in_flight.deliveries() == [("2-0", 1)]
    assert in_flight.next() == ("2-0", [], 1)
    assert in_flight.next() is None


async def test_of_two_deliveries_only_the_later_is_begun() -> None:
    in_flight = InFlight(4, 0)
    in_flight.take(deliveries("1-0", "2-0"))
    in_flight.take(deliveries("1-0", attempt=2))
    assert in_flight.next() == ("2-0", [], 1)
    in_flight.put_back(("2-0", [], 1))
    assert [in_flight.next() for _ in range(3)] == [("2-0", [], 1), ("1-0", [], 2), None]


async def test_room_is_waited_for() -> None:
    in_flight = InFlight(1, 0)
    await in_flight.room()
    in_flight.take(deliveries("1-0"))
    waiting = asyncio.ensure_future(in_flight.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    in_flight.let_go([("1-0", 1)])
    await waiting


async def test_once_closed_nothing_waits() -> None:
    in_flight = InFlight(1, 0)
    in_flight.take(deliveries("1-0"))
    waiting = asyncio.ensure_future(in_flight.room())
    await asyncio.sleep(0)
    in_flight.close()
    await waiting
    await in_flight.room()


async def test_several_can_wait_until_nothing_is_in_flight() -> None:
    in_flight = InFlight(2, 0)
    await in_flight.empty()
    in_flight.take(deliveries("1-0", "2-0"))
    waiting = [asyncio.ensure_future(in_flight.empty()) for _ in range(2)]
    await asyncio.sleep(0)
    in_flight.let_go([("1-0", 1)])
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    in_flight.let_go([("2-0", 1)])
    await asyncio.gather(*waiting)


async def test_the_prefetch_follows_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("streamq.worker.inflight.time.monotonic", lambda: now)
    in_flight = InFlight(4, 100)
    assert in_flight.free == 4
    in_flight.finished = 1000
    now += 1.0
    await in_flight.room()
    assert in_flight.free == 4 + 50  # a thousand a second, for 0.05 s
    in_flight.finished = 101_000
    now += 1.0
    await in_flight.room()
    assert in_flight.free == 4 + 100  # and never more than the prefetch
    now += 1.0
    await in_flight.room()
    assert in_flight.free == 4


class Item:
    def __init__(self) -> None:
        self.deadline = NEVER


async def test_deadlines_are_told_in_order() -> None:
    first, second, third, never = (Item() for _ in range(4))
    names = {first: "first", second: "second", third: "third", never: "never"}
    told: list[str] = []
    done = asyncio.Event()

    def missed(item: Item) -> None:
        item.deadline = NEVER
        told.append(names[item])
        if item is third:
            done.set()

    deadlines = Deadlines({first, second, third, never}, missed)
    deadlines.set(third, 0.03)
    deadlines.set(first, 0.01)
    deadlines.set(second, 0.02)
    deadlines.set(never, 3600)
    await done.wait()
    deadlines.stop()
    assert told == ["first", "second", "third"]


async def test_a_deadline_can_be_lifted_and_moved() -> None:
    lifted, moved = Item(), Item()
    told: list[Item] = []
    done = asyncio.Event()

    def missed(item: Item) -> None:
        told.append(item)
        if len(told) < 2:
            deadlines.set(item, 0.01)
        else:
            item.deadline = NEVER
            done.set()

    deadlines = Deadlines({lifted, moved}, missed)
    deadlines.set(lifted, 0.01)
    deadlines.set(moved, 0.01)
    lifted.deadline = NEVER
    await done.wait()
    deadlines.stop()
    assert told == [moved, moved]


@pytest.mark.parametrize(("trip", "ahead"), [(0.0, 50), (0.02, 110), (10.0, 500)])
async def test_the_farther_the_server_the_more_is_fetched_ahead(
    monkeypatch: pytest.MonkeyPatch, trip: float, ahead: int
) -> None:
    now = 100.0
    monkeypatch.setattr("streamq.worker.inflight.time.monotonic", lambda: now)
    in_flight = InFlight(16, 500)
    in_flight.trip = trip
    in_flight.finished = 1000
    now += 1.0  # 1,000 jobs a second
    await in_flight.room()
    assert in_flight.free == 16 + ahead


def test_where_none_waits_the_prefetch_is_for_what_has_ended() -> None:
    ended = 0
    in_flight = InFlight(2, 3, waits=False, ended=lambda: ended)
    in_flight.take(deliveries("1-0", "2-0"))
    assert in_flight.free == 0
    ended = 2  # their handlers have, and nothing is settled yet
    assert in_flight.free == 2
    in_flight.take(deliveries("3-0", "4-0"))
    assert in_flight.free == 0
    ended = 4
    assert in_flight.free == 1  # never more than five in flight
    in_flight.let_go([("1-0", 1), ("2-0", 1)])
    ended = 2
    assert in_flight.free == 2


async def test_a_runner_that_has_nothing_to_do_lets_the_fetcher_look() -> None:
    ended = 0
    in_flight = InFlight(1, 3, waits=False, ended=lambda: ended)
    in_flight.take(deliveries("1-0"))
    waiting = asyncio.ensure_future(in_flight.room())
    await asyncio.sleep(0)
    in_flight.look_for_room()
    await asyncio.sleep(0)
    assert not waiting.done()
    ended = 1
    in_flight.look_for_room()
    await waiting
