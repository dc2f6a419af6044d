"""``app.sync``: an app for programs without an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from streamq import App, NewJob
from streamq.errors import ConfigError, JobDead, JobNotFound, ResultTimeout, ServerUnavailable
from streamq.sync import SyncApp
from tests.results.support import PATIENCE, Settings, heard, images
from tests.servers import RedisServer
from tests.waiting import eventually


@pytest.fixture
def app(server: RedisServer) -> Iterator[App]:
    """An app that no event loop has used."""
    app = App(server.unix_url)
    images(app)
    yield app
    app.sync.close()


def work(app: App) -> None:
    """Run what is there, as a worker elsewhere would."""

    async def main() -> None:
        async with App(app.url) as other:
            images(other)
            await other.worker(burst=True, settings=Settings()).run()

    asyncio.run(main())


def background() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "streamq-sync"]


def test_a_job_and_its_result(app: App) -> None:
    job = app.sync.produce("ok", {"n": 1}, unique="a")
    assert (str(job), job.created, job.scheduled_for) == (job.id, True, None)
    assert not app.sync.produce("ok", {"n": 1}, unique="a").created
    with pytest.raises(ResultTimeout):
        job.result(timeout=0.01)
    work(app)
    assert job.result(timeout=PATIENCE) == {"n": 1}
    assert job.wait(timeout=PATIENCE) == "succeeded"
    for same in (job, job.id, str(job)):
        assert app.sync.result(same, timeout=PATIENCE) == {"n": 1}
        assert app.sync.wait(same, timeout=PATIENCE) == "succeeded"
    assert repr(job) == f"SyncEnqueued({job.id!r})"


def test_a_result_that_comes_later(app: App, client: redis.Redis) -> None:
    job = app.sync.produce("ok", {"n": 1})
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(job.result, timeout=60)
        asyncio.run(eventually(lambda: heard(client) == 1))
        work(app)
        assert result.result() == {"n": 1}


def test_errors_are_the_same(app: App) -> None:
    job = app.sync.produce("dead")
    work(app)
    with pytest.raises(JobDead, match="gave up: no good"):
        job.result(timeout=PATIENCE)
    with pytest.raises(ConfigError, match="is not a job ID"):
        app.sync.result("nonsense")
    with pytest.raises(TypeError, match="has no option 'n'"):
        app.sync.produce("ok", n=1)  # type: ignore[call-overload]  # as it is meant here


def test_many(app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamq.sync.CHUNK", 3)
    caller = threading.get_ident()

    def given() -> Iterator[Any]:
        for n in range(8):
            assert threading.get_ident() == caller
            yield ("ok", {"n": n}) if n else NewJob("ok", {"n": n}, key="k")

    jobs = app.sync.produce_many(given(), expires=3600)
    assert (len(jobs), client.xlen("jobs")) == (8, 8)
    work(app)
    assert [job.result(timeout=PATIENCE)["n"] for job in jobs] == list(range(8))
    assert jobs[-1].result(timeout=PATIENCE) == {"n": 7}
    assert [job.id for job in jobs[2:4]] == [jobs[2].id, jobs[3].id]
    assert repr(jobs) == "<8 jobs enqueued>"
    assert len(app.sync.produce_many([])) == 0


def test_a_job_for_later_is_cancelled(app: App) -> None:
    job = app.sync.produce("ok", delay=3600)
    assert job.scheduled_for is not None
    done = [bool(job.cancel()), bool(job.cancel()), bool(app.sync.cancel(job.id))]
    assert done == [True, False, False]
    with pytest.raises(JobNotFound):
        job.result(timeout=PATIENCE)
    other = app.sync.produce("ok", delay=3600, stream="other")
    assert not app.sync.cancel(other.id)
    assert app.sync.cancel(other.id, stream="other")


def test_from_many_threads_over_one(app: App) -> None:
    with ThreadPoolExecutor(16) as threads:
        jobs = list(threads.map(lambda n: app.sync.produce("ok", {"n": n}), range(200)))
        work(app)
        assert [one["n"] for one in threads.map(app.sync.result, jobs)] == list(range(200))
    assert len(background()) == 1


def test_where_an_event_loop_runs(app: App, server: RedisServer) -> None:
    async def main() -> Any:
        async with app:
            first = await app.produce("ok", {"n": 1})
            second = app.sync.produce("ok", {"n": 2})  # blocks this loop, as asked
            third = await asyncio.to_thread(app.sync.produce, "ok", {"n": 3})
            await asyncio.to_thread(work, app)
            return [
                await first.result(timeout=PATIENCE),
                second.result(timeout=PATIENCE),
                await asyncio.to_thread(third.result, timeout=PATIENCE),
                app.sync.result(first, timeout=PATIENCE),
            ]

    assert [one["n"] for one in asyncio.run(main())] == [1, 2, 3, 1]


def test_closed_and_used_again(app: App) -> None:
    with app.sync as sync:
        sync.produce("ok")
        assert len(background()) == 1
    assert background() == []
    sync.close()
    app.sync.produce("ok")
    assert len(background()) == 1


def test_a_server_that_is_not_there() -> None:
    with SyncApp(App("redis://127.0.0.1:1")) as sync, pytest.raises(ServerUnavailable):
        sync.produce("ok")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_thread_of_its_own(app: App, client: redis.Redis) -> None:
    app.sync.produce("ok", {"n": 1})
    child = os.fork()
    if not child:
        code = 1
        try:
            job = app.sync.produce("ok", {"n": 2})
            work(app)
            code = 0 if job.result(timeout=PATIENCE) == {"n": 2} else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert app.sync.produce("ok", {"n": 3}).created, "the parent's goes on"


SCRIPT = """
import sys
from streamq import App

app = App(sys.argv[1])
app.group("images").handler("ok")(lambda: None)
job = app.sync.produce("ok")
print(job, flush=True)
if len(sys.argv) > 2:
    job.result()
"""


def test_a_script_ends_by_itself(app: App, client: redis.Redis) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(app.url)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    entries: Any = client.xrange("jobs")
    [(id, _)] = entries
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{id}\n", "")


def test_ctrl_c_ends_the_wait(app: App, client: redis.Redis) -> None:
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(app.url), "wait"], stderr=subprocess.PIPE, text=True
    )
    try:
        asyncio.run(eventually(lambda: heard(client) == 1))
        script.send_signal(signal.SIGINT)
        _, err = script.communicate(timeout=30)
        assert err.rstrip().endswith("KeyboardInterrupt")
        asyncio.run(eventually(lambda: heard(client) == 0))
    finally:
        script.kill()
