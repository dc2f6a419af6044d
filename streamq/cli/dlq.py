"""``streamq dlq``: dead letters, listed, shown, sent back or deleted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypedDict

from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run, run_or_refuse, the_group
from streamq.cli.exits import CommandError, exit_code
from streamq.cli.options import (
    SHOWN,
    Group,
    JsonLines,
    Limit,
    Stream,
    TheGroup,
    Url,
    Yes,
    examples,
    family,
    from_server,
    seconds,
)
from streamq.cli.output import (
    complain,
    confirm,
    duration,
    exact,
    is_terminal,
    moment,
    note,
    say,
    say_fields,
    say_json,
)
from streamq.cli.rows import Row, say_rows
from streamq.errors import ConfigError, JobNotFound, StreamqError
from streamq.limits import DEFAULT_STREAM
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Admin, DeadLetter, DeadLetters, Redriven

PREVIEW = 120
"""Characters of a job's data that a terminal shows in a list."""

SEE_LIST = "see streamq dlq list"

TOLD = 10
"""Redriven jobs that are printed one by one; of more than that, the number says enough."""


def register(app: Family) -> None:
    """Add the commands."""
    app.add(
        commands,
        name="dlq",
        short_help="List, show, redrive or purge dead letters.",
        epilog=examples("streamq dlq list", "streamq dlq redrive --all --group images"),
    )


commands = family("List, show, redrive or purge dead letters: the jobs that a group gave up.")

SomeIds = Annotated[
    list[str] | None,
    Argument(
        metavar="ID",
        help="The IDs of the jobs, or of the letters.",
        complete=from_server("dead letters"),
    ),
]
All = Annotated[bool, Option("--all", help="All dead letters of the group.")]
Type = Annotated[str | None, Option("--type", "-t", metavar="TYPE", help="Only jobs of this type.")]
OlderThan = Annotated[
    float | None,
    Option(
        "--older-than",
        metavar="TIME",
        parser=seconds,
        help="Only those that have been dead for this long.",
    ),
]


