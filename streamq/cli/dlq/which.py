"""Which dead letters a person means, and the options that say it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypedDict

from streamq.cli.command import Argument, Option
from streamq.cli.connection import connect, the_group
from streamq.cli.options import from_server, seconds
from streamq.errors import ConfigError

if TYPE_CHECKING:
    from streamq.admin import Admin, DeadLetters

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


class Filters(TypedDict):
    """Which dead letters of a group, as the library takes it."""

    type: str | None
    older_than: float


class Wanted(NamedTuple):
    """Which dead letters of a group: those with these IDs, or else all that match the filters."""

    ids: Sequence[str]
    filters: Filters


def wanted_ones(
    ids: Sequence[str] | None, all: bool, type: str | None, older_than: float | None
) -> Wanted:
    """What the arguments say.

    Raises:
        ConfigError: they say nothing, or two things.
    """
    from streamq.wire.entry import check_id

    filtered = type is not None or older_than is not None
    if ids and (all or filtered):
        raise ConfigError("give IDs, or --all, --type and --older-than; not both")
    for id in ids or ():
        check_id(id)
    if not ids and not all and not filtered:
        raise ConfigError("say which: IDs, --all, --type or --older-than")
    return Wanted(tuple(dict.fromkeys(ids or ())), Filters(type=type, older_than=older_than or 0.0))


@asynccontextmanager
async def letters_of(url: str | None, stream: str, group: str | None) -> AsyncIterator[DeadLetters]:
    """The dead letters of the one group that is meant."""
    from streamq.admin import Admin

    async with connect(url) as server:
        yield await _existing(Admin(server), stream, await the_group(server, stream, group))


async def of_groups(admin: Admin, stream: str, group: str | None) -> list[DeadLetters]:
    """Those of one group, or of every group of the stream."""
    if group is not None:
        return [await _existing(admin, stream, group)]
    return [admin.dead_letters(stream, name) for name in await admin.group_names(stream)]


async def _existing(admin: Admin, stream: str, group: str) -> DeadLetters:
    """The dead letters of a group, which may have been deleted but for these."""
    letters = admin.dead_letters(stream, group)
    if not await letters.count():
        await admin.group_names(stream, group)  # raises if there is no such group either
    return letters
