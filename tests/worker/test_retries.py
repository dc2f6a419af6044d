"""Failures: tried again, counted, and given up in the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import redis

from streamq import App, Backoff, Dead, Job, Retry, Settings
from streamq.observe.log_lines import LogObserver
from streamq.wire.keys import PARKED
from tests.lua.support import raw_entries
from tests.waiting import for_ever
from tests.worker.support import AT_ONCE, QUIET, Outcome, Watch, drain, running

pytestmark = pytest.mark.anyio

DLQ = "{jobs}:group:default:dlq"


def letters(client: redis.Redis) -> list[dict[str, str]]:
    return [dict(fields) for _, fields in raw_entries(client, DLQ)]


async def test_three_retries_are_four_deliveries(
    app: App, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[tuple[int, int]] = []

    @app.handler("t", retries=3, backoff=AT_ONCE)
    async def handle(job: Job) -> None:
        attempts.append((job.attempt, job.retries))
        raise ValueError(f"failure {job.attempt}")

    id = (await app.produce("t")).id
    caplog.set_level(logging.INFO, "streamq")
    await drain(app, observers=[LogObserver()])
    assert attempts == [(1, 3), (2, 3), (3, 3), (4, 3)]
    retrying = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Retrying")]
    assert [line.split(": ")[0][-11:] for line in retrying] == [
        "(attempt 1)", "(attempt 2)", "(attempt 3)",
    ]  # fmt: skip
    assert f"Job {id} moved to DLQ: retries exhausted: ValueError: failure 4" in caplog.text
    [letter] = letters(client)
    assert letter["attempts"] == "4"
    assert letter["reason"] == "retries exhausted"
    assert letter["error"] == "ValueError: failure 4"
    assert sorted(client.keys("*")) == ["jobs", DLQ]


@pytest.mark.parametrize("fails", [1, 2, 3])
async def test_success_after_some_failures(app: App, client: redis.Redis, fails: int) -> None:
    @app.handler("t", retries=3, backoff=AT_ONCE)
    async def handle(job: Job) -> int:
        if job.attempt <= fails:
            raise ValueError("not yet")
        return job.attempt

    id = (await app.produce("t")).id
    await drain(app, settings=Settings(result_ttl=60))
    record = client.hgetall(f"{{jobs}}:group:default:job:{id}")
    assert record["state"] == "succeeded"
    assert record["attempts"] == record["result"] == str(fails + 1)
    assert "error" not in record


async def test_no_retries(app: App, client: redis.Redis) -> None:
    @app.handler("t", retries=0)
    async def handle() -> None:
        raise ValueError("no")

    await app.produce("t")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.DEAD]
    assert letters(client)[0]["attempts"] == "1"


async def test_a_handler_can_give_up(app: App, client: redis.Redis) -> None:
    @app.handler("t", retries=9)
    async def handle() -> None:
        raise Dead("hopeless")

    await app.produce("t")
    assert (await drain(app)).outcomes == [Outcome.DEAD]
    [letter] = letters(client)
    assert (letter["reason"], letter["error"]) == ("gave up", "hopeless")


async def test_a_handler_can_ask_for_a_time(app: App, client: redis.Redis) -> None:
    @app.handler("t", backoff=AT_ONCE)
    async def handle() -> None:
        raise Retry("later", delay=60)

    id = (await app.produce("t")).id
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await watch.until(lambda: watch.verdicts)
    [verdict] = watch.verdicts
    assert (verdict.outcome, verdict.delay, verdict.error) == (Outcome.RETRY, 60, "later")
    due = float(client.zscore("{jobs}:group:default:retry", id) or 0) / 1000
    seconds, _ = client.time()
    assert 50 < due - seconds < 61
    [row] = client.xpending_range("jobs", "default", "-", "+", 9)
    assert (row["consumer"], row["times_delivered"]) == (PARKED, 1)
    assert client.hget(f"{{jobs}}:group:default:job:{id}", "error") == "later"


async def test_asking_for_a_retry_counts_as_a_delivery(app: App) -> None:
    @app.handler("t", retries=2)
    async def handle() -> None:
        raise Retry(delay=0)

    await app.produce("t")
    assert (await drain(app)).outcomes == [Outcome.RETRY, Outcome.RETRY, Outcome.DEAD]


async def test_without_a_time_the_backoff_says_when(app: App) -> None:
    @app.handler("t", retries=2, backoff=Backoff(base=0.01, factor=2, jitter=False))
    async def handle(job: Job) -> None:
        raise Retry() if job.attempt == 1 else ValueError()

    await app.produce("t")
    watch = await drain(app)
    assert [verdict.delay for verdict in watch.verdicts] == [0.01, 0.02, 0.0]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (KeyError("k"), "KeyError: 'k'"),
        (SystemExit(3), "the handler called sys.exit(3)"),
        (SystemExit(), "the handler called sys.exit(None)"),
        (ExceptionGroup("some", [ValueError("a")]), "ExceptionGroup: some (1 sub-exception)"),
        (BaseExceptionGroup("some", [SystemExit()]), "BaseExceptionGroup: some (1 sub-exception)"),
        (asyncio.CancelledError("by itself"), "CancelledError: by itself"),
        (TimeoutError(), "TimeoutError"),
        (GeneratorExit(), "GeneratorExit"),
        (StopIteration(), "RuntimeError: coroutine raised StopIteration"),
        (StopAsyncIteration(), "StopAsyncIteration"),
        (AssertionError("x" * 5000), "AssertionError: xxx"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_whatever_a_handler_raises_is_its_own_failure(
    app: App, client: redis.Redis, error: BaseException, text: str, waits: bool
) -> None:
    @app.handler("t", retries=0)
    async def handle() -> None:
        if waits:
            await asyncio.sleep(0)
        raise error

    @app.handler("good")
    async def good() -> None: ...

    await app.produce("t")
    await app.produce("good")
    watch = await drain(app)
    assert sorted(outcome.value for outcome in watch.outcomes) == ["dead", "succeeded"]
    [letter] = letters(client)
    assert letter["error"].startswith(text)
    assert len(letter["error"]) < 2100


async def test_a_job_cancelled_from_outside_is_tried_again(app: App) -> None:
    """Such as by awaiting a task that somebody else has cancelled."""

    @app.handler("t", retries=1, backoff=AT_ONCE)
    async def handle(job: Job) -> None:
        if job.attempt == 1:
            task = asyncio.create_task(for_ever())
            asyncio.get_running_loop().call_soon(task.cancel)
            await task

    await app.produce("t")
    assert (await drain(app)).outcomes == [Outcome.RETRY, Outcome.SUCCEEDED]


class BrokenBackoff(Backoff):
    """Somebody's own, with a defect."""

    answer: Any = None

    def delay(self, attempt: int, rand: Any = None) -> float:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]  # what is tested


