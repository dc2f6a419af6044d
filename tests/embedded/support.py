"""What the tests of the embedded server share."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import hiredis
import pytest
import redis

from streamq.server import embedded
from streamq.server.embedded import failure, process

STARTER = "from streamq.server import embedded; print(embedded.ensure_running(), flush=True)"
# Prints when it is ready to start a server, then waits to be told, then the server's pid.
STARTER_AT_A_SIGN = """
from streamq.server import embedded
print("ready", flush=True)
input()
embedded.ensure_running()
print(embedded.status().pid, flush=True)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def server_pid(directory: Path) -> int | None:
    """The pid of the server that holds the lock of ``directory``, also when it is silent."""
    if not (directory / failure.LOCK).exists() or not process.is_locked(directory):
        return None
    return int((directory / failure.PID).read_text())


def end_server(directory: Path) -> None:
    if pid := server_pid(directory):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not process.is_locked(directory))


def wait_until(happened: Callable[[], bool]) -> None:
    """Poll for what no event announces; pytest's timeout ends it."""
    pause = threading.Event()
    while not happened():
        pause.wait(0.01)


def call(url: str, *command: str) -> Any:
    """The server's plain reply, of which no client library makes something else."""
    reader = hiredis.Reader(encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(unquote(url.removeprefix("unix://")))
        connection.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]  # of any length
        while (reply := reader.gets()) is False:
            reader.feed(connection.recv(65536))
    return reply


def set_durably(url: str, key: str, value: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(key, value)
        assert client.execute_command("WAITAOF", 1, 0, 0) == [1, 0]


def kill_server() -> int:
    pid = embedded.status().pid
    assert pid is not None
    directory = embedded.home()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process.is_locked(directory))
    return pid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
