"""``streamq tail``: jobs as it happens."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from functools import partial

import anyio
import pytest
import redis

from tests.cli.support import Program, Result, at_terminal, read_one_line
from tests.servers import RedisServer
from tests.situations import add, fail, succeed

Streamq = Callable[..., Result]
Start = Callable[..., Program]


@pytest.fixture
def stream(client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", mkstream=True)


def stop(program: Program) -> Result:
    program.signal(signal.SIGINT)
    return program.end()


def test_lines(stream: None, start: Start, server: RedisServer, client: redis.Redis) -> None:
    tail = start("tail")
    tail.wait_for("Following jobs\n")
    first = add(client, {"type": "resize", "data": '{"file":"a\u009b.png"}'})
    anyio.run(partial(fail, server.unix_url, retries=3, delay=0))
    anyio.run(partial(succeed, server.unix_url))
    second = add(client, {"data": "{}"})
    anyio.run(partial(fail, server.unix_url, retries=0))
    tail.wait_for("file\n")
    result = stop(tail)
    assert (result.code, result.err) == (130, "Following jobs\n")
    lines = [line.split(maxsplit=5) for line in result.out.splitlines()]
    assert [line[1:5] for line in lines] == [
        ["queued", first, "resize", "-"],
        ["retrying", first, "resize", "images"],
        ["succeeded", first, "resize", "images"],
        ["queued", second, "-", "-"],
        ["dead", second, "-", "images"],
    ]
    assert lines[0][5] == '{"file":"a\\x9b.png"}'
    assert lines[1][5].startswith("attempt 1, ")
    assert lines[1][5].endswith(", next now: disk full")
    assert lines[4][5].endswith(r"retries exhausted: RuntimeError: no such\x1b[31m file")


def test_json(stream: None, start: Start, server: RedisServer, client: redis.Redis) -> None:
    tail = start("tail", "--json", "--state", "succeeded", "--type", "re*", "--group", "images")
    tail.wait_for("Following jobs\n")
    add(client, {"type": "other", "data": "{}"})
    job_id = add(client, {"type": "resize", "data": "{}"})
    anyio.run(partial(succeed, server.unix_url))
    tail.wait_for(job_id)
    result = stop(tail)
    event = json.loads(result.out)
    assert (event["id"], event["state"], event["attempt"]) == (job_id, "succeeded", 1)


def test_wrong_usage(stream: None, streamq: Streamq) -> None:
    assert streamq("tail", "--stream", "other").code == 1
    result = streamq("tail", "--group", "audit")
    assert (result.code, result.out) == (1, "")
    assert "its only group is images" in result.err
    result = streamq("tail", "--state", "stalled")
    assert result.code == 2
    assert "'stalled': give one of queued, succeeded, " in result.err


def test_a_server_that_is_not_there(streamq: Streamq) -> None:
    result = streamq("tail", "--url", "redis://127.0.0.1:1")
    assert (result.code, result.out) == (69, "")


def test_a_server_that_goes_and_comes_back(
    make_server: Callable[..., RedisServer], start: Start
) -> None:
    server = make_server("--appendonly", "yes", "--appendfsync", "always")
    with server.client() as client:
        client.xgroup_create("jobs", "images", mkstream=True)
    tail = start("tail", "--url", server.unix_url)
    tail.wait_for("Following jobs\n")
    server.kill()
    tail.wait_for(f"Connection lost from {server.socket}, waiting for the server to come back\n")
    server.start()
    tail.wait_for("Following jobs, what became of jobs meanwhile is not known\n")
    with server.client() as client:
        job_id = add(client, {"data": "{}"})
    tail.wait_for(job_id)
    assert stop(tail).code == 130


def test_a_reader_that_goes(
    stream: None, server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    import threading

    done = threading.Event()

    def write() -> None:
        while not done.wait(0.05):
            add(client, {"data": "{}"})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        code, complaints = read_one_line("tail")
    finally:
        done.set()
        writer.join()
    assert (code, complaints) == (141, "Following jobs\n")


def test_colours_at_a_terminal(
    stream: None, server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    job = """
import os, signal, threading, redis
from streamq.cli import tail_printing
real = tail_printing.Lines.say
def say(self, event):
    real(self, event)
    os.kill(os.getpid(), signal.SIGINT)
tail_printing.Lines.say = say
from streamq.cli import tail
notify = tail._notify
def tell(event, again):
    notify(event, again=again)
    redis.Redis.from_url(os.environ["STREAMQ_URL"]).xadd("jobs", {"data": "[]", "type": "resize"})
tail._notify = tell
"""
    code, shown = at_terminal(["tail"], setup=job)
    assert code == 130
    assert "Following jobs\n" in shown
    assert "\x1b[34mqueued" in shown
    assert "Traceback" not in shown