@commands.command(
    "list",
    short_help="List the dead letters of every group, or of one.",
    epilog=examples(
        "streamq dlq list",
        "streamq dlq list --group images --type resize --newest",
        "streamq dlq list --json | jq -r .error | sort | uniq -c",
    ),
)
def list_(
    group: Group = None,
    type: Type = None,
    older_than: OlderThan = None,
    newest: Annotated[bool, Option("--newest", help="Show the newest first.")] = False,
    limit: Limit = None,
    json: JsonLines = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """List the dead letters, the oldest first; of every group, or of one."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            found: list[DeadLetter] = []
            total = 0
            left = limit if limit is not None or json else SHOWN
            for letters in await _of_groups(Admin(server), stream, group):
                total += await letters.count()
                async for letter in letters.list(
                    type=type, older_than=older_than or 0.0, newest_first=newest, limit=left
                ):
                    if left is not None:
                        left -= 1
                    if json:
                        say_json(exact(letter.to_dict(), letter.raw))
                    else:
                        found.append(letter)
            if not json:
                _show(found, total)

    run(main)


@commands.command(epilog=examples("streamq dlq show 1716998413541-0"))
def show(
    id: Annotated[
        str,
        Argument(
            metavar="ID",
            help="The ID of the job, or of the letter.",
            complete=from_server("dead letters"),
        ),
    ],
    group: Group = None,
    json: JsonLines = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Show all of a dead letter. Exit code 1 if there is none."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            found = []
            for letters in await _of_groups(Admin(server), stream, group):
                try:
                    found.append(await letters.get(id))
                except JobNotFound:
                    pass
            if not found:
                who = f"the group {group}" if group else "no group"
                has = "has no" if group else "has a"
                raise JobNotFound(
                    f"{who} of {printable(stream, 100)} {has} dead letter {id}; {SEE_LIST}"
                )
            for place, letter in enumerate(found):
                if json:
                    say_json(exact(letter.to_dict(), letter.raw))
                    continue
                if place:
                    say()
                _show_one(letter)

    run(main)


@commands.command(
    short_help="Send dead letters back to be processed again.",
    epilog=examples(
        "streamq dlq redrive 1716998413541-0",
        "streamq dlq redrive --group images --type resize --older-than 1h",
        "streamq dlq redrive --group images --all",
    ),
)
def redrive(
    ids: SomeIds = None,
    all: All = False,
    type: Type = None,
    older_than: OlderThan = None,
    group: TheGroup = None,
    json: JsonLines = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Send dead letters back to their stream, as new jobs for the group that failed them.

    No other group runs them again. Exit code 1 if one of them could not be redriven.
    """
    wanted = _wanted(ids, all, type, older_than)

    async def main() -> bool:
        async with _letters_of(url, stream, group) as letters:
            report = _Report(letters.group, json=json)
            try:
                if wanted.ids:
                    report.tell(await letters.redrive(wanted.ids))
                else:
                    await letters.redrive_all(**wanted.filters, progress=report.tell)
            except StreamqError as error:
                if not report.done:
                    raise
                told = f"{error}; {_count(report.done)} had been redriven"
                raise CommandError(told, exit_code(error)) from error
            report.close()
            return not report.failed

    run_or_refuse(main)


@commands.command(
    epilog=examples(
        "streamq dlq purge 1716998413541-0",
        "streamq dlq purge --group images --older-than 30d --yes",
    )
)
def purge(
    ids: SomeIds = None,
    all: All = False,
    type: Type = None,
    older_than: OlderThan = None,
    group: TheGroup = None,
    yes: Yes = False,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Delete dead letters for good. Exit code 1 if one of the IDs has no dead letter."""
    wanted = _wanted(ids, all, type, older_than)

    async def main() -> bool:
        async with _letters_of(url, stream, group) as letters:
            name = letters.group
            count = len(wanted.ids) if wanted.ids else await letters.count(**wanted.filters)
            if count:
                confirm(f"Delete {_count(count)} of {name} for good?", yes=yes)
            if wanted.ids:
                done = await letters.purge(wanted.ids)
                missing = [id for id, purged in done.items() if not purged]
                purged = count - len(missing)
            else:
                missing = []
                purged = await letters.purge_all(**wanted.filters)
            say(f"Deleted {_count(purged)} of {name}")
            for id in missing:
                complain(
                    f"the group {name} of {printable(stream, 100)} has no dead letter {id}; "
                    f"{SEE_LIST}"
                )
            return not missing

    run_or_refuse(main)


class _Report:
    """Prints what was redriven."""

    def __init__(self, group: str, *, json: bool) -> None:
        self.done = 0
        self.failed = 0
        self._group = group
        self._json = json

    def tell(self, batch: Sequence[Redriven]) -> None:
        """Print what became of some dead letters."""
        for result in batch:
            if self._json:
                say_json({"group": self._group, **result.to_dict()})
            elif result.new_id is None:
                complain(f"{result.error}; {SEE_LIST}")
            elif self.done < TOLD:
                say(f"Redriven {result.id} as {result.new_id}")
            self.done += result.new_id is not None
            self.failed += result.new_id is None

    def close(self) -> None:
        """Print the last line."""
        if self._json:
            return
        if not self.done and not self.failed:
            say(f"{self._group} has no dead letters to redrive")
        elif self.done > TOLD:
            say(f"… and {self.done - TOLD:,} more: {_count(self.done)} redriven to {self._group}")


# -- which --------------------------------------------------------------------


class _Filters(TypedDict):
    """Which dead letters of a group, as the library takes it."""

    type: str | None
    older_than: float


class _Wanted(NamedTuple):
    """Which dead letters of a group: those with these IDs, or else all that match the filters."""

    ids: Sequence[str]
    filters: _Filters


def _wanted(
    ids: Sequence[str] | None, all: bool, type: str | None, older_than: float | None
) -> _Wanted:
    from streamq.wire.entry import check_id

    filtered = type is not None or older_than is not None
    if ids and (all or filtered):
        raise ConfigError("give IDs, or --all, --type and --older-than; not both")
    for id in ids or ():
        check_id(id)
    if not ids and not all and not filtered:
        raise ConfigError("say which: IDs, --all, --type or --older-than")
    return _Wanted(
        tuple(dict.fromkeys(ids or ())), _Filters(type=type, older_than=older_than or 0.0)
    )


@asynccontextmanager
async def _letters_of(
    url: str | None, stream: str, group: str | None
) -> AsyncIterator[DeadLetters]:
    """The dead letters of the one group that is meant."""
    from streamq.admin import Admin

    async with connect(url) as server:
        yield await _existing(Admin(server), stream, await the_group(server, stream, group))


async def _of_groups(admin: Admin, stream: str, group: str | None) -> list[DeadLetters]:
    if group is not None:
        return [await _existing(admin, stream, group)]
    return [admin.dead_letters(stream, name) for name in await admin.group_names(stream)]


async def _existing(admin: Admin, stream: str, group: str) -> DeadLetters:
    """The dead letters of a group, which may have been deleted but for these."""
    letters = admin.dead_letters(stream, group)
    if not await letters.count():
        await admin.group_names(stream, group)  # raises if there is no such group either
    return letters


# -- what is shown ------------------------------------------------------------


def _show(letters: Sequence[DeadLetter], total: int) -> None:
    now = time.time()
    if letters:
        say_rows(
            ("JOB", "GROUP", "TYPE", "ATTEMPTS", "DEAD SINCE", "REASON"),
            ("ERROR", "DATA"),
            [
                Row(
                    (
                        letter.job_id, letter.group, letter.type or "-", letter.attempts,
                        f"{duration(max(now - letter.dead_since, 0))} ago", letter.reason,
                    ),
                    (letter.error, _data(letter, PREVIEW if is_terminal() else None)),
                )
                for letter in letters
            ],
            right=("ATTEMPTS",),
        )  # fmt: skip
        say()
    if not total:
        say("There are no dead letters")
    elif len(letters) < total:
        say(f"{_count(len(letters))} shown of {total:,}")
    else:
        say(_count(total))
    if letters and is_terminal():
        first = letters[0]
        note("\nOnce the cause is fixed, send them back:")
        note(f"  streamq dlq redrive {first.job_id} --group {first.group}")
        note(f"  streamq dlq redrive --all --group {first.group}")


def _show_one(letter: DeadLetter) -> None:
    say_fields(
        {
            "job": letter.job_id,
            "letter": letter.id,
            "stream": letter.stream,
            "group": letter.group,
            "type": letter.type or "-",
            "reason": letter.reason,
            "error": letter.error,
            "attempts": letter.attempts,
            "consumer": letter.consumer,
            "created": moment(letter.created_at),
            "dead since": moment(letter.dead_since),
            "redriven from": letter.origin,
            "data": _data(letter),
        }
    )


def _data(letter: DeadLetter, limit: int | None = None) -> str:
    if letter.raw is None:
        return "(deleted from the stream before it became a dead letter)"
    return printable(letter.raw, limit)


def _count(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"
