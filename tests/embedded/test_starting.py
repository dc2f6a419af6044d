"""Starting: one server, found by all, that outlives whoever started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from streamq.errors import EmbeddedServerError
from streamq.server import embedded
from streamq.server.embedded import failure
from streamq.server.embedded.memory import default_limit
from tests.embedded.support import (
    STARTER,
    STARTER_AT_A_SIGN,
    call,
    end_server,
    mode,
    server_pid,
    set_durably,
)

MIB = 1024**2


def test_the_first_call_starts_a_private_server_that_keeps_its_data(home: Path) -> None:
    url = embedded.ensure_running()

    assert url == f"unix://{home}/server.sock"
    flat = call(url, "CONFIG", "GET", "*")
    settings = dict(zip(flat[::2], flat[1::2], strict=True))
    call(url, "SET", "k", "v")
    assert settings["port"] == "0"
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"
    assert int(settings["maxmemory"]) == default_limit() >= 64 * MIB
    assert settings["save"] == ""
    assert settings["dir"] == str(home)
    assert mode(home) == 0o700
    assert mode(home / "server.sock") == 0o700
    assert not any(mode(path) & 0o077 for path in home.rglob("*"))


def test_later_calls_find_the_same_server(home: Path) -> None:
    url = embedded.ensure_running()
    pid = embedded.status().pid

    assert embedded.ensure_running() == url
    assert embedded.status().pid == pid


@pytest.mark.parametrize("count", [2, 8])
def test_commands_started_at_the_same_moment_end_up_with_one_server(home: Path, count: int) -> None:
    with contextlib.ExitStack() as stack:
        starters = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", STARTER_AT_A_SIGN],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]
        for starter in starters:
            assert starter.stdout is not None
            assert starter.stdout.readline() == "ready\n"
        for starter in starters:
            assert starter.stdin is not None
            starter.stdin.write("\n")
            starter.stdin.flush()
        pids = {starter.communicate()[0].strip() for starter in starters}

    assert pids == {str(server_pid(home))}
    assert (home / failure.LOG).read_text().count("Ready to accept connections") == 1


def test_a_start_during_a_stop_ends_with_a_server(home: Path) -> None:
    embedded.ensure_running()
    stopper = threading.Thread(target=embedded.stop)
    stopper.start()
    # Whichever comes first, once both are done a further call has a server that answers.
    embedded.ensure_running()
    stopper.join()

    assert call(embedded.ensure_running(), "PING") == "PONG"


@pytest.mark.parametrize("name", ["with space", "per%cent", "hash#mark", "schön", "quo'te\"s"])
def test_a_directory_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    directory = tmp_path / name
    monkeypatch.setenv("STREAMQ_HOME", str(directory))
    try:
        assert call(embedded.ensure_running(), "CONFIG", "GET", "dir") == ["dir", str(directory)]
    finally:
        end_server(directory)


def test_a_directory_too_deep_for_a_socket_is_reached_through_a_short_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "deep" / ("d" * 120)
    monkeypatch.setenv("STREAMQ_HOME", str(directory))
    with tempfile.TemporaryDirectory(prefix="sq") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        try:
            url = embedded.ensure_running()
            set_durably(url, "k", "v")
            (link,) = Path(temporary).iterdir()

            assert url == f"unix://{link}/server.sock"
            assert link.readlink() == directory
            assert (directory / "server.sock").is_socket()

            link.unlink()  # as a cleaner of temporary files may do
            assert embedded.ensure_running() == url
            assert call(url, "GET", "k") == "v"
            assert embedded.stop() is True
        finally:
            end_server(directory)


def test_a_short_link_that_leads_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir(0o700)
    monkeypatch.setenv("STREAMQ_HOME", str(directory))
    with tempfile.TemporaryDirectory(prefix="sq") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        link = embedded.status().socket.parent
        link.unlink()
        link.symlink_to(tmp_path)

        with pytest.raises(EmbeddedServerError, match=r"should be our link to .* and is not"):
            embedded.ensure_running()


def test_the_server_outlives_an_interrupted_starter_and_its_terminal(home: Path) -> None:
    waiting = STARTER + "; input()"
    with subprocess.Popen(
        [sys.executable, "-c", waiting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        pid = embedded.status().pid
        assert pid is not None
        assert os.getsid(pid) != os.getsid(starter.pid)
        os.killpg(starter.pid, signal.SIGINT)  # Ctrl-C, which goes to the whole group
        os.killpg(starter.pid, signal.SIGHUP)  # the terminal is closed
        starter.communicate()
    assert starter.returncode != 0

    assert call(url, "PING") == "PONG"
    assert embedded.status().pid == pid


def test_the_server_keeps_no_file_of_its_starter_open(home: Path) -> None:
    reading, writing = os.pipe()
    try:
        # Neither the output, which subprocess.run reads to its end, nor any other file.
        done = subprocess.run(
            [sys.executable, "-c", STARTER], capture_output=True, pass_fds=[writing], check=True
        )
    finally:
        os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read() == b""  # its end comes when the last writer has closed it

    assert call(done.stdout.decode().strip(), "PING") == "PONG"
