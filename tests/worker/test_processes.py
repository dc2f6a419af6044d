"""CPU-bound handlers run in processes of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest
import redis

from streamq import App, Settings
from streamq.wire.keys import PARKED
from tests.lua.support import raw_entries
from tests.servers import RedisServer
from tests.worker import work
from tests.worker.support import AT_ONCE, Outcome, drain

pytestmark = pytest.mark.anyio

ONE = Settings(processes=1, result_ttl=60)


async def test_they_run_elsewhere_and_return_results(app: App, client: redis.Redis) -> None:
    app.handler("t", process=True)(work.square)
    ids = [job.id for job in await app.produce_many(("t", {"n": n}) for n in range(6))]
    watch = await drain(app, settings=ONE)
    assert watch.outcomes == [Outcome.SUCCEEDED] * 6
    results = [str(client.hget(f"{{jobs}}:group:default:job:{id}", "result")) for id in ids]
    assert [result.startswith(f'{{"square":{n * n},') for n, result in enumerate(results)]
    assert not any(f'"pid":{os.getpid()}}}' in result for result in results)


async def test_emitting_from_a_process(app: App, client: redis.Redis) -> None:
    app.handler("t", process=True)(work.emits)
    app.handler("many", process=True, batch=3)(work.emits_for_each)
    app.handler("fails", process=True, retries=0)(work.emits_and_fails)
    got: list[int] = []

    @app.handler("next")
    async def after(n: int) -> None:
        got.append(n)

    await app.produce("t", {"n": 1})
    await app.produce("fails")
    for n in (10, 11):
        await app.produce("many", {"n": n})
    await drain(app, settings=ONE)
    assert sorted(got) == [1, 2, 10, 11]
    assert len(raw_entries(client, "{jobs}:group:default:dlq")) == 1


@pytest.mark.parametrize(
    ("how", "outcome", "error"),
    [
        ("dead", Outcome.DEAD, "never"),
        ("odd dead", Outcome.DEAD, "one and two"),
        ("retry", Outcome.RETRY, "later"),
        ("value", Outcome.RETRY, "ValueError: bad value"),
        ("odd", Outcome.RETRY, "Odd: one and two"),
        ("unpicklable", Outcome.RETRY, "Unpicklable: unpicklable"),
        ("streamq", Outcome.RETRY, "StreamqError: some"),
        ("stop", Outcome.RETRY, "StopIteration: 7"),
    ],
)
async def test_what_they_raise_comes_back(app: App, how: str, outcome: Outcome, error: str) -> None:
    app.handler("t", process=True, retries=1, backoff=AT_ONCE)(work.fails)
    await app.produce("t", {"how": how})
    watch = await drain(app, settings=ONE)
    assert (watch.outcomes[0], watch.verdicts[0].error) == (outcome, error)


async def test_one_that_exits_or_dies_fails_alone(app: App) -> None:
    """The process that it took with it is no loss for the next job."""
    app.handler("exits", process=True, retries=0)(work.exits)
    app.handler("dies", process=True, retries=0)(work.dies)
    app.handler("t", process=True, retries=0)(work.square)
    await app.produce("exits", {"code": 7})
    await app.produce("t", {"n": 1})
    await app.produce("dies")
    await app.produce("t", {"n": 2})
    watch = await drain(app, settings=ONE)
    by_type: dict[str, list[Outcome]] = {}
    for verdict in watch.verdicts:
        by_type.setdefault(verdict.job.type, []).append(verdict.outcome)
    assert by_type == {
        "exits": [Outcome.DEAD], "dies": [Outcome.DEAD],
        "t": [Outcome.SUCCEEDED, Outcome.SUCCEEDED],
    }  # fmt: skip
    errors = {verdict.job.type: verdict.error for verdict in watch.verdicts}
    assert errors["exits"] == "the handler called sys.exit(7)"
    assert "process" in errors["dies"].lower()


async def test_a_result_that_cannot_come_back_is_a_failure(app: App) -> None:
    app.handler("t", process=True, retries=0)(work.returns_unpicklable)
    app.handler("good", process=True, retries=0)(work.square)
    await app.produce("t")
    await app.produce("good", {"n": 1})
    watch = await drain(app, settings=ONE)
    assert sorted(o.value for o in watch.outcomes) == ["dead", "succeeded"]


async def test_a_function_that_cannot_go_there_is_a_failure(app: App) -> None:
    @app.handler("t", process=True, retries=0)
    def local() -> None: ...

    await app.produce("t")
    watch = await drain(app, settings=ONE)
    assert watch.outcomes == [Outcome.DEAD]
    assert "local" in watch.verdicts[0].error


SCRIPT = """
import asyncio
from streamq import App

app = App({url!r})

@app.handler("t", process=True)
def work(n: int) -> int:
    return n

asyncio.run(app.produce("t", {{"n": 1}}))
app.run()
"""


async def test_a_script_without_a_main_guard_ends_with_the_lines_to_write(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    """Each process of the pool would run it again: write jobs, start a worker with a pool."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(url=server.unix_url))
    done = await anyio.run_process([sys.executable, str(script)], check=False)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert 'if __name__ == "__main__":\n        app.run()' in said
    assert said.count("NoMainGuard") == 1
    [(id, _)] = raw_entries(client, "jobs")
    [row] = client.xpending_range("jobs", "default", "-", "+", 9)
    assert (row["message_id"], row["times_delivered"], row["consumer"]) == (id, 0, PARKED)
