"""Options that several commands have, and what their help has in common."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

from streamq.cli.command import BadParameter, Completer, Context, Family, Option
from streamq.errors import ConfigError
from streamq.limits import LEASE, MAX_PORT
from streamq.text import UNITS, printable, span

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from streamq.cli.completing import Kind

Choice = TypeVar("Choice", bound=StrEnum)

SHOWN = 100
"""Rows of a list, unless ``--limit`` says otherwise."""


def seconds(text: str | float) -> float:
    """A duration as a person writes it, in seconds: ``30``, ``30s``, ``5m``, ``2h``, ``1d``.

    For ``Option(parser=seconds)``, which hands defaults over too, as for all parsers.
    """
    found = span(str(text))
    if found is None:
        raise BadParameter(f"{printable(text, 60)!r} is not a duration: give 30, 30s, 5m, 2h or 1d")
    return found


def as_typed(seconds: float) -> str:
    """A duration in seconds as a person would type it: ``30s``, ``5m``, ``1d``."""
    unit = next(u for u in ("d", "h", "m", "s", "ms") if u == "ms" or seconds % UNITS[u] == 0)
    return f"{seconds / UNITS[unit]:g}{unit}"


def seconds_within(least: float, most: float, said: str) -> Callable[[str | float], float]:
    """A parser of durations like :func:`seconds`, within limits.

    Args:
        said: the limits, for a person: ``1ms to 1h``.
    """

    def parse(text: str | float) -> float:
        given = seconds(text)
        if not least <= given <= most:
            raise BadParameter(f"{printable(text, 60)!r}: give {said}")
        return given

    return parse


def moment(text: str) -> datetime:
    """A time with its zone; for ``Option(parser=moment)``."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadParameter(f"{printable(text, 60)!r}: give a time as 2030-01-31T07:00Z") from None
    if at.tzinfo is None:
        raise BadParameter(f"{printable(text, 60)!r} has no time zone: add Z or +01:00")
    return at


def starting_place(text: str) -> str:
    """Where a group starts in its stream; for ``Option(parser=starting_place)``."""
    from streamq.server.group import check_start

    try:
        return check_start(text)
    except ConfigError as error:
        raise BadParameter(str(error)) from None


def at_least(least: int, most: int | None = None) -> Callable[[str | int], int]:
    """A parser of whole numbers from ``least`` on, for ``Option(parser=…)``."""
    said = f"{least} or more" if most is None else f"{least} to {most:,}"

    def parse(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise BadParameter(f"{printable(text, 60)!r}: give a whole number, {said}")
        return number

    return parse


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    """A parser of the values of ``choices``, for ``Option(parser=…)``."""

    def parse(text: str) -> Choice:
        try:
            return choices(text)
        except ValueError:
            known = ", ".join(choices)
            raise BadParameter(f"{printable(text, 60)!r}: give one of {known}") from None

    return parse


def port(text: str | int) -> int:
    """A port, or 0; for ``Option(parser=port)``."""
    number = at_least(0)(text)
    if number > MAX_PORT:
        raise BadParameter(f"{number} is not a port: give 0 to {MAX_PORT}")
    return number


# What the shell proposes; imported only when it asks.


def from_server(kind: Kind) -> Completer:
    """Propose values that the server knows, for ``Option(complete=…)``."""

    def complete(ctx: Context, typed: str) -> list[CompletionItem[str]]:
        from streamq.cli.completing import propose

        return propose(kind, ctx, typed)

    return complete


def among(choices: type[Choice]) -> Completer:
    """Propose the values of ``choices``, for ``Option(complete=…)``."""

    def complete(ctx: Context, typed: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(one.value) for one in choices if one.startswith(typed)]

    return complete


def files(ctx: Context, typed: str) -> list[CompletionItem[str]]:
    """Let the shell propose files, for ``Option(complete=files)``."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(typed, type="file")]


Url = Annotated[
    str | None,
    Option(
        "--url",
        metavar="URL",
        help="The server: redis://, rediss:// or unix://; several: redis+cluster:// or "
        "redis+sentinel://. "
        "[default: STREAMQ_URL, else the embedded server]",
    ),
]
Stream = Annotated[
    str,
    Option("--stream", "-s", metavar="NAME", help="The stream.", complete=from_server("streams")),
]
Group = Annotated[
    str | None,
    Option(
        "--group",
        "-g",
        metavar="NAME",
        help="Only this consumer group.",
        complete=from_server("groups"),
    ),
]
TheGroup = Annotated[
    str | None,
    Option(
        "--group",
        "-g",
        metavar="NAME",
        help="The consumer group. [default: the stream's only one]",
        show_default=False,
        complete=from_server("groups"),
    ),
]
Json = Annotated[bool, Option("--json", help="Print JSON, for programs.")]
JsonLines = Annotated[bool, Option("--json", help="Print JSON, an object a line, for programs.")]
Lease = Annotated[
    float,
    Option(
        "--lease",
        metavar="TIME",
        parser=seconds,
        help="The workers' lease: a consumer silent for longer is gone, its jobs are stalled. "
        f"[default: {as_typed(LEASE)}]",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    Option(
        "--limit",
        "-n",
        metavar="N",
        parser=at_least(1),
        help=f"Show at most N. [default: {SHOWN}; with --json all]",
        show_default=False,
    ),
]
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]


def family(help: str) -> Family:
    """A family of commands, such as ``streamq server start`` and ``stop``."""
    return Family(help=help, no_args_is_help=True)


def examples(*lines: str) -> str:
    """An epilog with commands to copy, for ``app.command(epilog=…)``."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
