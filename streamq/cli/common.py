"""What all commands share: exit codes, common options, the server, and output.

Nothing heavy is imported before a command needs it, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from streamq.errors import (
    AuthenticationFailed,
    ConfigError,
    EmbeddedServerError,
    GroupNotFound,
    PayloadError,
    ServerUnavailable,
    StreamqError,
)
from streamq.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from streamq.server import Server

T = TypeVar("T")

DEFAULT_STREAM = "jobs"
DEFAULT_GROUP = "default"


# -- exit codes ---------------------------------------------------------------


class ExitCode(IntEnum):
    """What a command's exit code means; ``streamq --help`` lists them."""

    OK = 0
    REFUSED = 1
    """Refused by the server or by the user, or not found."""
    USAGE = 2
    """Wrong usage or bad input."""
    UNAVAILABLE = 69
    """The server cannot be reached or started (``EX_UNAVAILABLE``)."""
    FAULT = 70
    """An error inside streamq (``EX_SOFTWARE``)."""
    AUTHENTICATION = 77
    """The server refused the user name, the password or the permission (``EX_NOPERM``)."""
    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT)."""
    BROKEN_PIPE = 141
    """Whoever read the output has gone (128 + SIGPIPE)."""


class CommandError(StreamqError):
    """What a command itself has to refuse; shown as one line.

    Args:
        message: what happened, to what, and what to do next.
        code: the command's exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.code = code


def exit_code(error: StreamqError) -> ExitCode:
    """The exit code of a command that ends with ``error``."""
    match error:
        case CommandError():
            return error.code
        case AuthenticationFailed():
            return ExitCode.AUTHENTICATION
        case ServerUnavailable() | EmbeddedServerError():
            return ExitCode.UNAVAILABLE
        case ConfigError() | PayloadError():
            return ExitCode.USAGE
        case _:
            return ExitCode.REFUSED


# -- options ------------------------------------------------------------------

