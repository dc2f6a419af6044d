"""A password is where it was put, and nowhere else."""

from __future__ import annotations

import json
import logging
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from streamq import App
from streamq.errors import StreamqError
from tests.cli.support import Program, Result
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.slow

PASSWORD = "h0rse/b@ttery"
PIECES = ("h0rse", "b@ttery", "b%40ttery")
"""What no output may have in it, so that no part of the password may be either."""


def assert_secret(*texts: object) -> None:
    """None of the texts has a piece of the password in it."""
    for text in texts:
        for piece in PIECES:
            assert piece not in str(text), text


class Guarded(NamedTuple):
    """A server that asks for the password."""

    server: RedisServer
    url: str

    @property
    def where(self) -> str:
        """Its address, as it may be shown."""
        return f"127.0.0.1:{self.server.port}"


@pytest.fixture
def guarded(make_server: Callable[..., RedisServer]) -> Guarded:
    """A server with a password, and its URL."""
    server = make_server("--requirepass", PASSWORD)
    return Guarded(server, f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}")


@pytest.fixture(params=["--url", "STREAMQ_URL"])
def run(
    request: pytest.FixtureRequest, streamq: Callable[..., Result], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Callable[..., Result]]:  # fmt: skip
    """Run a command on a URL that is given in either way; all that it says is searched."""
    caplog.set_level(logging.DEBUG)

    def begin(url: str, *args: str) -> Result:
        if request.param == "STREAMQ_URL":
            monkeypatch.setenv("STREAMQ_URL", url)
            result = streamq("--debug", *args)
        else:
            result = streamq("--debug", *args, "--url", url)
        assert_secret(result.out, result.err)
        return result

    yield begin
    assert_secret(caplog.text)


# -- what commands and the library say ----------------------------------------


