"""What workers did, counted."""

from __future__ import annotations

from bisect import bisect_left

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from streamq import App, Dead, Job, Retry, signals
from streamq.errors import ServerUnavailable
from streamq.observe.prometheus import BUCKETS, Histogram, Metrics
from streamq.verdict import Outcome, Verdict
from streamq.wire.entry import decode
from tests.lua.support import HUGE, add_at
from tests.prometheus.support import AT_ONCE, IMAGES, scrape, serving, settings

pytestmark = pytest.mark.anyio


async def test_deliveries_are_counted_by_their_outcome(app: App) -> None:
    @app.group("images").handler("good")
    async def good() -> None: ...

    @app.group("images").handler("flaky", retries=2, backoff=AT_ONCE)
    async def flaky(job: Job) -> None:
        if job.attempt < 3:
            raise Retry

    @app.group("images").handler("bad")
    async def bad() -> None:
        raise Dead("no use")

    app.group("images", ignore=["noise"])
    for type, count in (("good", 3), ("flaky", 1), ("bad", 2), ("noise", 1), ("unknown", 1)):
        await app.produce_many([(type, {})] * count)
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)

    counts = {
        type: {
            name: found(f"job_{name}_total", **IMAGES, type=type)
            for name in ("success", "failure", "retry", "dead", "skipped", "expired", "released")
        }
        for type in ("good", "flaky", "bad", "*")
    }
    nothing = dict.fromkeys(counts["good"], 0)
    assert counts == {
        "good": {**nothing, "success": 3},
        "flaky": {**nothing, "success": 1, "failure": 2, "retry": 2},
        "bad": {**nothing, "failure": 2, "dead": 2},
        "*": {**nothing, "failure": 1, "dead": 1, "skipped": 1},
    }
    # Every call of a handler has a duration, every job that was called waited once.
    for type, calls, jobs in (("good", 3, 3), ("flaky", 3, 1), ("bad", 2, 2), ("*", 0, 0)):
        assert found("job_duration_seconds_count", **IMAGES, type=type) == calls
        assert found("job_wait_seconds_count", **IMAGES, type=type) == jobs
    assert found("job_dead_letters", **IMAGES) == 3
    assert found("streamq_server_up") == 1


async def test_a_job_whose_id_lies_in_the_future_has_not_waited(
    app: App, client: redis.Redis
) -> None:
    @app.handler("t")
    async def work() -> None: ...

    add_at(client, HUGE)
    place = {**IMAGES, "group": "default"}
    with serving(app) as metrics:
        assert scrape(metrics)("job_oldest_seconds", **place) == 0
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)
    assert found("job_wait_seconds_count", **place, type="t") == len(HUGE)
    assert found("job_wait_seconds_sum", **place, type="t") == 0


async def test_every_series_is_there_before_the_first_job(app: App) -> None:
    @app.group("images").handler("resize")
    async def resize() -> None: ...

    with serving(app) as metrics:
        before = scrape(metrics)
        await app.produce("resize")
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        after = scrape(metrics)

    assert before("job_success_total", **IMAGES, type="resize") == 0
    assert after("job_success_total", **IMAGES, type="resize") == 1
    assert before("job_queue_length", **IMAGES) == 0
    assert before.samples.keys() == after.samples.keys()


async def test_foreign_types_make_no_series(app: App, client: redis.Redis) -> None:
    @app.group("images").handler("resize")
    async def resize() -> None: ...

    for i in range(1000):
        client.xadd("jobs", {"type": f"foreign-{i}", "data": "{}"})
    with serving(app) as metrics:
        before = scrape(metrics)
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        after = scrape(metrics)

    assert after.samples.keys() == before.samples.keys()
    assert after("job_dead_total", **IMAGES, type="*") == 1000


async def test_a_handler_for_everything_has_one_series(app: App) -> None:
    @app.group("images").handler("*")
    async def anything() -> None: ...

    await app.produce_many([(f"type-{i}", {}) for i in range(10)])
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)

    assert found("job_success_total", **IMAGES, type="*") == 10
    assert found("job_success_total", **IMAGES, type="type-0") is None


async def test_groups_are_counted_apart(app: App) -> None:
    @app.group("images").handler("resize")
    async def resize() -> None: ...

    @app.group("audit").handler("resize")
    async def audit() -> None:
        raise Dead("no")

    await app.produce_many([("resize", {})] * 5)
    with serving(app) as metrics:
        await app.worker(observers=[metrics], settings=settings(), burst=True).run()
        found = scrape(metrics)

    audit_group = {**IMAGES, "group": "audit"}
    assert found("job_success_total", **IMAGES, type="resize") == 5
    assert found("job_success_total", **audit_group, type="resize") == 0
    assert found("job_dead_total", **IMAGES, type="resize") == 0
    assert found("job_dead_total", **audit_group, type="resize") == 5


