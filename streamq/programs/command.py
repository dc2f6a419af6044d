"""A program as a handler: one process a job, for workers that need no Python.

The program gets the job as JSON on its standard input, fields of it as arguments where
the command has placeholders, and the job's ID and the like in its environment::

    convert -resize 256 -- {file} thumbnails/{@id}.png

An argument is made after the command was split into words, and no shell reads it: what
is in the data stays one argument, whatever characters it has.

====================  =========================================================
exit code             what becomes of the job
====================  =========================================================
0                     succeeded; standard output, if it is one JSON value and
                      not larger than 64 KiB, is the result
75 (``EX_TEMPFAIL``)  tried again later: the program asked for it
65 (``EX_DATAERR``)   dead letter at once: trying again is of no use
any other             failed: tried again while there are retries
====================  =========================================================

The end of standard error tells why. When the job's time is over, or the worker stops or
is killed, the program and its children get SIGTERM, and SIGKILL three seconds later.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

from streamq.errors import ConfigError, InvalidArguments
from streamq.handlers.handler import ANY, Arguments, Handler, make_handler
from streamq.job import Job
from streamq.limits import MAX_RESULT, RETRIES
from streamq.programs.watchdog import Guard
from streamq.retry import Dead, Retry
from streamq.signals import Leaving, Signal
from streamq.text import printable
from streamq.wire import json

TRY_AGAIN = 75
GIVE_UP = 65

TERM_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL; less than what a cancelled handler may take."""

REAP = 1.0
"""Seconds that a program has for ending after SIGKILL."""

DRAIN = 1.0
"""Seconds for reading on after the program ended: its children may hold the pipes."""

MAX_ARGUMENT = 128 * 1024 - 1
"""Bytes of one argument; Linux takes no more."""

TAIL = 1000
"""Bytes of standard error that are kept."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD = re.compile(r"[A-Za-z_][\w.-]*")
_ABOUT_JOB: Mapping[str, Callable[[Job], object]] = {
    "@id": lambda job: job.id,
    "@type": lambda job: job.type,
    "@stream": lambda job: job.stream,
    "@group": lambda job: job.group,
    "@attempt": lambda job: job.attempt,
    "@data": lambda job: job.raw.decode("utf-8", "surrogateescape"),
}
_INTERPRETERS = re.compile(
    r"(ba|da|z|k|fi|a)?sh|python[\d.]*|perl|ruby|node|php|lua[\d.]*|su|script"
)
_SHELL_BEHIND = ("ssh", "watch", "parallel")
_SCRIPT_OPTION = re.compile(r"-[A-Za-z]*[cer]|--(eval|command|execute)")


class Placeholder(NamedTuple):
    """A field of the job's data, or one of the ``@`` names."""

    name: str


class Command:
    """A command line with placeholders.

    ``{file}`` stands for the field ``file`` of the job's data: text as it is, any other
    value as JSON. ``{@id}``, ``{@type}``, ``{@stream}``, ``{@group}``, ``{@attempt}``
    and ``{@data}`` (all of it, as JSON) tell of the job itself. ``{{`` and ``}}`` are
    braces.

    Args:
        template: split into words as a shell would, without anything else a shell does.

    Raises:
        ConfigError: it cannot be used, or is not safe.
    """

    def __init__(self, template: str) -> None:
        try:
            words = shlex.split(template)
        except ValueError as error:
            raise ConfigError(f"the command cannot be split into words: {error}") from None
        if not words:
            raise ConfigError("the command is empty: name a program")
        self._words = [_parse(word) for word in words]
        if any(isinstance(part, Placeholder) for part in self._words[0]):
            raise ConfigError("the program itself cannot come from the job's data")
        self._refuse_scripts(words)
        self.program = words[0]
        if shutil.which(self.program) is None:
            raise ConfigError(f"no program '{printable(self.program, 100)}' is on the PATH")

    def arguments(self, job: Job) -> list[bytes]:
        """The program and its arguments for one job.

        Raises:
            InvalidEntry: the data is not JSON.
            InvalidArguments: a field is missing, or could be mistaken for an option.
        """
        arguments: list[bytes] = []
        options_may_follow = True
        for word in self._words:
            value = "".join(
                part if isinstance(part, str) else _value(part.name, job) for part in word
            )
            first = word[0] if word else ""
            if options_may_follow and isinstance(first, Placeholder) and _is_option(value):
                raise InvalidArguments(
                    f"{first.name} begins with '-' and could be taken for an option: "
                    f"{printable(value, 60)}; put -- before it in the command"
                )
            if word == ["--"]:
                options_may_follow = False
            arguments.append(_encode(value))
        return arguments

    def _refuse_scripts(self, words: list[str]) -> None:
        """No placeholder where a shell or another interpreter would read it as code."""
        names = [os.path.basename(word) for word in words]
        for i, parts in enumerate(self._words):
            if not any(isinstance(part, Placeholder) for part in parts):
                continue
            shell = next((name for name in names[:i] if name in _SHELL_BEHIND), None)
            if shell is not None:
                raise ConfigError(
                    f"{shell} hands its arguments to a shell, which would read the job's data as "
                    "code: let the program read the job from its standard input"
                )
            if _SCRIPT_OPTION.fullmatch(words[i - 1]) and any(
                _INTERPRETERS.fullmatch(name) for name in names[: i - 1]
            ):
                raise ConfigError(
                    "a placeholder inside a script would let data run as code: pass it as an "
                    "argument, such as sh -c 'cp -- \"$1\" /backup' sh {file}"
                )


