"""Large jobs and large events: what is read, held and sent at once is bounded in bytes."""

from __future__ import annotations

import pytest
import redis

from streamq import App, Job, Settings
from streamq.signals import Settled
from streamq.worker.settle_call import MOST_BYTES, weight
from tests.lua.support import ids_of, raw_entries
from tests.servers import RedisServer
from tests.worker.proxy import proxied
from tests.worker.support import AT_ONCE, Outcome, Watch, drain

pytestmark = pytest.mark.anyio

DLQ = "{jobs}:group:default:dlq"
MIB = 1024 * 1024
ALMOST_A_MIB = "x" * (MIB - 100)


async def test_jobs_with_large_events_are_settled_in_several_calls(
    app: App, client: redis.Redis
) -> None:
    @app.handler("a")
    async def a(job: Job) -> None:
        job.emit("b", {"text": ALMOST_A_MIB}, stream="out")

    weights: list[int] = []

    def weigh(event: object) -> None:
        if isinstance(event, Settled):
            weights.append(sum(map(weight, event.verdicts)))

    await app.produce_many([("a", {})] * 40)
    await drain(app, settings=Settings(result_ttl=0, concurrency=40), observers=[weigh])
    assert client.xlen("out") == 40
    assert max(weights) <= MOST_BYTES
    assert client.xlen("jobs") == 0


async def test_events_beyond_all_bounds_are_the_jobs_death(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.worker.settle_call.TOO_LARGE", 3 * MIB)

    @app.handler("a")
    async def a(job: Job, events: int) -> None:
        for _ in range(events):
            job.emit("b", {"text": ALMOST_A_MIB}, stream="out")

    await app.produce_many([("a", {"events": n}) for n in (1, 4, 2)])
    watch = await drain(app)
    assert sorted(o.value for o in watch.outcomes) == ["dead", "succeeded", "succeeded"]
    assert client.xlen("out") == 3
    [(_, letter)] = raw_entries(client, DLQ)
    assert dict(letter)["reason"] == "emit failed"
    assert "and those of one job may take 3,145,728" in dict(letter)["error"]


async def test_a_call_that_is_never_let_through_holds_nobody_up(
    server: RedisServer, client: redis.Redis
) -> None:
    async with proxied(server.socket) as proxy, App(proxy.url) as app:

        @app.handler("a")
        async def a(job: Job, events: int) -> None:
            for _ in range(events):
                job.emit("b", {"text": "x" * 300_000}, stream="out")

        await app.produce_many([("a", {"events": n}) for n in (1, 5, 2)])
        proxy.most_bytes = MIB
        watch = await drain(app)
    assert client.xlen("out") == 3
    assert ids_of(client) == []
    [(_, letter)] = raw_entries(client, DLQ)
    assert "connection lost" in dict(letter)["error"]
    assert [v.job.data["events"] for v in watch.verdicts if v.outcome is Outcome.DEAD] == [5]


async def test_what_is_in_flight_is_bounded_in_bytes(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamq.worker.fetch.HELD_BYTES", 2 * MIB)
    monkeypatch.setattr("streamq.worker.fetch.READ_BYTES", MIB)
    in_flight: list[int] = []

    @app.handler("a")
    async def a(text: str) -> None:
        in_flight.append(len(worker.consumers[0].in_flight))

    await app.produce_many([("a", {"text": "x" * 100_000})] * 300)
    worker = app.worker(settings=Settings(result_ttl=0, concurrency=4), burst=True)
    await worker.run()
    assert len(in_flight) == 300
    assert max(in_flight) <= 20 + 16  # two MiB of them, and what one read has more


@pytest.mark.parametrize("how", ["due", "stalled"])
async def test_large_entries_are_taken_over_in_several_calls(
    app: App, client: redis.Redis, how: str
) -> None:
    @app.handler("a", backoff=AT_ONCE)
    async def a(job: Job, text: str) -> None: ...

    ids = [job.id for job in await app.produce_many([("a", {"text": ALMOST_A_MIB})] * 20)]
    client.xgroup_create("jobs", "default", "0")
    client.xreadgroup("default", "gone", {"jobs": ">"})
    if how == "due":
        client.xclaim("jobs", "default", "~retry", 0, [*ids], justid=True)
        client.zadd("{jobs}:group:default:retry", dict.fromkeys(ids, 0))
    watch = Watch()
    await drain(app, settings=Settings(result_ttl=0, lease=0.2), observers=[watch])
    assert [o.value for o in watch.outcomes] == ["succeeded"] * 20
    assert ids_of(client) == []