async def test_what_dead_workers_left_behind(app: App, client: redis.Redis) -> None:
    @app.group("images").handler("resize", retries=3)
    async def resize() -> None: ...

    ids = [job.id for job in await app.produce_many([("resize", {})] * 3)]
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "dead-worker", {"jobs": ">"})
    client.xclaim("jobs", "images", "dead-worker", 0, [ids[0]], retrycount=4, justid=True)
    with serving(app) as metrics:
        worker = app.worker(observers=[metrics], settings=settings(lease=0.05), burst=True)
        await worker.run()
        found = scrape(metrics)

    assert found("streamq_reclaimed_total", **IMAGES) == 2
    assert found("job_success_total", **IMAGES, type="resize") == 2
    assert found("job_dead_total", **IMAGES, type="resize") == 1
    assert found("job_failure_total", **IMAGES, type="resize") == 1
    # Neither was at its first delivery: what they waited for was not their turn.
    assert found("job_wait_seconds_count", **IMAGES, type="resize") == 0


def job(id: str = "1000-0", attempt: int = 1) -> Job:
    return Job(id, "jobs", "images", "c", attempt, decode([b"type", b"resize", b"data", b"{}"]))


def test_incidents_are_counted() -> None:
    app = App("redis://127.0.0.1:1")
    app.group("images").handler("resize")(lambda: None)
    registry = CollectorRegistry()
    metrics = Metrics(app.server, app.subscriptions(), registry=registry)
    for event in (
        signals.Refused(Verdict(job(), Outcome.SUCCEEDED), "another"),
        signals.LeaseLost("jobs", "images", ["1-0", "2-0"]),
        signals.Reclaimed("jobs", "images", ["3-0", "4-0", "5-0"]),
        signals.Vanished("jobs", "images", ["6-0"]),
        signals.HandlerAbandoned(job()),
        signals.ServerLost(ServerUnavailable("gone")),
        signals.ServerBack(1.0),
        signals.GroupCreated("jobs", "images", again=True),
        signals.Stopping(0, 30.0),
    ):
        metrics(event)

    value = registry.get_sample_value
    assert value("streamq_refused_total", IMAGES) == 1
    assert value("streamq_lease_lost_total", IMAGES) == 2
    assert value("streamq_reclaimed_total", IMAGES) == 3
    assert value("streamq_vanished_total", IMAGES) == 1
    assert value("streamq_handler_stuck_total", IMAGES) == 1
    assert value("streamq_server_lost_total") == 1
    assert value("job_success_total", {**IMAGES, "type": "resize"}) == 0


def test_duration_and_wait_are_in_seconds() -> None:
    app = App("redis://127.0.0.1:1")
    app.group("images").handler("resize")(lambda: None)
    registry = CollectorRegistry()
    metrics = Metrics(app.server, app.subscriptions(), registry=registry)
    done = Verdict(job("1716998413000-7"), Outcome.SUCCEEDED, 1716998415.0, 1716998415.25)
    again = Verdict(job("1716998413000-8", 2), Outcome.RETRY, 1716998453.0, 1716998453.5)
    released = Verdict(job("1716998413000-9"), Outcome.RELEASED, 1716998415.0, 1716998445.0)
    metrics(signals.Settled([done, again, released]))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {**IMAGES, "type": "resize", **labels})

    assert value("job_duration_seconds_sum") == pytest.approx(0.75)
    assert value("job_duration_seconds_bucket", le="0.25") == 1
    assert value("job_duration_seconds_bucket", le="0.5") == 2
    assert value("job_duration_seconds_count") == 2
    assert value("job_wait_seconds_sum") == pytest.approx(2.0, abs=0.001)
    assert value("job_wait_seconds_count") == 1
    assert value("job_released_total") == 1


@given(st.lists(st.lists(st.floats(-1, 5000) | st.sampled_from(BUCKETS[:-1]), max_size=20)))
def test_a_histogram_counts_like_one_that_looks_at_each_value(
    batches: list[list[float]],
) -> None:
    histogram = Histogram()
    for batch in batches:
        histogram.observe(batch)

    values = [max(value, 0.0) for batch in batches for value in batch]
    counts, total = histogram.state
    expected = [0] * len(BUCKETS)
    for value in values:
        for i in range(bisect_left(BUCKETS, value), len(BUCKETS)):
            expected[i] += 1
    assert list(counts) == expected
    assert total == pytest.approx(sum(values))
