"""``streamq dlq``: dead letters, listed, shown, sent back or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from streamq.cli.allowed import AppOption, known_by
from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run, run_or_refuse
from streamq.cli.dlq.printing import SEE_LIST, Report, count_of, show_all, show_one
from streamq.cli.dlq.which import (
    All,
    OlderThan,
    SomeIds,
    Type,
    letters_of,
    of_groups,
    wanted_ones,
)
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
)
from streamq.cli.output import complain, confirm, exact, say, say_json
from streamq.errors import JobNotFound, StreamqError
from streamq.limits import DEFAULT_STREAM
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import DeadLetter


def register(app: Family) -> None:
    """Add the commands."""
    app.add(
        commands,
        name="dlq",
        short_help="List, show, redrive or purge dead letters.",
        epilog=examples("streamq dlq list", "streamq dlq redrive --all --group images"),
    )


commands = family("List, show, redrive or purge dead letters: the jobs that a group gave up.")


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
    app: AppOption = None,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """List the dead letters, the oldest first; of every group, or of one."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server, codec=known_by(app).codec)
            found: list[DeadLetter] = []
            total = 0
            left = limit if limit is not None or json else SHOWN
            for letters in await of_groups(admin, stream, group):
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
                show_all(found, total)

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
    app: AppOption = None,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Show all of a dead letter. Exit code 1 if there is none."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server, codec=known_by(app).codec)
            found = []
            for letters in await of_groups(admin, stream, group):
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
                show_one(letter)

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
    wanted = wanted_ones(ids, all, type, older_than)

    async def main() -> bool:
        async with letters_of(url, stream, group) as letters:
            report = Report(letters.group, json=json)
            try:
                if wanted.ids:
                    report.tell(await letters.redrive(wanted.ids))
                else:
                    await letters.redrive_all(**wanted.filters, progress=report.tell)
            except StreamqError as error:
                if not report.done:
                    raise
                told = f"{error}; {count_of(report.done)} had been redriven"
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
    wanted = wanted_ones(ids, all, type, older_than)

    async def main() -> bool:
        async with letters_of(url, stream, group) as letters:
            name = letters.group
            count = len(wanted.ids) if wanted.ids else await letters.count(**wanted.filters)
            if count:
                confirm(f"Delete {count_of(count)} of {name} for good?", yes=yes)
            if wanted.ids:
                done = await letters.purge(wanted.ids)
                missing = [id for id, purged in done.items() if not purged]
                purged = count - len(missing)
            else:
                missing = []
                purged = await letters.purge_all(**wanted.filters)
            say(f"Deleted {count_of(purged)} of {name}")
            for id in missing:
                complain(
                    f"the group {name} of {printable(stream, 100)} has no dead letter {id}; "
                    f"{SEE_LIST}"
                )
            return not missing

    run_or_refuse(main)
