"""Which streams and groups exist, and the errors for those that do not."""

from __future__ import annotations

from collections.abc import Sequence

from streamq.admin.reading import named, text
from streamq.errors import ConfigError, GroupNotFound, ServerRefused, StreamNotFound
from streamq.server import Server
from streamq.text import printable
from streamq.wire.keys import RETAINED, check_group, check_stream


async def group_names(server: Server, stream: str) -> list[str]:
    """The groups of a stream, whoever made them.

    Raises:
        StreamNotFound: there is no such stream.
        WrongKeyType: the key holds something else.
    """
    try:
        rows = await server.call("XINFO", "GROUPS", check_stream(stream))
    except ServerRefused as error:
        if "no such key" in str(error):
            raise stream_not_found(stream) from None
        raise
    names = [text(named(row)[b"name"]) for row in rows]
    return [name for name in names if name != RETAINED]


async def groups_meant(server: Server, stream: str, group: str | None) -> list[str]:
    """The one group that is named, or else every group that streamq can work with.

    Raises:
        StreamNotFound: there is no such stream.
        GroupNotFound: the stream has no such group.
    """
    names = await group_names(server, stream)
    if group is None:
        return [name for name in names if _usable(name)]
    if check_group(group) not in names:
        raise group_not_found(stream, group, names)
    return [group]


async def require_group(server: Server, stream: str, group: str) -> None:
    """Make sure that a group exists; errors as for :func:`groups_meant`."""
    names = await group_names(server, stream)
    if group not in names:
        raise group_not_found(stream, group, names)


def stream_not_found(stream: str) -> StreamNotFound:
    """The error for a stream that does not exist."""
    return StreamNotFound(
        f"there is no stream {printable(stream, 100)}: nothing was written to it yet"
    )


def group_not_found(stream: str, group: str, names: Sequence[str]) -> GroupNotFound:
    """The error for a group that does not exist, with those that do."""
    known = ", ".join(printable(name, 100) for name in sorted(names)[:10])
    its = f"its groups are {known}" if len(names) > 1 else f"its only group is {known}"
    return GroupNotFound(
        f"the stream {printable(stream, 100)} has no group {printable(group, 100)}: "
        + (its if names else "it has no groups at all")
    )


def _usable(name: str) -> bool:
    try:
        check_group(name)
    except ConfigError:
        return False  # another program's group, with a name that streamq does not use
    return True