def test_commands_that_succeed(
    guarded: Guarded, run: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    id = run(guarded.url, "produce", "a=1", "--quiet").out.strip()
    worker = ("consume", "--burst", "--log-level", "debug", "--metrics-port", "0")
    assert run(guarded.url, *worker).code == 0
    assert f"from {guarded.where}, " in caplog.text
    assert f"Job {id} () done" in caplog.text
    for args in (
        ("info",), ("info", "--json"), ("pending",), ("status", id), ("status", id, "--json"),
        ("group", "list"), ("dlq", "list"), ("produce", "a=1", "--delay", "1h", "--key", "k"),
    ):  # fmt: skip
        result = run(guarded.url, *args)
        assert result.code == 0, result
    assert json.loads(run(guarded.url, "info", "--json").out)["server"]["where"] == guarded.where


COMMANDS = [("produce", "a=1"), ("pending",), ("consume", "--metrics-port", "0"), ("info",)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("user", ["", "default", "h0rse-owner"])
def test_a_wrong_password(
    user: str, command: tuple[str, ...], make_server: Callable[..., RedisServer],
    run: Callable[..., Result],
) -> None:  # fmt: skip
    port = make_server("--requirepass", "another").port
    result = run(f"redis://{user}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}", *command)
    assert result.code == 77
    assert "does not accept the user name or the password" in result.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_not_there(command: tuple[str, ...], run: Callable[..., Result]) -> None:
    url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{free_port()}"
    assert run(url, *command).code == 69


@pytest.mark.parametrize(
    ("database", "code"), [("/99", 1), ("/x", 2), ("/0/1", 2), ("?db=x", 2), ("/-1", 2)]
)
@pytest.mark.parametrize("command", [("produce", "a=1")], ids=" ".join)
def test_a_database_that_does_not_exist(
    command: tuple[str, ...], database: str, code: int, guarded: Guarded,
    run: Callable[..., Result],
) -> None:  # fmt: skip
    assert run(guarded.url + database, *command).code == code


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@host", f"redis://user:{PASSWORD}@host:6379/0",
        "redis://:h0rse@host:port", "redis://:h0rse@[::1", "redis://:h0rse@host:99999",
        "http://:h0rse@host", "redis:/:h0rse@host", ":h0rse@host", "redis://:h0rse#@host",
        "redis://:h0rse@host?nonsense=1", "redis://host?password=h0rse&nonsense=1",
        "redis://:h0rse@host?ssl_ca_certs=/x", "rediss://:h0rse@host?ssl_ca_certs=/nope",
        "rediss://:h0rse@host?ssl_cert_reqs=perhaps", "unix://:h0rse@/s.sock?nonsense=1",
        "rediss://host?ssl_password=h0rse&ssl_ca_certs=/nope",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used(url: str, run: Callable[..., Result]) -> None:
    result = run(url, "produce", "a=1")
    assert result.code == 2
    assert "streamq: " in result.err


async def _everything_said(url: str) -> list[str]:
    """What the library's objects and errors are as text."""
    app = App(url)
    said = [repr(app), str(app)]
    try:
        said += [repr(app.server), app.server.where, repr(vars(app.server)["_topology"])]
        await app.produce("t")
        app.handler("t")(lambda: None)
        worker = app.worker(burst=True)
        said += [repr(worker), repr(worker.consumers), repr(app.admin)]
        await worker.run()
        said.append(str((await app.admin.info()).to_dict()))
    except StreamqError as error:
        said += [repr(error), str(error), repr(error.args), repr(error.__dict__)]
    await app.close()
    return said


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["right", "wrong", "gone", "malformed", "database"])
async def test_what_the_library_says(
    what: str, guarded: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = {
        "right": guarded.url,
        "wrong": guarded.url.replace("h0rse", "h0rseh0rse"),
        "gone": guarded.url.replace(str(guarded.server.port), str(free_port())),
        "malformed": guarded.url.replace("%2F", "/"),
        "database": f"{guarded.url}/99",
    }[what]
    said = await _everything_said(url)
    assert len(said) > 4
    assert_secret(*said, caplog.text)


# -- workers that run on ------------------------------------------------------


def test_a_worker_that_loses_its_server(guarded: Guarded, start: Callable[..., Program]) -> None:
    port = free_port()
    worker = start(
        "consume", "--log-level", "debug", "--grace", "0", "--metrics-port", str(port),
        env={"STREAMQ_URL": guarded.url},
    )  # fmt: skip
    worker.wait_for("Consuming ")
    scraped = [_scrape(port)]
    guarded.server.kill()
    worker.wait_for("Server lost: ")
    scraped.append(_scrape(port))
    worker.signal(signal.SIGTERM)
    ended = worker.end()
    assert guarded.where in ended.err
    assert_secret(ended.out, ended.err, *scraped)


def _scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
        text: str = reply.read().decode()
    assert "streamq_server_up" in text
    return text


# -- processes ----------------------------------------------------------------


linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="arguments are seen in /proc")


def _descendants(pid: int) -> dict[int, str]:
    """Of a process: the arguments of all that it has started, by process ID."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            found |= _descendants(child)
    return found


@linux
@pytest.mark.parametrize("how", ["--url", "--url=", "STREAMQ_URL"])
def test_processes_that_work_side_by_side(
    how: str, guarded: Guarded, start: Callable[..., Program]
) -> None:
    given = {"--url": ["--url", guarded.url], "--url=": [f"--url={guarded.url}"], "STREAMQ_URL": []}
    worker = start(
        "consume", "--processes", "2", "--metrics-port", "0", *given[how],
        env={"STREAMQ_URL": guarded.url if how == "STREAMQ_URL" else "redis://127.0.0.1:1"},
    )  # fmt: skip
    worker.wait_for("Worker process 2 started")
    arguments = _descendants(worker.process.pid)
    assert len(arguments) >= 2
    worker.signal(signal.SIGTERM)
    ended = worker.end()
    assert_secret(ended.out, ended.err, *arguments.values())


@linux
def test_programs_that_work_on_jobs(
    guarded: Guarded, start: Callable[..., Program], streamq: Callable[..., Result],
    scratch: Path,
) -> None:  # fmt: skip
    """They have the worker's environment, but nothing of its --url; and no arguments of either."""
    (scratch / "show.py").write_text(
        "import os, pathlib\n"
        "own = pathlib.Path('/proc/self/cmdline').read_text().replace('\\0', ' ')\n"
        "print('ARGUMENTS', own)\n"
        "print('STREAMQ_URL', os.environ.get('STREAMQ_URL'))\n"
        "print('REST', {name: text for name, text in os.environ.items() if name != 'STREAMQ_URL'})"
    )
    command = (
        "consume", "--burst", "--metrics-port", "0", "--exec", f"{sys.executable} show.py {{a}}",
    )  # fmt: skip
    assert streamq("produce", "a=1", "--url", guarded.url).code == 0
    given = start(*command, "--url", guarded.url, env={"STREAMQ_URL": "redis://elsewhere"}).end()
    assert "STREAMQ_URL redis://elsewhere" in given.out
    assert_secret(given.out, given.err)

    assert streamq("produce", "a=1", "--url", guarded.url).code == 0
    inherited = start(*command, env={"STREAMQ_URL": guarded.url}).end()
    line = f"STREAMQ_URL {guarded.url}\n"
    assert line in inherited.out
    assert_secret(inherited.out.replace(line, ""), inherited.err)
