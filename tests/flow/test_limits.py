"""How many at once, and how fast: per key, and for a group over all its workers."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import redis

from streamq import App, Job, NewJob
from streamq.errors import ConfigError
from tests.lua.support import ids_of
from tests.servers import RedisServer
from tests.worker.support import AT_ONCE, QUIET, drain, eventually, running

pytestmark = pytest.mark.anyio

FLOW = "{jobs}:group:g:flow:"


class Gauge:
    """How many run at once, of each key and of all."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def run(self, *names: str) -> None:
        for name in names:
            self.now[name] += 1
            self.most[name] = max(self.most[name], self.now[name])
        for _ in range(5):
            await asyncio.sleep(0)
        for name in names:
            self.now[name] -= 1


async def workers(app: App, number: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(number):
            tasks.create_task(app.worker(settings=QUIET, burst=True).run())


async def test_a_group_has_so_many_in_flight_over_all_workers(
    app: App, client: redis.Redis
) -> None:
    group, gauge = app.group("g", max_in_flight=5), Gauge()

    @group.handler("a")
    async def a() -> None:
        await gauge.run("all")

    await app.produce_many([("a", {})] * 200)
    await workers(app, 3)
    assert gauge.most["all"] == 5
    assert client.keys("*") == ["jobs"]


async def test_a_key_has_so_many_in_flight(app: App) -> None:
    group, gauge = app.group("g", limit_per_key=2), Gauge()

    @group.handler("a")
    async def a(job: Job) -> None:
        await gauge.run("all", job.key or "")

    await app.produce_many([NewJob("a", key=key) for key in "xyz" for _ in range(40)])
    await workers(app, 2)
    assert [gauge.most[key] for key in "xyz"] == [2, 2, 2]
    assert gauge.most["all"] > 2


async def test_keys_take_turns(app: App) -> None:
    """One that has a thousand waiting does not keep another's one waiting."""
    group, order = app.group("g", limit_per_key=1, max_in_flight=2), list[str]()

    @group.handler("a")
    async def a(job: Job) -> None:
        order.append(job.key or "")

    many = [NewJob("a", key="many") for _ in range(1000)]
    await app.produce_many([*many, NewJob("a", key="one"), NewJob("a", key="two")])
    await drain(app)
    assert len(order) == 1002
    # They come once the thousand have been read, and long before these have been run.
    assert max(order.index("one"), order.index("two")) < 500


async def test_a_retry_gives_its_place_to_others(app: App) -> None:
    group, order = app.group("g", limit_per_key=1, retries=1, backoff=AT_ONCE), list[int]()

    @group.handler("a")
    async def a(job: Job, n: int) -> None:
        order.append(n)
        if n == 0 and job.attempt == 1:
            raise ValueError

    await app.produce_many([NewJob("a", {"n": n}, key="k") for n in range(3)])
    await drain(app)
    assert sorted(order) == [0, 0, 1, 2]
    assert order[1] == 1


async def test_skip_lets_the_key_go_on_without_a_job_that_is_retried(app: App) -> None:
    group, order = app.group("g", order=True, on_failure="skip", retries=1), list[int]()

    @group.handler("a", backoff=AT_ONCE)
    async def a(job: Job, n: int) -> None:
        order.append(n)
        if n == 0 and job.attempt == 1:
            raise ValueError

    await app.produce_many([NewJob("a", {"n": n}, key="k") for n in range(3)])
    await drain(app)
    assert order[:2] == [0, 1]
    assert sorted(order) == [0, 0, 1, 2]


@pytest.mark.parametrize("option", ["rate", "rate_per_key"])
async def test_jobs_start_no_faster_than_the_rate(
    app: App, client: redis.Redis, option: str
) -> None:
    group = app.group("g", **{option: "50/s"})  # type: ignore[arg-type]  # one of two options
    count = 0

    @group.handler("a")
    async def a() -> None:
        nonlocal count
        count += 1

    def ms() -> float:
        seconds, micros = client.time()
        return float(seconds) * 1000 + float(micros) / 1000

    await app.produce_many([NewJob("a", key="k") for _ in range(11)])
    start = ms()
    await drain(app)
    assert count == 11
    assert ms() - start >= 10 * 20  # by the server's clock, from which the rate is counted


async def test_a_burst_comes_at_once_and_the_rest_is_held(app: App, client: redis.Redis) -> None:
    group, ran = app.group("g", rate="1/h burst 3"), list[int]()

    @group.handler("a")
    async def a(n: int) -> None:
        ran.append(n)

    await app.produce_many([("a", {"n": n}) for n in range(5)])
    async with running(app, settings=QUIET):
        await eventually(lambda: len(ran) == 3)
    # What no rate allows for hours is better off in the stream than held.
    assert client.xlen("jobs") == 2
    assert client.xpending("jobs", "g")["pending"] == 0


async def test_a_key_that_has_used_up_its_rate_is_held_and_others_go_on(
    app: App, client: redis.Redis
) -> None:
    group, ran = app.group("g", rate_per_key="1/h"), list[str]()

    @group.handler("a")
    async def a(job: Job) -> None:
        ran.append(job.key or "")

    await app.produce_many([NewJob("a", key=key) for key in ["x", "x", "x", "y", "z"]])
    async with running(app, settings=QUIET):
        await eventually(lambda: len(ran) == 3)
    assert ran == ["x", "y", "z"]
    held = client.xpending_range("jobs", "g", "-", "+", 10)
    assert [(row["consumer"], row["times_delivered"]) for row in held] == [("~held", 0)] * 2
    first, second = (float(str(client.zscore(FLOW + "due", row["message_id"]))) for row in held)
    assert round(second - first) == 3_600_000


async def test_the_key_can_be_a_field_of_the_data(app: App, client: redis.Redis) -> None:
    group, gauge = app.group("g", order=True, key_from="customer.id"), Gauge()

    @group.handler("a")
    async def a(customer: dict[str, object]) -> None:
        await gauge.run(str(customer.get("id")))

    customers: list[dict[str, object]] = [{"id": 7}, {"id": "x"}, {}, {"id": None}]
    await app.produce_many([("a", {"customer": c}) for c in customers * 20])
    client.xadd("jobs", {"type": "a", "data": "not JSON"})
    watch = await drain(app)
    assert (gauge.most["7"], gauge.most["x"]) == (1, 1)
    assert gauge.most["None"] > 1
    assert len(watch.outcomes) == 81


async def test_no_more_are_held_than_may_be(app: App, client: redis.Redis) -> None:
    group, go_on, started = app.group("g", order=True, max_held=10), asyncio.Event(), list[int]()

    @group.handler("a")
    async def a(n: int) -> None:
        started.append(n)
        await go_on.wait()

    await app.produce_many([NewJob("a", {"n": n}, key="k") for n in range(1000)])
    async with running(app, settings=QUIET) as worker:
        await eventually(lambda: started and client.zcard(FLOW + "lines") >= 9)
        assert started == [0]
        assert client.xpending("jobs", "g")["pending"] <= 11
        worker.stop()
        go_on.set()
    await drain(app)
    assert started == list(range(1000))


async def test_rules_that_are_taken_away_leave_nothing_held(
    server: RedisServer, app: App, client: redis.Redis
) -> None:
    group, started = app.group("g", rate_per_key="1/h"), asyncio.Event()

    @group.handler("a")
    async def a() -> None:
        started.set()

    await app.produce_many([NewJob("a", key="k") for _ in range(20)])
    async with running(app, settings=QUIET):
        await eventually(lambda: client.zcard(FLOW + "due") == 19)
    async with App(server.unix_url) as later:
        later.group("g").handler("a")(a)
        await drain(later)
    assert ids_of(client) == []
    assert client.keys("*") == ["jobs"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"rate": "0/s"}, "rate='0/s': nothing would ever run; to stop a group, pause it"),
        ({"rate": "fast"}, "rate='fast': give a rate such as '100/s'"),
        ({"rate_per_key": "5/0s"}, "rate_per_key='5/0s': nothing would ever run"),
        ({"rate": "9000000/s"}, "give 1,000,000/s at most"),
        ({"rate": 5}, "give a rate such as"),
        ({"order": "yes"}, "order='yes': give True or False"),
        ({"limit_per_key": 0}, "limit_per_key=0: give one or more"),
        ({"max_in_flight": -1}, "max_in_flight=-1: give one or more"),
        ({"max_held": 0}, "max_held=0: give one or more"),
        ({"order": True, "limit_per_key": 2}, "limit_per_key=2 contradicts it"),
        ({"order": True, "on_failure": "stop"}, "give 'block' or 'skip'"),
        ({"order": True, "key_from": "a..b"}, "give a field of the data"),
    ],
)
def test_what_cannot_be_is_refused_at_the_call(rules: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        App("unix:///nowhere").group("g", **rules)  # type: ignore[arg-type]  # on purpose
    assert "the group g: " in str(refused.value)
    assert said in str(refused.value)


def test_a_group_with_two_sets_of_rules_is_refused() -> None:
    app = App("unix:///nowhere")
    app.group("g", order=True).handler("a")(lambda: None)
    app.group("g", max_in_flight=3).handler("b")(lambda: None)
    with pytest.raises(ConfigError, match="order=True and order=False; give them in one place"):
        app.subscriptions()
