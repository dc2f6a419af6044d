"""A program as a handler: its arguments, its exit codes, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from streamq.errors import ConfigError, InvalidArguments, InvalidEntry
from streamq.job import Job
from streamq.programs.command import Command
from streamq.programs.handler import exec_handler
from streamq.programs.process import end_programs
from streamq.retry import Dead, Retry
from streamq.signals import Leaving
from streamq.wire.entry import decode
from tests.cli.support import has_ended
from tests.waiting import eventually


def job(data: Any = None, *, raw: bytes | None = None, type: str = "resize") -> Job:
    raw = json.dumps({} if data is None else data).encode() if raw is None else raw
    wire = decode([b"type", type.encode(), b"data", raw])
    return Job("5-1", "jobs", "images", "me", 2, wire, 3)


def arguments(template: str, data: Any = None) -> list[str]:
    return [argument.decode() for argument in Command(template).arguments(job(data))[1:]]


# -- the command --------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "data", "expected"),
    [
        ("echo a 'b c' \"d\"", {}, ["a", "b c", "d"]),
        ("echo {file}", {"file": "a b;$(c)'\"*\n"}, ["a b;$(c)'\"*\n"]),
        ("echo '{file}' --o={file}.png", {"file": "a"}, ["a", "--o=a.png"]),
        ("echo {n} {f} {l} {o} {t} {z}", {
            "n": 1, "f": 1.5, "l": [1, "x"], "o": {"a": "é"}, "t": True, "z": None,
        }, ["1", "1.5", '[1,"x"]', '{"a":"é"}', "true", "null"]),
        ("echo {a}{b}", {"a": "1", "b": ""}, ["1"]),
        ("echo {a}", {"a": ""}, [""]),
        ("echo {{a}} {{{a}}}", {"a": "1"}, ["{a}", "{1}"]),
        ("echo {@id} {@type} {@stream} {@group} {@attempt}", {}, [
            "5-1", "resize", "jobs", "images", "2",
        ]),
        ("echo {@data}", {"a": [1]}, ['{"a": [1]}']),
        ("echo {a}", {"a": "{b}"}, ["{b}"]),
        ("echo {n} -- {a}", {"n": -5, "a": "-rf"}, ["-5", "--", "-rf"]),
        ("echo ./{a}", {"a": "-rf"}, ["./-rf"]),
    ],
)  # fmt: skip
def test_arguments(template: str, data: Any, expected: list[str]) -> None:
    assert arguments(template, data) == expected


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"b": 1}, "a is missing"),
        ([1], "the data is not an object with fields"),
        ({"a": "-rf"}, "a begins with '-' .* put -- before it"),
        ({"a": "-"}, "a begins with '-'"),
        ({"a": "x\0y"}, r"cannot have NUL bytes: x\\x00y"),
        ({"a": "x" * 200_000}, "200,000 bytes is more than the system takes"),
    ],
)
def test_data_that_does_not_fit(data: Any, problem: str) -> None:
    with pytest.raises(InvalidArguments, match=problem):
        arguments("echo {a}", data)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("", "is empty"),
        ("echo 'a", "cannot be split into words"),
        ("no-such-program-anywhere", "no program 'no-such-program-anywhere' is on the PATH"),
        ("{file} x", "cannot come from the job's data"),
        ("echo {}", "{} in the command names no field"),
        ("awk '{print $1}'", r"{print \$1} in the command names no field"),
        ("echo {@nothing}", "names with @ are @id, "),
        ("echo }", "{{ and }} for braces"),
        ("sh -c 'cp {file} /backup'", "would let data run as code"),
        ("env nice /bin/bash -ec 'cp {file} /backup'", "would let data run as code"),
        ("python3 -c 'print({n})'", "would let data run as code"),
        ("env ssh host cp {file} /backup", "ssh hands its arguments to a shell"),
    ],
)
def test_a_command_that_cannot_work_or_is_not_safe(template: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Command(template)


def test_data_may_be_an_argument_of_a_script() -> None:
    assert arguments("sh -c 'cp -- \"$1\" /backup' sh {file}", {"file": "a b"})[-1] == "a b"


def test_what_is_no_json_never_starts_a_program() -> None:
    handler = exec_handler("echo", output=print)
    with pytest.raises(InvalidEntry):
        handler.bind(job(raw=b"nonsense"))


# -- running it ---------------------------------------------------------------


class Runs:
    """Runs programs, and keeps what they print."""

    def __init__(self) -> None:
        self.printed = b""

    def output(self, lines: bytes) -> None:
        self.printed += lines

    async def __call__(self, template: str, data: Any = None) -> Any:
        handler = exec_handler(template, output=self.output)
        args, kwargs = handler.bind(job(data))
        return await handler.function(*args, **kwargs)


@pytest.fixture
def run() -> Runs:
    return Runs()


@pytest.mark.anyio
class TestRunning:
    """Programs that are really run."""

    async def test_the_program_gets_the_job_as_json_and_in_its_environment(self, run: Runs) -> None:
        await run("cat", {"file": "é"})
        await run("env")

        first, *rest = run.printed.decode().splitlines()
        assert json.loads(first) == {
            "id": "5-1", "stream": "jobs", "group": "images", "type": "resize", "attempt": 2,
            "retries": 3, "created_at": 0.005, "data": {"file": "é"},
        }  # fmt: skip
        assert {
            "STREAMQ_JOB_ID=5-1", "STREAMQ_TYPE=resize", "STREAMQ_STREAM=jobs",
            "STREAMQ_GROUP=images", "STREAMQ_ATTEMPT=2", "STREAMQ_RETRIES=3",
        } <= set(rest)  # fmt: skip

    async def test_a_program_that_does_not_read_its_input(self, run: Runs) -> None:
        assert await run("true", {"a": "x" * 500_000}) is None

    @pytest.mark.parametrize(
        ("printed", "result"),
        [
            ('{"a": 1}', {"a": 1}),
            ("[1]\n", [1]),
            ("done", None),
            ("1\n2\n", None),
            ("", None),
            (f'"{"x" * 70_000}"', None),
        ],
    )
    async def test_json_on_standard_output_is_the_result(
        self, run: Runs, printed: str, result: Any
    ) -> None:
        assert await run("printf %s {text}", {"text": printed}) == result
        assert run.printed.decode().strip() == printed.strip()

    async def test_output_is_passed_on_in_whole_lines(
        self, run: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pieces: list[bytes] = []
        monkeypatch.setattr(run, "output", pieces.append)

        await run(
            "sh -c 'printf one; sleep 0.01; printf \"\\\\ntwo\\\\nth\"; sleep 0.01; printf ree'"
        )

        assert b"".join(pieces) == b"one\ntwo\nthree\n"
        assert all(piece.endswith(b"\n") for piece in pieces)

    async def test_a_failure_tells_the_end_of_standard_error(self, run: Runs) -> None:
        script = "echo begin >&2; seq 1000 >&2; printf 'a\\n\\n b\\n' >&2; exit 3"
        with pytest.raises(Retry, match=r"^exit code 3: .*\| 1000 \| a \| b$") as failure:
            await run(f'sh -c "{script}"')
        assert failure.value.delay is None
        assert "begin" not in str(failure.value)

    async def test_75_asks_for_another_try(self, run: Runs) -> None:
        with pytest.raises(Retry, match=r"^asked for another attempt \(exit code 75\): busy$"):
            await run("sh -c 'echo busy >&2; exit 75'")

    async def test_65_gives_the_job_up(self, run: Runs) -> None:
        with pytest.raises(Dead, match=r"^exit code 65: no image$"):
            await run("sh -c 'echo no image >&2; exit 65'")

    async def test_a_program_that_was_killed(self, run: Runs) -> None:
        with pytest.raises(Retry, match=r"^killed by SIGKILL$"):
            await run("sh -c 'kill -9 $$'")

    async def test_a_program_that_has_gone(self, run: Runs, tmp_path: Path) -> None:
        program = tmp_path / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        handler = exec_handler(str(program), output=run.output)
        program.unlink()

        with pytest.raises(Retry, match=r"^cannot run .*program: No such file or directory$"):
            await handler.function(job())

    async def test_children_that_live_on_do_not_keep_the_job(self, run: Runs) -> None:
        pid = await run("sh -c 'sleep 60 & echo $!'")

        os.kill(pid, signal.SIGKILL)

    @pytest.mark.parametrize("trap", ["exit", ""], ids=["obedient", "stubborn"])
    async def test_when_cancelled_it_ends_with_its_children(
        self, run: Runs, monkeypatch: pytest.MonkeyPatch, trap: str
    ) -> None:
        monkeypatch.setattr("streamq.programs.process.TERM_GRACE", 0.1)
        pids: asyncio.Queue[bytes] = asyncio.Queue()
        monkeypatch.setattr(run, "output", pids.put_nowait)

        script = f'trap "{trap}" TERM; sleep 60 & echo $$ $!; wait; wait'
        task = asyncio.create_task(run(f"sh -c '{script}'"))
        both = await pids.get()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        program, child = map(int, both.split())
        with pytest.raises(ProcessLookupError):
            os.kill(program, 0)  # its end has been taken note of: it is no zombie
        await gone(child)

    async def test_when_cancelled_twice_it_ends_at_once(
        self, run: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pids: asyncio.Queue[bytes] = asyncio.Queue()
        monkeypatch.setattr(run, "output", pids.put_nowait)
        monkeypatch.setattr("streamq.programs.process.TERM_GRACE", 3600.0)

        script = 'trap "echo told" TERM; echo $$; while :; do sleep 0.1; done'
        task = asyncio.create_task(run(f"sh -c '{script}'"))
        pid = int(await pids.get())
        task.cancel()
        assert await pids.get() == b"told\n"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_when_the_process_leaves_at_once_they_are_killed(
        self, run: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started = asyncio.Event()
        monkeypatch.setattr(run, "output", lambda lines: started.set())

        task = asyncio.create_task(run("sh -c 'echo; sleep 60; sleep 60'"))
        await started.wait()
        end_programs(Leaving(1, 30.0))

        with pytest.raises(Retry, match="killed by SIGKILL"):
            await task


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    await eventually(lambda: has_ended(pid))
