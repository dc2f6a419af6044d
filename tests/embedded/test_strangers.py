"""What a crash or a stranger left, and servers that load or hang."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamq.errors import EmbeddedServerError
from streamq.server import embedded
from streamq.server.embedded import control, failure, probe
from tests.embedded.support import (
    call,
    server_pid,
)


def test_a_pid_file_with_the_number_of_another_process_is_not_believed(home: Path) -> None:
    home.mkdir(0o700)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        (home / failure.PID).write_text(f"{bystander.pid}\n")

        assert embedded.status().running is False
        assert embedded.stop() is False
        embedded.ensure_running()
        assert embedded.status().pid != bystander.pid
        assert embedded.stop() is True
        assert bystander.poll() is None
        bystander.communicate(b"\n")


@pytest.mark.parametrize("stale", ["socket", "file"])
def test_a_stale_socket_is_replaced(home: Path, stale: str) -> None:
    home.mkdir(0o700)
    path = home / "server.sock"
    if stale == "socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    else:
        path.write_text("")

    assert embedded.status().running is False
    assert call(embedded.ensure_running(), "PING") == "PONG"


@pytest.mark.usefixtures("impatient")
def test_no_second_server_starts_when_the_socket_was_removed(home: Path) -> None:
    embedded.ensure_running()
    pid = embedded.status().pid
    (home / "server.sock").unlink()

    for asked in (embedded.ensure_running, embedded.status):
        with pytest.raises(EmbeddedServerError, match=rf"process {pid}\) does not answer"):
            asked()
    assert server_pid(home) == pid


@pytest.mark.usefixtures("impatient")
def test_a_directory_shared_with_another_machine_is_said_to_be_so(home: Path) -> None:
    home.mkdir(0o700)
    with (home / failure.LOCK).open("w") as lock:
        lock.write("elsewhere")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(EmbeddedServerError, match="by a server on the machine elsewhere"):
            embedded.ensure_running()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_is_named(home: Path) -> None:
    embedded.ensure_running()
    pid = embedded.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match=rf"process {pid}\) does not answer"):
            embedded.ensure_running()
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def scripted_server(directory: Path, replies: dict[str, list[str]]) -> Iterator[None]:
    """Holds the lock and answers each command with its next reply, the last one for ever."""
    directory.mkdir(0o700)
    with (directory / failure.LOCK).open("w") as lock, socket.socket(socket.AF_UNIX) as listener:
        fcntl.flock(lock, fcntl.LOCK_EX)
        listener.bind(str(directory / "server.sock"))
        listener.listen()

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection, connection.makefile("r") as lines:
                    command = lines.readline().strip()
                    if command == "END":
                        return
                    left = replies[command]
                    reply = left.pop(0) if len(left) > 1 else left[0]
                    connection.sendall(reply.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            probe.ask(directory / "server.sock", "END", timeout=10)
            thread.join()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_loads_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "NOTICE_EVERY", 0)
    loading = "-LOADING Valkey is loading the dataset in memory\r\n"
    persistence = "# Persistence\r\nloading:1\r\nloading_loaded_perc:41.70\r\n"
    replies = {
        # For longer than a silent server would be waited for.
        "PING": [*([loading] * 30), "+PONG\r\n"],
        "INFO persistence": [f"${len(persistence)}\r\n{persistence}\r\n"],
    }
    notices: list[str] = []
    with scripted_server(home, replies):
        assert embedded.ensure_running(notify=notices.append) == f"unix://{home}/server.sock"

    assert set(notices) == {"the embedded server is loading its data (42 %)"}


def test_stop_does_not_return_while_the_process_lives(home: Path) -> None:
    info = (
        f"process_id:{os.getpid()}\r\nredis_version:7.2.4\r\nuptime_in_seconds:1\r\n"
        "used_memory:1\r\nconnected_clients:1\r\nloading:0\r\n"
    )
    replies = {
        "INFO server clients memory persistence": [f"${len(info)}\r\n{info}\r\n"],
        "SHUTDOWN": [""],  # closes the connection, as a server does when it goes
    }
    with (
        scripted_server(home, replies),
        pytest.raises(EmbeddedServerError, match=r"was told to stop but still runs after 0.1 s"),
    ):
        embedded.stop(timeout=0.1)


def test_data_that_cannot_be_loaded_is_reported_with_the_servers_words(home: Path) -> None:
    embedded.ensure_running()
    embedded.stop()
    (manifest,) = home.glob("appendonlydir/*.manifest")
    manifest.write_text("not a manifest\n")

    with pytest.raises(EmbeddedServerError) as caught:
        embedded.ensure_running()
    assert "did not start" in str(caught.value)
    assert "not a manifest" in str(caught.value)
    assert str(home / failure.LOG) in str(caught.value)
    assert "\n" not in str(caught.value)
