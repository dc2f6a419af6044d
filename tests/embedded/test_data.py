"""Stopping, and what survives a crash, a kill and a broken file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import redis

from streamq.errors import EmbeddedServerError
from streamq.server import embedded
from streamq.server.embedded import failure, process
from tests.embedded.support import (
    call,
    kill_server,
    set_durably,
)


def test_data_survives_stop_and_start(home: Path) -> None:
    call(embedded.ensure_running(), "SET", "k", "v")

    assert embedded.stop() is True
    assert call(embedded.ensure_running(), "GET", "k") == "v"


def test_data_survives_a_killed_server_and_what_it_leaves_behind(home: Path) -> None:
    url = embedded.ensure_running()
    set_durably(url, "k", "v")
    killed = kill_server()
    assert (home / "server.sock").is_socket()
    assert (home / failure.PID).read_text().strip() == str(killed)

    assert embedded.status().running is False
    assert call(embedded.ensure_running(), "GET", "k") == "v"
    assert embedded.status().pid != killed


def test_data_survives_an_append_only_file_that_breaks_off(home: Path) -> None:
    set_durably(embedded.ensure_running(), "k", "v")
    kill_server()
    (incremental,) = home.glob("appendonlydir/*.incr.aof")
    with incremental.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nha")

    assert call(embedded.ensure_running(), "GET", "k") == "v"


@pytest.mark.parametrize("half", [b"", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nha"])
def test_data_survives_zeros_that_a_power_cut_left(home: Path, half: bytes) -> None:
    set_durably(embedded.ensure_running(), "k", "v")
    kill_server()
    (incremental,) = home.glob("appendonlydir/*.incr.aof")
    with incremental.open("ab") as file:
        file.write(half + bytes(200_000))

    assert call(embedded.ensure_running(), "GET", "k") == "v"
    assert "cut 200000 zero bytes off the end of" in (home / failure.LOG).read_text()


def test_a_rewrite_that_a_kill_cut_short_does_not_fill_the_disk(home: Path) -> None:
    set_durably(embedded.ensure_running(), "k", "v")
    pid = kill_server()
    (home / f"temp-rewriteaof-bg-{pid}.aof").write_bytes(b"half")
    (home / f"temp-rewriteaof-{pid}.aof").write_bytes(b"half")

    assert call(embedded.ensure_running(), "GET", "k") == "v"
    assert list(home.glob("temp-*")) == []


def test_stop_returns_when_the_server_is_gone(home: Path) -> None:
    embedded.ensure_running()

    assert embedded.stop() is True
    assert not process.is_locked(home)
    assert not (home / "server.sock").exists()
    assert embedded.stop() is False


def test_stop_gives_up_in_time_on_a_server_that_hangs(home: Path) -> None:
    embedded.ensure_running()
    pid = embedded.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match=rf"process {pid}\) does not answer"):
            embedded.stop(timeout=0.1)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert embedded.stop() is True


def test_stop_and_status_without_a_server_create_nothing(home: Path) -> None:
    assert embedded.stop() is False
    found = embedded.status()

    assert found == embedded.EmbeddedStatus(
        running=False,
        url=f"unix://{home}/server.sock",
        socket=home / "server.sock",
        directory=home,
    )
    assert not home.exists()


def test_status_tells_what_runs(home: Path) -> None:
    url = embedded.ensure_running()
    with redis.Redis.from_url(url, decode_responses=True) as client:
        info = client.info()
        found = embedded.status()

    assert found.running is True
    assert found.url == url
    assert found.socket == home / "server.sock"
    assert found.directory == home
    assert found.pid == info["process_id"]
    assert found.version == f"Valkey {info['valkey_version']}"
    assert found.uptime is not None
    assert found.memory is not None
    assert found.memory > 0
    assert found.clients == 1
    assert found.loading is False
    assert found.aof_last_write_status == "ok"
    assert found.aof_size == info["aof_current_size"]
