"""``streamq dashboard``: served until it is stopped, and refused where it would not be safe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import redis

from streamq.cli.exits import ExitCode
from tests.cli.support import Result
from tests.servers import RedisServer

Cli = Callable[..., Result]


@contextmanager
def serving(*args: str, **env: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command at work on a free port: where, and its process."""
    command = [sys.executable, "-m", "streamq", "dashboard", "--port", "0", *args]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **env},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.match(r"The dashboard is at (http://\S+) \(Ctrl-C stops it\)\n", said)
            assert found, (said, process.stderr and process.stderr.read())
            yield found[1], process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(
    server: RedisServer, client: redis.Redis, number: signal.Signals
) -> None:
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    with serving("--url", server.unix_url) as (url, process), ExitStack() as looking:
        assert "images" in httpx.get(url).text
        # Somebody who looks on does not keep it from its end.
        events = looking.enter_context(httpx.stream("GET", f"{url}/events?show=overview"))
        lines = events.iter_lines()
        while not next(lines).startswith("event: values"):
            pass
        process.send_signal(number)
        assert process.wait(20) == (128 + number)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_its_options(server: RedisServer, client: redis.Redis) -> None:
    client.xadd("jobs", {"type": "t", "data": '{"password":"hunter2","user":"ann"}'})
    client.xgroup_create("jobs", "images", "0")
    client.xreadgroup("images", "web1-1-a", {"jobs": ">"})
    with serving(
        "--url", server.unix_url, "--mask", "password", "--read-only", "--lease", "1h",
        "--trace-url", "https://traces.example/{trace_id}", STREAMQ_TOKEN="s3cret",
    ) as (url, _):  # fmt: skip
        assert httpx.get(url).status_code == 401
        page = httpx.get(f"{url}/pending?stream=jobs&group=images", auth=("me", "s3cret")).text
        assert "ann" in page
        assert "hunter2" not in page
        assert "read-only" in page
        assert "Retry now" not in page


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--host", "0.0.0.0"], "could read and change all jobs: set STREAMQ_TOKEN"),
        (["--trace-url", "https://traces.example"], "cannot be used: give https://"),
        (["--mask", ""], "give names of fields"),
        (["--host", "no.such.host.invalid"], "there is no such address"),
    ],
)
def test_what_is_not_safe_or_cannot_be_is_refused(streamq: Cli, args: list[str], told: str) -> None:
    result = streamq("dashboard", "--port", "0", *args)
    assert result.code == ExitCode.USAGE, result
    assert told in result.err


def test_a_server_that_is_not_there(streamq: Cli) -> None:
    result = streamq("dashboard", "--port", "0", "--url", "redis://127.0.0.1:1")
    assert result.code == ExitCode.UNAVAILABLE
    assert "127.0.0.1:1" in result.err
