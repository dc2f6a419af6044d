"""Streams that share the slots of a group, by weight or in strict order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from streamq import App, Job, Settings, Worker
from streamq.errors import ConfigError
from streamq.signals import ServerBack, ServerLost
from streamq.worker.inflight import InFlight
from streamq.worker.shares import Share, Shares
from streamq.worker.slot import Slot
from tests.servers import RedisServer
from tests.worker.support import Outcome, Watch, drain, eventually, running, together

pytestmark = pytest.mark.anyio

ONE = Settings(concurrency=1, result_ttl=0)

# -- whose turn it is ---------------------------------------------------------


class Stream:
    """A stream with a backlog, and one runner that asks for turns."""

    def __init__(self, share: Share, name: str) -> None:
        self.share, self.name = share, name
        self.slot = Slot()
        self.woken = 0
        self.in_flight = InFlight(1, 0, places=lambda: share.places)
        share.join(self.in_flight, self.wake)

    def wake(self) -> None:
        self.woken += 1

    def has(self, count: int) -> None:
        self.in_flight.take([(f"{n}-{self.name}", [], 1) for n in range(count)])


def streams(shares: Shares) -> list[Stream]:
    return [Stream(share, "abc"[i]) for i, share in enumerate(shares.members)]


def turns(shares: Shares, of: list[Stream], count: int) -> str:
    """Who has the next turns, one at a time."""
    order = ""
    for _ in range(count):
        share = shares.next()
        one = next((one for one in of if one.share is share), None)
        if one is None:
            break
        assert one.share.take(one.slot) is not None
        one.share.release(one.slot)
        order += one.name
    return order


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ([9, 1], "aaaaaaaaab"),
        ([1, 9], "bbbbbbbbab"),
        ([1, 1], "ababababab"),
        ([3, 2], "abaabababa"),
        ([2, 1, 1], "aabcaabcaa"),
    ],
)
async def test_turns_go_by_weight(weights: list[int], order: str) -> None:
    shares = Shares(1, weights)
    found = streams(shares)
    for one in found:
        one.has(1000)
    told = turns(shares, found, 1000)
    assert Counter(told) == {
        "abc"[i]: 1000 * weight // sum(weights) for i, weight in enumerate(weights)
    }
    assert sorted(told[:10]) == sorted(order)


async def test_who_has_nothing_gets_no_turn_and_saves_none_up() -> None:
    shares = Shares(1, [1, 1])
    a, b = found = streams(shares)
    b.share.looked(dry=True)
    a.has(1000)
    assert turns(shares, found, 100) == "a" * 100
    b.has(100)
    assert turns(shares, found, 10) == "abababababab"[:10]


async def test_who_is_being_read_is_waited_for() -> None:
    shares = Shares(1, [1, 1])
    a, b = found = streams(shares)
    a.has(1000)
    assert turns(shares, found, 5) == "a"
    b.has(1)
    assert turns(shares, found, 5) == "ba"
    b.share.looked(dry=True)
    assert turns(shares, found, 5) == "aaaaa"


async def test_strictly_a_lower_one_waits_for_a_higher_one_to_be_read() -> None:
    shares = Shares(1, [1, 1, 1], strict=True)
    a, b, c = found = streams(shares)
    for one in (b, c):
        one.has(3)
    assert turns(shares, found, 10) == ""
    a.has(2)
    a.share.looked(dry=True)
    assert turns(shares, found, 10) == "aabbb"  # whether b has more is not known
    assert c.woken == 0
    b.share.looked(dry=True)
    assert c.woken == 1
    assert turns(shares, found, 10) == "ccc"


async def test_no_more_at_once_than_there_are_slots() -> None:
    shares = Shares(2, [1, 1])
    a, b = streams(shares)
    a.has(10)
    b.has(10)
    slots = [Slot() for _ in range(4)]
    assert a.share.take(slots[0]) is not None
    assert b.woken
    assert b.share.take(slots[1]) is not None
    assert a.share.take(slots[2]) is None
    assert b.share.take(slots[3]) is None
    b.share.release(slots[1])
    assert a.woken
    assert a.share.take(slots[2]) is not None
    assert shares.free == 0


async def test_a_stream_without_turns_has_one_job_in_hand() -> None:
    shares = Shares(4, [9, 1])
    a, b = streams(shares)
    assert (a.in_flight.free, b.in_flight.free) == (5, 5)
    a.has(4)
    for _ in range(4):
        assert a.share.take(Slot()) is not None
    assert (a.in_flight.free, b.in_flight.free) == (1, 1)


# -- workers ------------------------------------------------------------------


async def backlog(app: App, **counts: int) -> None:
    for stream, count in counts.items():
        await app.produce_many((("t", {"n": n}) for n in range(count)), stream=stream)


def noting(app: App, pause: Callable[[], object] | None = None) -> list[str]:
    """A handler on both streams; the list of the streams, in the order of the jobs."""
    order: list[str] = []

    async def handle(job: Job) -> None:
        order.append(job.stream)
        await asyncio.sleep(0)

    for stream in ("urgent", "bulk"):
        app.handler("t", stream=stream)(handle)
    return order


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_of_a_thousand_jobs_nine_hundred_are_urgent(app: App, concurrency: int) -> None:
    order = noting(app)
    await backlog(app, urgent=1500, bulk=1500)
    settings = Settings(concurrency=concurrency, result_ttl=0)
    await drain(app, streams={"urgent": 9, "bulk": 1}, settings=settings)
    assert Counter(order[:1000]) == {"urgent": 900, "bulk": 100}
    assert len(order) == 3000


async def test_strictly_bulk_waits_for_all_that_is_urgent(app: App) -> None:
    order = noting(app)
    await backlog(app, urgent=1000, bulk=100)
    await drain(app, streams=["urgent", "bulk"], strict=True, settings=ONE)
    assert order == ["urgent"] * 1000 + ["bulk"] * 100


async def test_strictly_what_comes_meanwhile_goes_first(app: App) -> None:
    order: list[str] = []
    reached = asyncio.Event()

    async def handle(job: Job) -> None:
        order.append(job.stream)
        if order == ["bulk"]:
            await app.produce("t", {"n": 0}, stream="urgent")
            await eventually(lambda: worker.consumers[0].in_flight.waiting == 1)
        elif len(order) == 6:
            reached.set()

    for stream in ("urgent", "bulk"):
        app.handler("t", stream=stream)(handle)
    await backlog(app, bulk=5)
    options = {"streams": ["urgent", "bulk"], "strict": True, "settings": ONE}
    async with running(app, **options) as worker:
        await together(reached)
    assert order == ["bulk", "urgent", *["bulk"] * 4]


async def test_the_slots_are_shared_and_all_used(app: App) -> None:
    at_once = most = 0
    go_on, full = asyncio.Event(), asyncio.Event()

    async def handle() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == 4:
            full.set()
        await together(go_on)
        at_once -= 1

    for stream in ("urgent", "bulk"):
        app.handler("t", stream=stream)(handle)
    await backlog(app, bulk=20)
    settings = Settings(concurrency=4, result_ttl=0)
    async with running(app, streams={"urgent": 9, "bulk": 1}, settings=settings) as worker:
        await together(full)
        await backlog(app, urgent=20)
        urgent, bulk = worker.consumers
        await eventually(lambda: len(urgent.in_flight) == 1)
        assert len(bulk.in_flight) <= 4 + 5
        go_on.set()
        await eventually(lambda: worker._finished == 40)
    assert most == 4


async def test_a_stream_without_turns_holds_little(app: App, client: redis.Redis) -> None:
    """The rest of it is left to workers that have time."""
    held: list[int] = []
    noting_order = noting(app)

    def look(_: object) -> None:
        if 50 < len(noting_order) < 1900:
            held.append(client.xpending("bulk", "default")["pending"])

    await backlog(app, urgent=2000, bulk=2000)
    await drain(
        app, streams=["urgent", "bulk"], strict=True, burst=False, max_jobs=2000,
        settings=Settings(concurrency=4, result_ttl=0), observers=[look],
    )  # fmt: skip
    assert held
    assert max(held) <= 4 + 1


async def test_batches_and_threads_take_turns(app: App) -> None:
    order: list[tuple[str, int]] = []

    def handle(jobs: list[Job]) -> None:
        order.append((jobs[0].stream, len(jobs)))

    for stream in ("urgent", "bulk"):
        app.handler("t", stream=stream, batch=10, batch_wait=3600.0)(handle)
    await backlog(app, urgent=100, bulk=100)
    await drain(app, streams={"urgent": 3, "bulk": 1}, settings=ONE)
    assert Counter(order) == {("urgent", 10): 10, ("bulk", 10): 10}


async def test_each_group_shares_its_own_slots(app: App) -> None:
    seen: Counter[tuple[str, str]] = Counter()

    async def handle(job: Job) -> None:
        seen[job.group, job.stream] += 1

    for name in ("one", "two"):
        group = app.group(name, concurrency=2)
        for stream in ("urgent", "bulk"):
            group.handler("t", stream=stream)(handle)
    await backlog(app, urgent=50, bulk=50)
    await drain(app, streams={"urgent": 9, "bulk": 1})
    assert set(seen.values()) == {50}
    assert len(seen) == 4


async def test_failures_timeouts_and_leftovers_give_their_slots_back(app: App) -> None:
    async def handle(n: int) -> None:
        if n % 3 == 0:
            raise ValueError("no")
        if n % 3 == 1:
            await asyncio.sleep(3600)

    for stream in ("urgent", "bulk"):
        app.handler("t", stream=stream, retries=0, timeout=0.01)(handle)
    await backlog(app, urgent=30, bulk=30)
    settings = Settings(concurrency=3, result_ttl=0)
    watch = await drain(app, streams={"urgent": 2, "bulk": 1}, settings=settings)
    assert Counter(watch.outcomes) == {Outcome.DEAD: 40, Outcome.SUCCEEDED: 20}


async def test_a_server_that_is_away(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--appendonly", "yes", "--appendfsync", "always")
    async with App(server.unix_url) as app:
        order = noting(app)
        watch = Watch()
        options = {"streams": ["urgent", "bulk"], "strict": True, "observers": [watch]}
        async with running(app, settings=ONE, **options):
            await backlog(app, bulk=1)
            await watch.until(lambda: len(watch.verdicts) == 1)
            server.kill()
            await watch.until(lambda: watch.of(ServerLost))
            server.start()
            await watch.until(lambda: watch.of(ServerBack))
            await backlog(app, urgent=5, bulk=5)
            await watch.until(lambda: len(watch.verdicts) == 11)
    assert Counter(order) == {"urgent": 5, "bulk": 6}


async def test_jobs_that_leave_something_in_the_context(app: App) -> None:
    """Their runners are replaced, and give back their slots."""
    from contextvars import ContextVar

    left: ContextVar[int] = ContextVar("left")

    async def handle(n: int) -> None:
        left.set(n)

    for stream in ("urgent", "bulk"):
        app.handler("t", stream=stream)(handle)
    await backlog(app, urgent=20, bulk=20)
    watch = await drain(app, streams={"urgent": 9, "bulk": 1}, settings=ONE)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 40


async def test_without_weights_each_stream_has_its_own(app: App) -> None:
    noting(app)
    worker = app.worker(streams=["urgent", "bulk"])
    assert [consumer.runners._share for consumer in worker.consumers] == [None, None]


# -- what cannot be -----------------------------------------------------------


@pytest.mark.parametrize(
    ("streams", "strict", "said"),
    [
        ({"urgent": 0, "bulk": 1}, False, "the stream urgent: weight 0: give a whole number"),
        ({"urgent": 1.5, "bulk": 1}, False, r"the stream urgent: weight 1\.5"),
        ({"urgent": 2_000_000, "bulk": 1}, False, "1 to 1,000,000"),
        ({"urgent": 9, "bulk": 1}, True, "leave out their weights"),
        ({"urgent": 9, "other": 1}, False, "no handler for the stream 'other'"),
        ([], True, "strict=True goes by the order of the streams: give streams="),
    ],
)
async def test_weights_that_cannot_be(app: App, streams: object, strict: bool, said: str) -> None:
    noting(app)
    with pytest.raises(ConfigError, match=said):
        app.worker(streams=streams, strict=strict)  # type: ignore[arg-type]  # what is tested


def test_a_weight_for_some_streams_only() -> None:
    from streamq.server import Server
    from streamq.worker import Handlers, Subscription

    handlers = Handlers([])
    with pytest.raises(ConfigError, match="give each one"):
        Worker(
            Server("redis://localhost:1"),
            [Subscription("a", "g", handlers, weight=2), Subscription("b", "g", handlers)],
        )
