"""``streamq produce --wait``, and progress where it is shown."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from streamq import App, Dead, Job, Settings
from streamq.cli.exits import ExitCode
from tests.cli.support import Program, Result, at_terminal
from tests.servers import RedisServer
from tests.waiting import eventually

Run = Callable[..., Result]
Start = Callable[..., Program]


@pytest.fixture
def group(client: redis.Redis) -> None:
    """The group images, which has no worker yet."""
    client.xgroup_create("jobs", "images", "0", mkstream=True)


def work(server: RedisServer, ttl: float = 300) -> None:
    """Run what is there."""

    async def main() -> None:
        async with App(server.unix_url) as app:

            @app.group("images").handler("*")
            async def handle(job: Job) -> Any:
                if job.type == "dead":
                    raise Dead("no good")
                return "x" * 100_000 if job.type == "large" else job.data

            await app.worker(burst=True, settings=Settings(result_ttl=ttl)).run()

    asyncio.run(main())


@contextmanager
def waiting(start: Start, *args: str) -> Iterator[Program]:
    """A command that waits, once it has written its job."""
    program = start("produce", *args, "--wait")
    program.wait_for("Enqueued job: ")
    yield program


def test_the_result_is_what_is_printed(start: Start, server: RedisServer, group: None) -> None:
    with waiting(start, "file=a.png", "n:=12345678901234567890123") as program:
        work(server)
    code, out, err = program.end()
    assert code == ExitCode.OK
    assert out == '{"file":"a.png","n":12345678901234567890123}\n'
    assert err.startswith("Enqueued job: ")


def test_a_result_that_is_there_by_then(streamq: Run, client: redis.Redis, group: None) -> None:
    job_id = streamq("produce", "a=1", "--unique", "k", "--quiet").out.strip()
    record = f"{{jobs}}:group:images:job:{job_id}"
    client.hset(record, mapping={"state": "succeeded", "result": "[1]"})
    result = streamq("produce", "a=1", "--unique", "k", "--wait")
    assert result == (0, "[1]\n", f"Already known: {job_id}\n")
    assert streamq("produce", "a=1", "--unique", "k", "--wait", "--quiet") == (0, "[1]\n", "")


def test_a_dead_job(start: Start, server: RedisServer, group: None) -> None:
    with waiting(start, "--type", "dead") as program:
        work(server)
    code, out, err = program.end()
    assert (code, out) == (ExitCode.REFUSED, "")
    assert "is dead in the group images after 1 attempt: gave up: no good\n" in err


def test_as_json(start: Start, server: RedisServer, client: redis.Redis, group: None) -> None:
    programs = [start("produce", "--type", type, "--wait", "--json") for type in ("dead", "ok")]
    asyncio.run(eventually(lambda: client.xlen("jobs") == 2))
    work(server)
    ended = [program.end() for program in programs]
    dead, ok = (json.loads(one.out) for one in ended)
    assert [(one.code, one.err) for one in ended] == [(ExitCode.REFUSED, ""), (ExitCode.OK, "")]
    assert (dead["state"], dead["result"], dead["group"]) == ("dead", None, "images")
    assert "gave up: no good" in dead["error"]
    assert (ok["state"], ok["result"], ok["error"], ok["type"]) == ("succeeded", {}, None, "ok")


def test_a_result_that_was_not_kept(start: Start, server: RedisServer, group: None) -> None:
    with waiting(start, "--type", "large") as program:
        work(server)
    code, out, err = program.end()
    assert (code, out) == (ExitCode.OK, "")
    assert "has succeeded in the group images, but the result was not kept: 100,002 bytes" in err


def test_no_record_that_says_how(start: Start, server: RedisServer, group: None) -> None:
    with waiting(start, "--type", "ok") as program:
        work(server, ttl=0)
    code, out, err = program.end()
    assert (code, out) == (ExitCode.REFUSED, "")
    assert "no record says how" in err


def test_a_time_that_is_up(streamq: Run, group: None) -> None:
    code, out, err = streamq("produce", "a=1", "--wait", "--timeout", "50ms")
    assert (code, out) == (ExitCode.TIMEOUT, "")
    assert err.endswith("is not finished in the group images after 0.05 s\n")
    assert err.count("\n") == 2


def test_a_group_that_is_named_need_not_exist(streamq: Run) -> None:
    code, _, err = streamq("produce", "a=1", "--wait", "--group", "new", "--timeout", "50ms")
    assert code == ExitCode.TIMEOUT
    assert "that group does not exist yet: is its worker running?" in err


def test_ctrl_c(start: Start, group: None) -> None:
    with waiting(start, "a=1") as program:
        program.signal(signal.SIGINT)
    code, out, err = program.end()
    assert (code, out) == (ExitCode.INTERRUPTED, "")
    assert "interrupted: 1 job was written" in err


def test_which_group_is_asked_before_anything_is_written(
    streamq: Run, client: redis.Redis, group: None
) -> None:
    client.xgroup_create("jobs", "audit", "0")
    result = streamq("produce", "a=1", "--wait")
    assert result == (2, "", "streamq: say which group is meant with --group: audit, images\n")
    assert client.xlen("jobs") == 0
    code, _, err = streamq("produce", "a=1", "--wait", "--stream", "other")
    assert (code, "the stream other has no group yet: say with --group" in err) == (2, True)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["a=1", "--wait", "--count", "2"], "--wait is for one job"),
        (["--file", "jobs.ndjson", "--wait"], "--wait is for one job"),
        (["a=1", "--timeout", "1s"], "--timeout and --group are for --wait"),
        (["a=1", "--group", "images"], "--timeout and --group are for --wait"),
        (["a=1", "--wait", "--timeout", "soon"], "is not a duration"),
        (["a=1", "--wait", "--group", "a b"], "not a valid group name"),
    ],
)
def test_what_cannot_be_waited_for(
    streamq: Run, client: redis.Redis, args: list[str], why: str
) -> None:
    code, out, err = streamq("produce", *args)
    assert (code, out, why in err) == (ExitCode.USAGE, "", True), err
    assert client.xlen("jobs") == 0


# -- progress -----------------------------------------------------------------


def running(client: redis.Redis) -> str:
    """A job that has told how far it is."""
    job_id = str(client.xadd("jobs", {"type": "t", "data": "{}"}))
    client.xreadgroup("images", "me", {"jobs": ">"})
    told = {"progress": "0.4", "progress_note": "res\x1bizing", "progress_of": "1"}
    client.hset(f"{{jobs}}:group:images:job:{job_id}", mapping=told)  # type: ignore[arg-type]  # redis-py's
    return job_id


def test_status_shows_it(streamq: Run, client: redis.Redis, group: None) -> None:
    job_id = running(client)
    assert "\nprogress  40 %, res\\x1bizing\n" in streamq("status", job_id).out
    [found] = json.loads(streamq("status", job_id, "--json").out)["groups"]
    assert (found["progress"], found["progress_note"]) == (0.4, "res\x1bizing")


def test_pending_shows_it_where_there_is_any(
    streamq: Run, client: redis.Redis, group: None
) -> None:
    client.xadd("jobs", {"type": "t", "data": "{}"})
    client.xreadgroup("images", "me", {"jobs": ">"})
    assert "PROGRESS" not in streamq("pending").out
    running(client)
    out = streamq("pending").out
    assert "PROGRESS" in out
    assert "40 %, res\\x1bizing" in out
    first, second = (json.loads(line) for line in streamq("pending", "--json").out.splitlines())
    assert (first["progress"], second["progress"]) == (None, 0.4)


SLOW = """
import asyncio, threading
from streamq import App, Job

def serve() -> None:
    async def main() -> None:
        app = App()

        @app.group("images").handler("*")
        async def handle(job: Job) -> int:
            job.progress(0.4, "resizing")
            await asyncio.sleep(0.5)  # long enough for the worker to tell
            return 7

        await app.worker(max_jobs=1).run()

    asyncio.run(main())

threading.Thread(target=serve, daemon=True).start()
"""


def test_a_bar_at_a_terminal(
    server: RedisServer, group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    code, shown = at_terminal(["produce", "a=1", "--wait", "--timeout", "20s"], setup=SLOW)
    assert code == 0
    assert "40 %, resizing" in shown
    assert shown.rstrip().endswith("7")