def exec_handler(
    template: str,
    *,
    retries: int = RETRIES,
    timeout: float | None = None,
    output: Callable[[bytes], None],
) -> Handler:
    """A handler for every type that runs a program for each job.

    Args:
        template: the command line; see :class:`Command`.
        retries: tries after a first failure.
        timeout: seconds that the program may run.
        output: called with what the program writes to its standard output, whole
            lines at a time.

    Raises:
        ConfigError: the command cannot be used.
    """
    command = Command(template)

    async def run(job: Job) -> Any:
        return await _run(command, job, output)

    def bind(job: Job) -> Arguments:
        _ = job.data  # entries that are not JSON are dead letters
        command.arguments(job)
        return (job,), {}

    return replace(make_handler(ANY, run, retries=retries, timeout=timeout), bind=bind)


def end_programs(event: Signal) -> None:
    """An observer that kills the programs when the process is about to leave at once."""
    if isinstance(event, Leaving):
        for pid in list(_running):
            _kill_group(pid, signal.SIGKILL)


# -- the template -------------------------------------------------------------


def _parse(word: str) -> list[str | Placeholder]:
    parts: list[str | Placeholder] = []
    end = 0
    for match in _BRACES.finditer(word):
        parts.append(word[end : match.start()])
        end = match.end()
        name = match[1]
        if match[0] in ("{{", "}}"):
            parts.append(match[0][0])
        elif name is not None and (name in _ABOUT_JOB or _FIELD.fullmatch(name)):
            parts.append(Placeholder(name))
        else:
            known = f"; names with @ are {', '.join(_ABOUT_JOB)}" if name and "@" in name else ""
            raise ConfigError(
                f"{match[0]} in the command names no field: write {{file}} for the field 'file', "
                f"{{{{ and }}}} for braces{known}"
            )
    parts.append(word[end:])
    return [part for part in parts if part]


def _value(name: str, job: Job) -> str:
    if name in _ABOUT_JOB:
        return str(_ABOUT_JOB[name](job))
    data = job.data
    if not isinstance(data, dict):
        raise InvalidArguments(f"the data is not an object with fields but {printable(data, 60)}")
    if name not in data:
        raise InvalidArguments(f"{name} is missing")
    value = data[name]
    return value if isinstance(value, str) else json.dumps(value).decode()


def _is_option(value: str) -> bool:
    return value.startswith("-") and not re.fullmatch(r"-[\d.]+(e[+-]?\d+)?", value)


