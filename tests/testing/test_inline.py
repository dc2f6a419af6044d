"""Handlers and apps run without a server."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from streamq import App, Backoff, Dead, Event, Group, Job, Retry, testing
from streamq.errors import ConfigError
from streamq.middleware import CallNext
from streamq.testing import Outcome

pytestmark = pytest.mark.anyio


class Paid(Event):
    amount: int


def make_app() -> App:
    app = App("redis://localhost:1")  # where nobody listens
    shop = app.group("shop", retries=2, backoff=Backoff(base=8, jitter=False))

    @shop.handler()
    async def order(job: Job, n: int, fail: int = 0) -> dict[str, int]:
        if job.attempt <= fail:
            raise ValueError("not yet")
        job.emit(Paid(amount=n), key="user-7")
        job.emit("elsewhere", stream="other")
        return {"n": n}

    @shop.handler()
    def paid(event: Paid) -> int:
        return event.amount

    @shop.handler()
    async def slow() -> None:
        await anyio.sleep_forever()

    @shop.handler(timeout=0.01)
    async def bounded() -> None:
        await anyio.sleep_forever()

    @shop.handler()
    def later() -> None:
        raise Retry("busy", delay=60)

    @shop.handler()
    def never() -> None:
        raise Dead("no")

    return app


async def test_a_job_that_succeeds() -> None:
    done = await testing.handle(make_app(), "order", {"n": "5"})
    assert (done.outcome, done.result, done.group, done.attempt) == (
        Outcome.SUCCEEDED, {"n": 5}, "shop", 1,
    )  # fmt: skip
    first, second = done.emitted
    assert (first.type, first.stream, first.data) == ("paid", "jobs", {"amount": 5})
    assert first.options == {"key": "user-7"}
    assert (second.type, second.stream) == ("elsewhere", "other")


@pytest.mark.parametrize(
    ("type", "data", "attempt", "outcome", "reason", "error", "delay"),
    [
        ("order", {"n": 1, "fail": 9}, 1, Outcome.RETRY, "", "ValueError: not yet", 8),
        ("order", {"n": 1, "fail": 9}, 2, Outcome.RETRY, "", "ValueError: not yet", 16),
        ("order", {"n": 1, "fail": 9}, 3, Outcome.DEAD, "retries exhausted", "not yet", 0),
        ("order", {}, 1, Outcome.DEAD, "invalid arguments", "n is missing", 0),
        ("unknown", {}, 1, Outcome.DEAD, "no handler", "'unknown'", 0),
        ("bounded", {}, 1, Outcome.RETRY, "", "longer than its timeout", 8),
        ("later", {}, 1, Outcome.RETRY, "", "busy", 60),
        ("never", {}, 1, Outcome.DEAD, "gave up", "no", 0),
    ],
)  # fmt: skip
async def test_a_job_that_does_not(
    type: str, data: dict[str, Any], attempt: int, outcome: Outcome, reason: str, error: str,
    delay: float,
) -> None:  # fmt: skip
    done = await testing.handle(make_app(), type, data, attempt=attempt)
    assert (done.outcome, done.reason, done.delay) == (outcome, reason, delay)
    assert error in done.error
    assert done.emitted == []


async def test_an_event_and_middleware() -> None:
    async def doubled(job: Job, call_next: CallNext) -> Any:
        return 2 * await call_next(job)

    group = Group("g", middleware=[doubled])

    @group.handler()
    def handle(event: Paid) -> int:
        return event.amount

    app = App()
    app.include(group)
    assert (await testing.handle(app, Paid(amount=4))).result == 8


async def test_which_group_is_meant() -> None:
    app = make_app()
    app.group("audit").handler("*")(lambda: None)
    with pytest.raises(LookupError, match="shop, audit"):
        await testing.handle(app, "order", {"n": 1})
    done = await testing.handle(app, "order", {"n": 1}, group="shop")
    assert done.outcome is Outcome.SUCCEEDED
    with pytest.raises(ConfigError, match="no handler for the stream 'nowhere'"):
        await testing.handle(app, "order", {"n": 1}, stream="nowhere")


async def test_a_whole_app() -> None:
    app = make_app()
    seen: list[str] = []

    @app.group("audit").handler("*")
    def note(job: Job) -> None:
        seen.append(job.type)

    inline = testing.Inline(app)
    done = await inline.produce("order", {"n": 3, "fail": 1})
    assert [(one.group, one.type, one.attempt, one.outcome.value) for one in done] == [
        ("shop", "order", 1, "retry"),
        ("shop", "order", 2, "succeeded"),
        ("audit", "order", 1, "succeeded"),
        ("shop", "paid", 1, "succeeded"),
        ("audit", "paid", 1, "succeeded"),
    ]
    assert seen == ["order", "paid"]
    assert inline.handled == done
    with pytest.raises(ConfigError):
        await inline.produce("order", stream="nowhere")


async def test_a_batch_of_one_waits_for_no_more() -> None:
    app = App("redis://localhost:1")

    @app.handler("row", batch=500, batch_wait=3600.0, batch_by_key=True)
    async def insert(jobs: list[Job]) -> int:
        return len(jobs)

    done = await testing.handle(app, "row", {"n": 1}, key="k")
    assert (done.outcome, done.result) == (Outcome.SUCCEEDED, 1)
