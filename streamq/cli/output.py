"""What a command prints: lines, tables and JSON on standard output, notes on standard error."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from streamq.cli.exits import CommandError, ExitCode
from streamq.text import duration as duration
from streamq.text import moment as moment
from streamq.text import printable, printable_lines
from streamq.text import progress as progress
from streamq.text import until as until

if TYPE_CHECKING:
    from rich.console import Console

# What a terminal could take for a command although JSON does not escape it.
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def is_terminal(file: IO[Any] | None = None) -> bool:
    """Whether a person looks at ``file`` (standard output by default)."""
    file = sys.stdout if file is None else file
    return file is not None and not file.closed and file.isatty()


def say(line: str = "") -> None:
    """Print a line of output. The text must be safe already; see :func:`printable`.

    Raises:
        BrokenPipeError: whoever read it has gone.
        CommandError: it cannot be written.
    """
    try:
        print(line)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(error) from None


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
    try:
        text = orjson.dumps(value, option=options).decode()
    except TypeError:  # a number beyond 64 bits
        from pydantic_core import to_json

        text = to_json(value, indent=2 if is_terminal() else None).decode()
    say(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text))


def exact(plain: dict[str, Any], raw: bytes | None) -> dict[str, Any]:
    """An answer whose ``data`` is printed as it was written: numbers of any size included."""
    import orjson

    if raw is not None and plain["data"] is not None and b"\n" not in raw:
        plain["data"] = orjson.Fragment(raw)
    return plain


def console(*, stderr: bool = False) -> Console:
    """A rich console that shows text as it is: no markup, no emoji, no highlighting."""
    from rich.console import Console

    return Console(
        stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=not is_terminal()
    )


def say_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line; those that are ``None`` are left out."""
    known = {name: printable(value) for name, value in fields.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        say(f"{name:<{width}}  {value}")


def say_traceback(traceback: str) -> None:
    """Print where a handler failed, below what is known of the job, if that is known."""
    for line in ("", *printable_lines(traceback)) if traceback else ():
        say(line)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, and return if the answer is yes.

    Args:
        question: such as ``Delete the group images with 3 pending jobs?``.
        yes: the answer was given on the command line.

    Raises:
        CommandError: the answer is no, or there is no terminal to ask at.
    """
    if yes:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise CommandError(f"{question} Give --yes to confirm", ExitCode.USAGE)
    note_prompt = f"{question} [y/N] "
    print(note_prompt, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed")


# -- the descriptors ----------------------------------------------------------


def cannot_write(error: OSError) -> CommandError:
    """The error for output that cannot be written."""
    return CommandError(f"cannot write the output: {error.strerror}", ExitCode.OUTPUT)


def flush() -> None:
    """Write out what was printed.

    Raises:
        BrokenPipeError: whoever read it has gone.
        CommandError: it cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(error) from None


def open_closed() -> None:
    """Let standard streams that were closed lead nowhere.

    Or a socket would get their descriptors, and be taken for them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def give_up_failed() -> None:
    """Let the interpreter's last flush go nowhere where it would fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