_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str | float) -> float:
    """A time span as a person writes it, in seconds: ``30``, ``30s``, ``5m``, ``2h``, ``1d``.

    For ``typer.Option(parser=seconds)``, which hands defaults over too.
    """
    match = _SPAN.fullmatch(str(text))
    if match is None:
        raise typer.BadParameter(
            f"{printable(text, 60)!r} is no time span: give 30, 30s, 5m, 2h or 1d."
        )
    return float(match[1]) * _UNITS[match[2] or "s"]


Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The server: redis://, rediss:// or unix://. "
        "[default: STREAMQ_URL, else the embedded server]",
    ),
]
Stream = Annotated[str, typer.Option("--stream", "-s", metavar="NAME", help="The stream.")]
Group = Annotated[
    str | None, typer.Option("--group", "-g", metavar="NAME", help="Only this consumer group.")
]
TheGroup = Annotated[
    str | None,
    typer.Option(
        "--group",
        "-g",
        metavar="NAME",
        help="The consumer group. [default: the stream's only one]",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print JSON, an object a line, for programs.")
]
Lease = Annotated[
    float,
    typer.Option(
        "--lease",
        metavar="TIME",
        parser=seconds,
        help="The workers' lease: a consumer silent for longer is gone, its jobs are stalled. "
        "[default: 30s]",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def family(help: str) -> typer.Typer:
    """A family of commands, such as ``streamq server start`` and ``stop``."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)


def examples(*lines: str) -> str:
    """An epilog with commands to copy, for ``app.command(epilog=…)``."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


# -- the server ---------------------------------------------------------------


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command's async part to its end and return what it returned."""
    from streamq.app import run_async

    return cast("T", run_async(main))


def start_embedded(url: str | None) -> None:
    """Start the embedded server if it is the one to be used, and tell when that takes long.

    Raises:
        EmbeddedServerError: it cannot be started.
    """
    from streamq.server.address import default_url

    if url is None and default_url() is None:
        from streamq.server import embedded

        embedded.ensure_running(notify=note)


@asynccontextmanager
async def connect(url: str | None) -> AsyncIterator[Server]:
    """The server that ``--url``, ``STREAMQ_URL`` or neither names, closed at the end.

    Raises:
        ConfigError: the URL cannot be used.
        EmbeddedServerError: the embedded server cannot be started.
        ServerUnsupported: the server is too old.
    """
    from streamq.server import Server

    start_embedded(url)
    server = Server(url)
    try:
        await server.info()
        yield server
    finally:
        await server.close()


async def the_group(server: Server, stream: str, given: str | None) -> str:
    """The group that is meant: the one given, or else the stream's only one.

    Raises:
        CommandError: there are several.
        GroupNotFound: there is none.
        StreamNotFound: there is no such stream.
    """
    from streamq.keys import check_group
    from streamq.reading import group_names

    if given is not None:
        return check_group(given)
    names = await group_names(server, stream)
    if not names:
        raise GroupNotFound(f"the stream {printable(stream, 100)} has no groups")
    if len(names) > 1:
        some = ", ".join(printable(name, 100) for name in sorted(names)[:10])
        raise CommandError(f"say which group is meant with --group: {some}", ExitCode.USAGE)
    return names[0]


# -- output -------------------------------------------------------------------

# What a terminal could take for a command although JSON does not escape it.
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def is_terminal(file: IO[Any] | None = None) -> bool:
    """Whether a person looks at ``file`` (standard output by default)."""
    file = sys.stdout if file is None else file
    return file is not None and not file.closed and file.isatty()


def say(line: str = "") -> None:
    """Print a line of output. The text must be safe already; see :func:`printable`."""
    print(line)


def note(line: str) -> None:
    """Print a line for the person at the terminal, on standard error."""
    print(line, file=sys.stderr, flush=True)


def complain(message: object) -> None:
    """Print ``streamq: message`` on standard error."""
    note(f"streamq: {printable(message)}")


def say_json(value: Any) -> None:
    """Print a JSON document: indented for a person, on one line for a program.

    Dates are written as ISO 8601; characters that steer a terminal as ``\\uXXXX``.
    """
    import orjson

    options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if is_terminal() else 0)
    text = orjson.dumps(value, option=options).decode()
    say(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text))


def exact(plain: dict[str, Any], raw: bytes | None) -> dict[str, Any]:
    """An answer whose ``data`` is printed as it was written: numbers of any size included."""
    import orjson

    if raw is not None and "raw" not in plain and b"\n" not in raw:
        plain["data"] = orjson.Fragment(raw)
    return plain


def console(*, stderr: bool = False) -> Console:
    """A rich console that shows text as it is: no markup, no emoji, no highlighting."""
    from rich.console import Console

    return Console(
        stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=not is_terminal()
    )


def say_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    shrink: Sequence[str] = (),
) -> None:
    """Print a table that fits the terminal; piped, nothing is cut and nothing coloured.

    Args:
        headers: a title for each column.
        rows: the cells; control characters in them are escaped, ``None`` is empty.
        right: headers of columns with numbers.
        shrink: headers of columns that are cut to make the table fit.
    """
    from rich.table import Table
    from rich.text import Text

    screen = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(
            Text(header),
            justify="right" if header in right else "left",
            no_wrap=True,
            overflow="ellipsis" if header in shrink else "fold",
            min_width=None if header in shrink else len(header),
        )
    lines = [["" if cell is None else printable(cell) for cell in row] for row in rows]
    for line in lines:
        table.add_row(*map(Text, line))
    if is_terminal():
        screen.print(table)
    else:
        from rich.cells import cell_len

        width = sum(
            max(cell_len(cell) for cell in column) + 2
            for column in zip(headers, *lines, strict=True)
        )
        screen.width = max(width, 1)
        with screen.capture() as capture:
            screen.print(table)
        for text in capture.get().splitlines():
            say(text.rstrip())


def say_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line; those that are ``None`` are left out."""
    known = {name: printable(value) for name, value in fields.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        say(f"{name:<{width}}  {value}")


def duration(seconds: float) -> str:
    """A time span for a person: ``0.25 s``, ``42 s``, ``3 min 5 s``, ``3 d 4 h``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for unit, size, below, below_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // below_size
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def moment(unix: float) -> str:
    """A time for a person: ``2026-03-01 14:03:07 (5 min 2 s ago)``, where they live."""
    import time

    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))
    return f"{local} ({duration(max(time.time() - unix, 0))} ago)"


def memory(count: float) -> str:
    """A number of bytes for a person: ``512 B``, ``1.5 KiB``, ``3.2 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


# -- questions ----------------------------------------------------------------


def confirm(question: str, *, yes: bool) -> None:
    """Ask, and return if the answer is yes.

    Args:
        question: such as ``Delete the group images with 3 pending jobs?``.
        yes: the answer was given on the command line.

    Raises:
        CommandError: the answer is no, or nobody is there to ask.
    """
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise CommandError(f"{question} Give --yes to confirm", ExitCode.USAGE)
    note_prompt = f"{question} [y/N] "
    print(note_prompt, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed")


def silence_broken_pipe() -> None:
    """Let the interpreter's last flush of the output go nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
