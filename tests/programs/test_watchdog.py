"""Programs end with the worker that runs them, even when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import redis

from streamq.programs.watchdog import Watchdog
from tests.cli.support import Program, has_ended
from tests.servers import RedisServer

PATIENCE = 30.0

OWNER = """
import subprocess, sys
from streamq.programs.watchdog import Watchdog

guard = Watchdog()
programs = [subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE)
            for script in sys.argv[1:]]
for program in programs:
    program.stdout.readline()
    guard.add(program.pid)
guard.remove(programs[-1].pid)
print(*(program.pid for program in programs), flush=True)
sys.stdin.read()
"""
"""A process that runs scripts, and has all but the last of them guarded."""


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """What is to be killed at the end of a test, should it still run."""
    found: list[int] = []
    yield found
    for pid in found:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_who_is_killed_takes_its_programs_along(pids: list[int]) -> None:
    scripts = [
        "echo; sleep 600; sleep 600",
        "trap '' TERM; sleep 600 & echo; wait",  # which only SIGKILL ends
        "echo; sleep 600",
    ]
    with owner(*scripts) as process:
        assert process.stdout is not None
        pids += map(int, process.stdout.readline().split())
        process.kill()

    for pid in pids[:2]:
        wait_for_the_end(pid)
    assert not has_ended(pids[2])


def test_a_worker_that_is_killed(server: RedisServer, client: redis.Redis, pids: list[int]) -> None:
    client.xadd("jobs", {"type": "t", "data": "{}"})
    command = "sh -c 'echo pid $$; sleep 600'"
    worker = Program(["consume", "--url", server.unix_url, "--exec", command])
    try:
        worker.wait_for("pid ")
        worker.signal(signal.SIGKILL)
        pids.append(int(worker.end().out.split()[1]))
    finally:
        worker.kill()

    wait_for_the_end(pids[0])


def test_who_ends_well_leaves_no_shell_behind() -> None:
    script = (
        "from streamq.programs.watchdog import Watchdog; "
        "g = Watchdog(); g.add(1 << 30); g.remove(1 << 30)"
    )
    # The shell has this pipe too; it would be open for as long as it runs.
    theirs, ours = os.pipe()
    with os.fdopen(theirs, "rb") as pipe:
        subprocess.run([sys.executable, "-c", script], pass_fds=[ours], check=True)
        os.close(ours)
        assert pipe.read() == b""


def test_without_a_shell_programs_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> int:
        raise FileNotFoundError("/bin/sh")

    monkeypatch.setattr(os, "posix_spawn", refuse)
    guard = Watchdog()
    guard.add(1 << 30)
    guard.remove(1 << 30)


def owner(*scripts: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", OWNER, *scripts]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def wait_for_the_end(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while not has_ended(pid):
        assert time.monotonic() < until, f"{pid} still runs"
        time.sleep(0.01)
