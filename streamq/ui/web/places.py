"""Which stream and group a page is about, and the menu to choose another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request

from streamq.admin import Admin, GroupSnapshot, Snapshot
from streamq.errors import GroupNotFound
from streamq.text import printable


class Place(NamedTuple):
    """A stream, and one of its groups, or none for all."""

    stream: str
    group: str

    @property
    def key(self) -> tuple[str, str] | None:
        """For the live values: the group, or ``None``."""
        return (self.stream, self.group) if self.group else None


NOWHERE = Place("", "")
"""All streams."""


def place_of(request: Request) -> Place:
    """The place that a page is asked for."""
    query = request.query_params
    stream = query.get("stream", "")
    return Place(stream, query.get("group", "") if stream else "")


def groups_at(picture: Snapshot, place: Place) -> Sequence[GroupSnapshot]:
    """The groups that a page is about."""
    return [
        group
        for group in picture.groups
        if place.stream in ("", group.stream) and place.group in ("", group.name)
    ]


async def the_group(admin: Admin, picture: Snapshot, place: Place) -> GroupSnapshot:
    """The group that a page is about.

    Raises:
        StreamNotFound: there is no such stream.
        GroupNotFound: there is no such group.
    """
    found = groups_at(picture, place)
    if not found:  # it may be newer than the last look for streams
        picture = await admin.snapshot([place.stream])
        found = groups_at(picture, place)
    if not found:
        await admin.group_names(place.stream, place.group)
        raise GroupNotFound(f"streamq does not work with the group {printable(place.group, 100)}")
    return found[0]
