"""A settling call hands out what may run next; its reply may be late."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import App, Job, NewJob
from streamq.worker.settle import Settler
from tests.worker.support import QUIET, drain, eventually

pytestmark = pytest.mark.anyio


async def test_what_was_released_before_its_reply_arrived_is_begun_once(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply was lost elsewhere, and what the consumer has not seen is released meanwhile."""
    group, begun = app.group("g", order=True), list[tuple[int, int]]()

    @group.handler("a")
    async def a(job: Job, n: int) -> None:
        begun.append((n, job.attempt))

    run: Any = Settler._run

    async def run_late(self: Settler, *call: Any) -> Any:
        reply = await run(self, *call)
        if reply[1]:
            fetcher = self._fetcher
            turn = fetcher.turn
            fetcher.suspect()
            await eventually(lambda: fetcher.turn >= turn + 2)
        return reply

    monkeypatch.setattr(Settler, "_run", run_late)
    await app.produce_many([NewJob("a", {"n": n}, key="k") for n in range(4)])
    await drain(app, settings=QUIET)
    assert begun == [(n, 1) for n in range(4)]
    assert client.keys("*") == ["jobs"]