def _encode(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise InvalidArguments(f"an argument cannot have NUL bytes: {printable(value, 60)}")
    if len(raw) > MAX_ARGUMENT:
        raise InvalidArguments(
            f"an argument of {len(raw):,} bytes is more than the system takes: "
            "read it from standard input instead"
        )
    return raw


# -- the process --------------------------------------------------------------


_running: set[int] = set()
"""The programs' process IDs, which are their process groups' too."""
_guard = Guard()


async def _run(command: Command, job: Job, output: Callable[[bytes], None]) -> Any:
    loop = asyncio.get_running_loop()
    try:
        transport, program = await loop.subprocess_exec(
            lambda: _Program(output),
            *command.arguments(job),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **_environment(job)},
            # A group of its own: Ctrl-C is for the worker, which lets the program finish.
            start_new_session=True,
        )
    except OSError as error:
        why = f"cannot run {command.program}: {error.strerror}"
        raise (Dead if error.errno == errno.E2BIG else Retry)(why) from None
    pid = transport.get_pid()
    _running.add(pid)
    _guard.add(pid)
    try:
        stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        if not stdin.is_closing():  # as it is when the program has ended already
            stdin.write(json.dumps(job.as_dict()) + b"\n")
            stdin.close()  # once that is written
        await asyncio.wait([program.ended])
        await asyncio.wait([program.silent], timeout=DRAIN)
    except BaseException:  # a cancellation, as a rule
        await _end(pid, program)
        raise
    finally:
        _running.discard(pid)
        _guard.remove(pid)
        transport.close()
        program.stdout.finish()
    code = transport.get_returncode() or 0
    if code == 0:
        return program.stdout.result()
    why = _explain(code, program.stderr.lines())
    raise Dead(why) if code == GIVE_UP else Retry(why)


async def _end(pid: int, program: _Program) -> None:
    """End a program and its children: politely, then not."""
    try:
        _kill_group(pid, signal.SIGTERM)
        await asyncio.wait([program.ended], timeout=TERM_GRACE)
    finally:
        _kill_group(pid, signal.SIGKILL)
        # Closed before that is known, its transport would never learn of the end.
        await asyncio.wait([program.ended], timeout=REAP)


def _kill_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # all of them have ended


def _environment(job: Job) -> dict[str, str]:
    return {
        "STREAMQ_JOB_ID": job.id,
        "STREAMQ_TYPE": printable(job.type),
        "STREAMQ_STREAM": job.stream,
        "STREAMQ_GROUP": job.group,
        "STREAMQ_ATTEMPT": str(job.attempt),
        "STREAMQ_RETRIES": str(job.retries),
    }


def _explain(code: int, tail: str) -> str:
    if code < 0:
        try:
            how = f"killed by {signal.Signals(-code).name}"
        except ValueError:
            how = f"killed by signal {-code}"
    elif code == TRY_AGAIN:
        how = "asked to be tried again (exit code 75)"
    else:
        how = f"exit code {code}"
    return f"{how}: {tail}" if tail else how


class _Program(asyncio.SubprocessProtocol):
    """One run of a program.

    Attributes:
        ended: done when the process has ended.
        silent: done when nothing more can come from it or its children.
    """

    def __init__(self, output: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.silent: asyncio.Future[None] = loop.create_future()
        self.stdout = _Output(output)
        self.stderr = _Tail()
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self.stdout if fd == 1 else self.stderr).take(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        # Standard input is lost when the program does not read it: its own affair.
        self._open.discard(fd)
        if not self._open and not self.silent.done():
            self.silent.set_result(None)

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class _Output:
    """Standard output: passed on in whole lines, and kept while it may be the result."""

    def __init__(self, output: Callable[[bytes], None]) -> None:
        self._output = output
        self._kept = bytearray()
        self._line = b""
        self._size = 0

    def take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MAX_RESULT:
            self._kept += chunk
        whole, newline, rest = (self._line + chunk).rpartition(b"\n")
        if len(rest) > MAX_RESULT:
            whole, newline, rest = self._line + chunk, b"", b""
        self._line = rest
        if whole or newline:
            self._output(whole + newline)

    def finish(self) -> None:
        if self._line:
            self._output(self._line + b"\n")
            self._line = b""

    def result(self) -> Any:
        if 0 < self._size <= MAX_RESULT:
            try:
                return json.loads(bytes(self._kept))
            except ValueError:
                pass
        return None


class _Tail:
    """The end of standard error."""

    def __init__(self) -> None:
        self._kept = b""

    def take(self, chunk: bytes) -> None:
        self._kept = (self._kept + chunk)[-TAIL:]

    def lines(self) -> str:
        text = self._kept.decode("utf-8", "replace")
        return " | ".join(line.strip() for line in text.splitlines() if line.strip())
