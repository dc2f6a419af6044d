"""What a worker tells of itself: scripts, lateness, ticks, its event loop."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis

from streamq import App
from streamq.signals import (
    LoopAlive,
    Promoted,
    ScriptsRan,
    Settled,
    Started,
    Stopped,
    Stopping,
    Ticked,
)
from streamq.wire.keys import stream_keys
from tests.worker.support import QUIET, Watch, drain, running

pytestmark = pytest.mark.anyio

KEYS = stream_keys("jobs")
HOUR = 3_600_000


async def test_a_worker_tells_that_it_starts_lives_and_stops(app: App) -> None:
    app.handler("t")(lambda: None)
    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await watch.until(lambda: watch.of(LoopAlive))
    told = [event for event in watch.events if isinstance(event, Started | Stopping | Stopped)]
    assert [type(event) for event in told] == [Started, Stopping, Stopped]
    assert watch.events.index(told[0]) < watch.events.index(watch.of(LoopAlive)[0])


async def test_a_worker_that_cannot_start_has_stopped(app: App, client: redis.Redis) -> None:
    client.set("jobs", "no stream")
    app.handler("t")(lambda: None)
    watch = Watch()
    with pytest.raises(Exception, match="another type"):
        await app.worker(observers=[watch]).run()
    assert not watch.of(Started)
    assert isinstance(watch.events[-1], Stopped)


async def test_each_script_is_timed(app: App) -> None:
    app.handler("t")(lambda: None)
    await app.produce_many([("t", {})] * 3)
    watch = await drain(app)
    runs = [run for event in watch.of(ScriptsRan) for run in event.runs]
    assert {"settle", "claim_due", "reclaim", "due", "retire"} <= {script for script, _ in runs}
    assert all(seconds > 0 for _, seconds in runs)
    assert sum(script == "settle" for script, _ in runs) == len(watch.of(Settled))


async def test_nobody_is_told_where_nobody_listens(app: App) -> None:
    app.handler("t")(lambda: None)
    worker = app.worker(burst=True)
    assert all(link.timings is None for one in worker.consumers for link in one._links)


async def test_how_late_jobs_for_later_are_written(app: App) -> None:
    app.handler("t")(lambda: None)
    await app.produce_many([("t", {})] * 3, delay=0)
    watch = await drain(app)
    late = [seconds for event in watch.of(Promoted) for seconds in event.late]
    assert len(late) == 3
    assert all(0 <= seconds < 60 for seconds in late)
    assert {event.stream for event in watch.of(Promoted)} == {"jobs"}


@pytest.mark.parametrize(
    ("missed", "written", "left_out"), [("latest", 1, 2), ("all", 3, 0), ("skip", 0, 3)]
)
async def test_ticks_that_were_missed(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch,
    missed: str, written: int, left_out: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("streamq.worker.sources.ticks.LATE", -1)  # however late in the hour it is
    app.every(timedelta(hours=1), type="hourly", missed=missed)(lambda: None)  # type: ignore[arg-type]
    await drain(app)
    now = int(client.time()[0]) * 1000
    start = now - now % HOUR - 3 * HOUR
    client.hset(KEYS.cron, "from:hourly", start)
    watch = await drain(app)
    [ticked] = watch.of(Ticked)
    assert (ticked.stream, ticked.schedule, ticked.missed) == ("jobs", "hourly", left_out)
    assert [round(one - ticked.late[-1]) for one in ticked.late] == [
        3600 * n for n in reversed(range(written))
    ]


async def test_ticks_while_the_last_job_is_not_settled(app: App, client: redis.Redis) -> None:
    app.every(timedelta(hours=1), type="hourly", overlap="skip")(lambda: None)
    await drain(app)
    client.xgroup_create("jobs", "slow", "0")
    now = int(client.time()[0]) * 1000
    for back, expected in ((1, (1, 0, 0)), (1, (0, 0, 1))):
        client.hset(KEYS.cron, "from:hourly", now - now % HOUR - back * HOUR)
        [ticked] = (await drain(app)).of(Ticked)
        assert (len(ticked.late), ticked.missed, ticked.overlapped) == expected
