"""Large events: written with the ack, or not at all."""

from __future__ import annotations

import pytest
import redis

from streamq import App, Job
from tests.lua.support import raw_entries
from tests.offload.support import BIG, data_keys
from tests.worker.support import AT_ONCE, Outcome, drain

pytestmark = pytest.mark.anyio


async def test_a_large_event_is_written_with_the_ack_or_not_at_all(
    anywhere: App, client: redis.Redis
) -> None:
    seen: list[int] = []

    @anywhere.handler("a", retries=1, backoff=AT_ONCE)
    async def handle(job: Job) -> None:
        job.emit("data", {"text": BIG})
        job.emit("b", {"text": "small"})
        job.emit("b", {"text": BIG}, stream="others", key="k")
        if job.attempt == 1:
            raise RuntimeError

    @anywhere.handler("data")
    @anywhere.handler("b")
    async def next(text: str) -> None:
        seen.append(len(text))

    await anywhere.produce("a")
    watch = await drain(anywhere)
    assert watch.outcomes.count(Outcome.SUCCEEDED) == 3
    assert sorted(seen) == [5, 5000]
    [key] = data_keys(client)
    assert key.startswith("{others}:data:")
    [(_, fields)] = raw_entries(client, "others")
    assert [name for name, _ in fields] == ["type", "data", "key", "ref"]


async def test_an_event_that_cannot_be_written_leaves_no_data(
    big: App, client: redis.Redis
) -> None:
    client.set("wrong", "no stream")

    @big.handler("a")
    async def handle(job: Job) -> None:
        job.emit("b", {"text": BIG}, stream="others")
        job.emit("b", {"text": BIG}, stream="wrong")

    await big.produce("a")
    [verdict, *_] = (await drain(big)).verdicts
    assert verdict.reason == "emit failed"
    assert data_keys(client) == []
    assert not client.exists("others")
