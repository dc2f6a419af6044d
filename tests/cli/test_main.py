"""What all commands have in common."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO

import anyio
import pytest
import redis

from streamq import __version__
from streamq.cli.exits import CommandError, ExitCode, exit_code
from streamq.cli.output import confirm, duration
from streamq.errors import (
    AuthenticationFailed,
    ConfigError,
    EmbeddedServerError,
    GroupNotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    ServerRefused,
    ServerUnavailable,
    StreamqError,
)
from streamq.text import size
from tests.cli.support import Program, read_one_line, run_here
from tests.servers import RedisServer, free_port
from tests.situations import add, fail, read

Start = Callable[..., Program]


def run_python(args: Sequence[str], stdout: IO[bytes]) -> subprocess.CompletedProcess[bytes]:
    """Run a command that writes to a file."""
    return subprocess.run(
        [sys.executable, "-m", "streamq", *args], stdout=stdout, stderr=subprocess.PIPE
    )


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(["--help"], capsys)

    assert (code, err) == (0, "")
    assert all(f"\n    {int(code)} " in out for code in ExitCode)
    assert max(map(len, out.splitlines())) <= 80


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here([], capsys)

    assert (code, out) == (2, "")
    assert err.startswith("Usage: streamq ")


def test_ctrl_c_while_the_commands_are_imported_is_quiet() -> None:
    code = "import builtins, streamq.cli; builtins.__import__ = interrupted; streamq.cli.main()"
    setup = "def interrupted(*args, **kwargs): raise KeyboardInterrupt"
    ran = subprocess.run([sys.executable, "-c", f"{setup}\n{code}"], capture_output=True)

    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["--version"], capsys) == (0, f"streamq {__version__}\n", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["prodce"], "no such command 'prodce'"),
        (["produce", "--nothing"], "no such option"),
        (["info", "--debug"], "no such option"),
        (["produce", "a=1", "--count", "x"], "invalid value for '--count': 'x': give a"),
        (["pending", "--limit", "0"], "invalid value for '--limit' / '-n': '0': give a whole"),
        (["pending", "--state", "x"], "invalid value for '--state': 'x': give one of running, "),
        (
            ["consume", "--metrics-port", "65536"],
            "invalid value for '--metrics-port': 65536 is not",
        ),
        (["consume", "--lease", "0"], "invalid value for '--lease': '0': give 50ms or more"),
        (
            ["consume", "--from", "x"],
            "invalid value for '--from': 'x' is not a valid start: give 0, $, an entry ID, or a",
        ),
        (
            ["group", "create", "a", "--from", "1-"],
            "invalid value for '--from': '1-' is not a valid start: give 0, $",
        ),
        (
            ["produce", "a=1", "--replica-timeout", "0"],
            "invalid value for '--replica-timeout': '0': give 1ms to 1h",
        ),
        (
            ["produce", "a=1", "--at", "2030-01-31T07:00"],
            "invalid value for '--at': '2030-01-31T07:00' has no time zone: add Z or +01:00",
        ),
        (["produce", "a=1", "--at", "soon"], "invalid value for '--at': 'soon': give a time as"),
        (["bench", "--payload", "15"], "invalid value for '--payload': '15': give a whole"),
        (["status"], "missing argument 'ID'"),
        (["server", "begin"], "no such command 'begin'"),
        (["server", "stop", "\x1b[31mnow"], "got unexpected extra argument"),
    ],
)
def test_wrong_usage_is_told_in_a_line_with_the_way_to_the_help(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_here(args, capsys)

    problem, hint = err.splitlines()
    assert (code, out) == (2, "")
    assert problem.startswith(f"streamq: {message}")
    assert hint.startswith("Try 'streamq")
    assert hint.endswith("--help'.")


# -- errors -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (PayloadTooLarge("x"), 2),
        (GroupNotFound("x"), 1),
        (ServerRefused("x"), 1),
        (ServerUnavailable("x"), 69),
        (OutcomeUnknown("x"), 69),
        (EmbeddedServerError("x"), 69),
        (AuthenticationFailed("x"), 77),
        (CommandError("x", ExitCode.USAGE), 2),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: StreamqError, code: int) -> None:
    assert exit_code(error) == code


def test_an_unexpected_error_is_one_line_and_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("a \x1b[31mdefect")

    monkeypatch.setattr("streamq.cli.produce.from_fields", broken)

    code, out, err = run_here(["produce", "a=1"], capsys)
    assert (code, out) == (70, "")
    assert err.splitlines() == [
        "streamq: RuntimeError: a \\x1b[31mdefect",
        "This should not happen. STREAMQ_DEBUG=1 shows where it did.",
    ]

    monkeypatch.setenv("STREAMQ_DEBUG", "1")
    assert 'raise RuntimeError("a \\x1b[31mdefect")' in run_here(["produce", "a=1"], capsys).err


def test_debug_shows_where_an_error_was_raised(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_here(["--debug", "produce", "a"], capsys)

    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("streamq: 'a' is no field")


COMMANDS = [["produce", "a=1"], ["consume", "--burst", "--metrics-port", "0"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
class TestServer:
    """What is wrong with the server, by command."""

    def check(
        self, command: list[str], url: str, code: int, *words: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        result = run_here([*command, "--url", url], capsys)

        assert (result.code, result.out) == (code, "")
        assert result.err.startswith("streamq: ")
        assert result.err.count("\n") == 1
        assert all(word in result.err for word in words)

    @pytest.mark.parametrize("url", ["nonsense", "http://localhost", "redis://localhost:x"])
    def test_a_url_that_is_none(
        self, command: list[str], url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.check(command, url, 2, "not a server's URL", capsys=capsys)

    def test_nobody_there(self, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        port = free_port()
        where = f"127.0.0.1:{port}"
        self.check(command, f"redis://{where}", 69, where, "cannot connect", capsys=capsys)

    def test_a_host_that_does_not_exist(
        self, command: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.check(command, "redis://nowhere.invalid", 69, "nowhere.invalid:6379", capsys=capsys)

    def test_a_wrong_password(
        self,
        command: list[str],
        make_server: Callable[..., RedisServer],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        port = make_server("--requirepass", "secret").port
        url = f"redis://:wr0ng@127.0.0.1:{port}"
        self.check(command, url, 77, "user name or the password", capsys=capsys)
        assert "wr0ng" not in run_here([*command, "--url", url], capsys).err

    def test_a_key_of_another_type(
        self, command: list[str], server: RedisServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with server.client() as client:
            client.set("jobs", "text")
        self.check(command, server.unix_url, 1, "another type", capsys=capsys)


@pytest.mark.parametrize(
    "args",
    [
        ["bench"],
        ["cancel", "s-1"],
        ["dlq", "list"],
        ["dlq", "purge", "--all", "--yes"],
        ["dlq", "redrive", "--all"],
        ["dlq", "show", "1-1"],
        ["doctor"],
        ["group", "create", "images"],
        ["group", "delete", "images"],
        ["group", "list", "--json"],
        ["info", "--json"],
        ["pending"],
        ["pending", "dead-letter", "1-1"],
        ["pending", "release", "--consumer", "web-1"],
        ["pending", "retry", "1-1"],
        ["status", "1-1"],
    ],
    ids=" ".join,
)
def test_a_server_that_is_down_is_told_in_a_line(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"127.0.0.1:{free_port()}"

    code, out, err = run_here([*args, "--url", f"redis://{where}"], capsys)

    assert (code, out) == (69, "")
    assert err.startswith(f"streamq: cannot connect to {where}: ")
    assert err.count("\n") == 1


# -- pipes --------------------------------------------------------------------


@pytest.mark.usefixtures("start")
def test_a_reader_that_has_gone_is_no_error() -> None:
    code, err = read_one_line("produce", "a=1", "--count", "50000", "--quiet")
    assert code == 141
    assert re.fullmatch(
        r"streamq: stopped, because nothing reads the output: [\d,]+ jobs were written\n", err
    )


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("options", ["", "--json", "--quiet"])
def test_endless_input_ends_with_the_reader(options: str) -> None:
    """Both ends are other programs: one writes for ever, one reads two lines and goes."""
    streamq = f"{sys.executable} -m streamq"
    pipe = f'yes \'{{"type":"t","data":{{}}}}\' | {streamq} produce --file - {options} | head -2'
    ran = subprocess.run(
        ["bash", "-c", f"{pipe}; echo ${{PIPESTATUS[1]}}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    *_, code = ran.stdout.splitlines()
    assert code == "141"
    assert re.fullmatch(
        r"streamq: stopped, because nothing reads the output: [\d,]+ jobs were written, "
        r"up to line [\d,]+\n", ran.stderr
    )  # fmt: skip


def test_a_worker_that_prints_ends_with_the_reader(start: Start, client: redis.Redis) -> None:
    """The jobs that it could not print are left for another worker."""
    assert start("produce", "a=1", "--count", "20000", "--quiet").end().code == 0

    code, err = read_one_line("consume", "--metrics-port", "0", "--quiet")

    assert code == 141, err
    assert client.xlen("jobs") > 0


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("info",),
        ("info", "--json"),
        ("pending",),
        ("pending", "--json"),
        ("dlq", "list"),
        ("dlq", "list", "--json"),
        ("group", "list", "--json"),
    ],
)
def test_nothing_is_said_to_a_reader_that_has_gone(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STREAMQ_URL", server.unix_url)
    for _ in range(2):
        add(client, {"type": "resize", "data": "{}"})
    anyio.run(partial(fail, server.unix_url, retries=0))
    read(client, "web-1")

    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        ran = run_python(args, stdout=gone)

    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("args", "done"),
    [(("info",), ""), (("server", "status"), ""), (("produce", "a=1"), ""),
     (("produce", "a=1", "--count", "2"), "; 2 jobs were written")],
)  # fmt: skip
def test_output_that_cannot_be_written(start: Start, args: tuple[str, ...], done: str) -> None:
    assert start("group", "create", "images").end().code == 0

    with open("/dev/full", "wb") as full:
        ran = run_python(args, stdout=full)

    assert ran.returncode == 74
    told = f"streamq: cannot write the output: No space left on device{done}\n"
    assert ran.stderr.decode() == told


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(start: Start, closed: str) -> None:
    assert start("produce", "a=1").end().code == 0

    command = [sys.executable, "-m", "streamq", "consume", "--burst", "--metrics-port", "0"]
    ran = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], capture_output=True)

    assert ran.returncode == 0
    info = json.loads(start("info", "--json").end().out)["streams"]
    assert [(stream["length"], stream["groups"][0]["dead"]) for stream in info] == [(0, 0)]


def test_an_empty_url_in_the_environment_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMQ_URL", "")

    assert run_here(["server", "status"], capsys).code == 1


# -- small things -------------------------------------------------------------


def test_a_question_that_nobody_can_answer_is_a_no() -> None:
    confirm("Delete it?", yes=True)
    with pytest.raises(CommandError, match="Give --yes"):
        confirm("Delete it?", yes=False)


def test_spans_and_sizes_for_a_person() -> None:
    assert [duration(s) for s in (0, 2e-05, 0.0123, 9.5, 42.4, 185, 3599, 7260, 90061)] == [
        "0 s", "<1 ms", "0.012 s", "9.5 s", "42 s", "3 min 5 s", "59 min", "2 h 1 min", "1 d 1 h",
    ]  # fmt: skip
    assert [size(n) for n in (512, 1536, 5 * 1024**2)] == ["512 B", "1.5 KiB", "5.0 MiB"]
