"""``streamq group``: the consumer groups of a stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run
from streamq.cli.exits import CommandError
from streamq.cli.group_state import state_lines
from streamq.cli.options import (
    JsonLines,
    Lease,
    Stream,
    Url,
    Yes,
    examples,
    family,
    from_server,
    starting_place,
)
from streamq.cli.output import confirm, duration, is_terminal, note, say, say_json
from streamq.cli.rows import say_table
from streamq.errors import StillInUse
from streamq.limits import DEFAULT_STREAM, LEASE
from streamq.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamq.admin import GroupInfo, StreamInfo


def register(app: Family) -> None:
    """Add the commands."""
    from streamq.cli import group_control

    group_control.register(commands)
    app.add(
        commands,
        name="group",
        epilog=examples("streamq group list", "streamq group create audit --from '$'"),
    )


commands = family("List, create, pause, limit or delete the consumer groups of a stream.")

NewName = Annotated[str, Argument(metavar="GROUP", help="The group's name.")]
Name = Annotated[
    str, Argument(metavar="GROUP", help="The group's name.", complete=from_server("groups"))
]


@commands.command(
    "list",
    epilog=examples("streamq group list", "streamq group list --stream mails --json"),
)
def list_(
    json: JsonLines = False,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """List the groups, and what each of them has to do."""

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            groups = await Admin(server, lease=lease).groups(stream)
            if json:
                for group in groups:
                    say_json(group.to_dict())
            elif groups:
                say_groups(groups)
                assumed = lease_assumed(groups, lease)
                if assumed:
                    say(f"\n{assumed}")
            else:
                say(f"The stream {printable(stream)} has no groups")

    run(main)


@commands.command(
    epilog=examples("streamq group create images", "streamq group create audit --from '$'")
)
def create(
    group: NewName,
    start: Annotated[
        str,
        Option(
            "--from",
            metavar="ID",
            parser=starting_place,
            help="Where it starts: 0 for all entries, $ for new ones, or after an entry ID.",
        ),
    ] = "0",
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Create a group, and the stream if it does not exist. Exit code 1 if the group exists.

    A worker creates its group itself. Use this to start elsewhere in the stream, or to
    keep jobs for a worker that is started later.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            if not await Admin(server).create_group(stream, group, start):
                raise CommandError(f"the stream {printable(stream)} already has a group {group}")
            say(f"Created the group {group} on {printable(stream)}")

    run(main)


@commands.command(epilog=examples("streamq group delete audit", "streamq group delete audit --yes"))
def delete(
    group: Name,
    dead_letters: Annotated[
        bool, Option("--dead-letters", help="Delete its dead letters as well.")
    ] = False,
    force: Annotated[
        bool,
        Option(
            "--force",
            help="Even if it has live consumers; these create it again, from the beginning.",
        ),
    ] = False,
    yes: Yes = False,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Delete a group, and the entries that only it had kept.

    What other groups have not settled stays. If it has jobs queued or pending, you are
    asked first. Run it again after an interruption to prune the entries that are left.
    Exit code 1 if there is no such group, or it has live consumers.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server, lease=lease)
            known = {one.name: one for one in await admin.groups(stream)}
            if group not in known:
                pruned = await admin.prune(stream)
                if not pruned:
                    await admin.group_names(stream, group)  # raises the error that says so
                say(
                    f"The group {printable(group, 100)} of {printable(stream)} was already "
                    f"deleted; pruned {_entries(pruned)} that every group has settled"
                )
                return
            about = known[group]
            loss = _loss(about, dead_letters=dead_letters)
            if loss and (force or not about.alive):  # otherwise it is refused anyway
                confirm(f"Delete the group {group} with {loss}?", yes=yes)
            try:
                gone = await admin.delete_group(
                    stream, group, force=force, dead_letters=dead_letters
                )
            except StillInUse as error:
                raise unless_killed(error, lease, "--force deletes the group now") from None
            say(
                f"Deleted the group {group} of {printable(stream)}, "
                f"and {_entries(gone.entries)} that only it had kept"
            )
            if len(known) == 1 and about.queued != 0:
                say("It was the last group: the entries stay, queued for the next one")
            if about.dead and not dead_letters and is_terminal():
                note(f"Its dead letters stay: streamq dlq list --group {group}")

    run(main)


def say_groups(groups: Sequence[GroupInfo]) -> None:
    """Print a table of groups."""
    columns: dict[str, list[object]] = {
        "QUEUED": ["?" if group.queued is None else group.queued for group in groups],
        "PENDING": [group.pending for group in groups],
        "RUNNING": [group.running for group in groups],
        "RETRYING": [group.retrying for group in groups],
        "HELD": [group.held for group in groups],
        "STALLED": [group.stalled for group in groups],
        "DEAD": [group.dead for group in groups],
        "ALIVE": [group.alive for group in groups],
        "GONE": [group.gone for group in groups],
    }
    if not any(columns["HELD"]):
        del columns["HELD"]  # few groups have rules
    names = [group.name for group in groups]
    say_table(("GROUP", *columns), [*zip(names, *columns.values(), strict=True)], right=[*columns])
    for group in groups:
        for said in state_lines(group):
            say(f"{printable(group.name)}: {said}")


def who_pins(stream: StreamInfo) -> str | None:
    """Which groups keep the oldest entry of a stream, for how long; ``None`` if none does."""
    if stream.oldest is None or stream.pinned_since is None:
        return None
    alive = {group.name: group.alive for group in stream.groups}
    names = [
        printable(name) + ("" if alive.get(name) else " (no consumer alive)")
        for name in stream.pinned_by
    ]
    age = duration(max(time.time() - stream.pinned_since, 0))
    return f"Oldest entry: {stream.oldest}, {age} old, kept by {', '.join(names)}"


def lease_assumed(groups: Sequence[GroupInfo], lease: float) -> str | None:
    """The lease that stalled and gone go by; ``None`` if nothing is either.

    The server does not know the workers' lease, so this may be wrong.
    """
    if not any(group.stalled or group.gone for group in groups):
        return None
    return (
        f"Stalled, gone: silent for longer than the lease, assumed to be {duration(lease)} "
        "(--lease)"
    )


def unless_killed(error: StillInUse, lease: float, forced: str) -> StillInUse:
    """The error, with what to do about a consumer that was killed and still counts as alive.

    Args:
        forced: what ``--force`` does.
    """
    return StillInUse(
        f"{error}; if it was killed, it counts as gone {duration(lease)} after its last "
        f"heartbeat; {forced}"
    )


def _loss(group: GroupInfo, *, dead_letters: bool) -> str:
    """What is lost with a group; empty for nothing."""
    parts = []
    if group.queued is None:
        parts.append("an unknown number of queued")
    elif group.queued:
        parts.append(f"{group.queued:,} queued")
    if group.pending:
        parts.append(f"{group.pending:,} pending")
    total = (group.queued or 0) + group.pending
    loss = f"{' and '.join(parts)} job{'' if total == 1 else 's'}" if parts else ""
    if dead_letters and group.dead:
        letters = f"{group.dead:,} dead letter{'' if group.dead == 1 else 's'}"
        loss = f"{loss} and {letters}" if loss else letters
    return loss


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"