@pytest.mark.parametrize("batch", [0, 3])
@pytest.mark.parametrize(
    "answer", [RuntimeError("no"), None, "soon", -1.0, float("nan"), float("inf")]
)
async def test_a_backoff_that_breaks_neither_keeps_nor_loses_a_job(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, answer: Any, batch: int
) -> None:
    monkeypatch.setattr(BrokenBackoff, "answer", answer)

    @app.handler("t", retries=1, backoff=BrokenBackoff(), batch=batch)
    async def handle(job: Job) -> None:
        raise ValueError("no")

    ids = [job.id for job in await app.produce_many(("t", {}) for _ in range(3))]
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await watch.until(lambda: len(watch.verdicts) >= 3)
    assert watch.outcomes[:3] == [Outcome.RETRY] * 3
    assert all(0 <= verdict.delay <= 1 for verdict in watch.verdicts[:3])
    assert {verdict.error for verdict in watch.verdicts[:3]} == {"ValueError: no"}
    assert {row["message_id"] for row in client.xpending_range("jobs", "default", "-", "+", 9)} <= {
        *ids
    }


@pytest.mark.parametrize("concurrency", [1, 2, 3])
async def test_retries_do_not_starve_new_jobs_nor_these_them(app: App, concurrency: int) -> None:
    order: list[int] = []

    @app.handler("t", retries=100, backoff=AT_ONCE)
    async def handle(job: Job, n: int) -> None:
        order.append(n)
        if n < 4 and job.attempt < 25:
            raise ValueError("again")

    await app.produce_many(("t", {"n": n}) for n in range(100))
    await drain(app, settings=Settings(concurrency=concurrency, prefetch=0, result_ttl=0))
    retries = [place for place, n in enumerate(order) if n < 4][4:]
    new = [place for place, n in enumerate(order) if n >= 4]
    assert len(retries) == len(new) == 96
    assert new[40] < retries[-1]
    assert retries[40] < new[-1]


async def test_a_retry_keeps_the_data_and_the_meta_fields(app: App) -> None:
    seen: list[Any] = []

    @app.handler("t", backoff=AT_ONCE)
    async def handle(job: Job, n: int) -> None:
        seen.append((n, job.key, job.attempt))
        if job.attempt == 1:
            raise ValueError("again")

    await app.produce("t", {"n": 1}, key="k")
    await drain(app)
    assert seen == [(1, "k", 1), (1, "k", 2)]


async def test_retries_of_many_jobs_at_once(app: App, client: redis.Redis) -> None:
    @app.handler("t", retries=2, backoff=AT_ONCE)
    async def handle(job: Job, n: int) -> None:
        if job.attempt <= n % 3:
            raise ValueError("again")

    await app.produce_many(("t", {"n": n}) for n in range(600))
    watch = await drain(app)
    assert watch.outcomes.count(Outcome.SUCCEEDED) == 600
    assert watch.outcomes.count(Outcome.RETRY) == 600
    assert client.keys("*") == ["jobs"]
