"""Giving a stream partitions, or more of them.

Four steps, each of which finds nothing to do the second time: whoever finds that one was begun and
not ended goes on with it, wherever it stopped.

1. It is noted how many there are to be.
2. Each old partition takes from then on only the keys that stay in it, and remembers what it was
   given last. Who writes a job of another key is refused, and looks again.
3. Each new partition gets the groups of the one that had its keys, what is set for these and for
   it, and is opened. A group that keeps an order comes to it when it has settled what it was given
   there before.
4. It is noted how many there are.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from streamq import lua
from streamq.errors import ConfigError
from streamq.limits import MAX_PARTITIONS
from streamq.partitions.layout import Layout, groups_of, has_own_entries, read_layout
from streamq.partitions.mapping import Partitioned
from streamq.server import Server
from streamq.server.group import create_group
from streamq.text import printable
from streamq.wire.keys import RETAINED, check_group, group_keys, partition_name, stream_keys

_INHERITED = (b"retain", b"abandon_after")

_log = logging.getLogger(__name__)


async def laid_out(server: Server, stream: str, wanted: Partitioned) -> Layout:
    """The partitions of a stream; one that has none yet gets them.

    Raises:
        ServerError: the server cannot be used.
    """
    layout = await read_layout(server, stream)
    if not layout.partitions:
        # Somebody else may have begun with another number.
        layout = await _grow(server, layout, layout.growing or wanted.partitions)
    if layout.partitions != wanted.partitions:
        _log.info(
            "The stream %s has %d partitions on the server, and the App says %d: what the server "
            "says counts", printable(stream, 100), layout.partitions, wanted.partitions,
        )  # fmt: skip
    return layout


async def grow(server: Server, stream: str, to: int) -> Layout:
    """See :meth:`streamq.admin.Admin.grow`."""
    _check(to)
    layout = await read_layout(server, stream)
    if layout.growing and layout.growing != to:
        raise ConfigError(
            f"the stream {printable(stream, 100)} is about to have {layout.growing:,} partitions: "
            f"let that end first, with to={layout.growing}"
        )
    if layout.partitions == to and not layout.growing:
        return layout
    if layout.partitions and (to < layout.partitions or to % layout.partitions):
        some = ", ".join(
            f"{layout.partitions * n:,}"
            for n in (2, 3, 4)
            if layout.partitions * n <= MAX_PARTITIONS
        )
        raise ConfigError(
            f"the stream {printable(stream, 100)} has {layout.partitions:,} partitions: it can "
            f"grow to a multiple of that{', ' + some if some else ''}, not to {to:,}, for no job "
            "moves"
        )
    return await _grow(server, layout, to)


async def finish(server: Server, stream: str) -> Layout:
    """Go on where whoever let a stream grow has stopped."""
    layout = await read_layout(server, stream)
    return await _grow(server, layout, layout.growing) if layout.growing else layout


async def _grow(server: Server, layout: Layout, to: int) -> Layout:
    stream, count = layout.stream, layout.partitions
    keys = stream_keys(stream)
    has, target = await server.run(lua.grow_begin(keys, count, to))
    if (has, target) != (count, to):
        layout = await read_layout(server, stream)
        if has == count and target:
            return await _grow(server, layout, target)  # others have begun with another number
        return layout  # others have ended it
    sources = await _sources(server, layout, to)
    for number in range(count, to):
        source, end = sources[number % count if count else 0]
        await _open(server, stream, number, to, source, end)
    await server.run(lua.grow_end(keys, to))
    for number in range(count, to):  # those made meanwhile
        source, _ = sources[number % count if count else 0]
        if source:
            await copy_groups(server, source, partition_name(stream, number))
    return await read_layout(server, stream)


async def _sources(server: Server, layout: Layout, to: int) -> Sequence[tuple[str, str]]:
    """The keys that jobs went to until now, and the last entry that each was given."""
    if not layout.partitions:
        plain = stream_keys(layout.stream)
        end = await server.call("HGET", plain.settings, "grown_at")
        if end is None and not await has_own_entries(server, layout.stream):
            return [("", "")]
        return [(plain.stream, (end or b"0-0").decode())]
    sources = []
    for name in layout.names():
        end = await server.run(lua.grow_from(stream_keys(name), to))
        sources.append((name, end.decode()))
    return sources


async def _open(
    server: Server, stream: str, number: int, count: int, source: str, end: str
) -> None:
    keys = stream_keys(partition_name(stream, number))
    if await server.call("HGET", keys.settings, "of") is not None:
        return
    if source:
        await _inherit(server, source, keys.stream)
        await copy_groups(server, source, keys.stream)
    await server.run(lua.grow_open(keys, count, source, end))


async def _inherit(server: Server, source: str, name: str) -> None:
    """Set for a new partition what is set for the one that had its keys."""
    flat: list[bytes] = await server.run(lua.settings(stream_keys(source)))
    changes: dict[str, int | None] = {
        field.decode(): int(value)
        for field, value in zip(flat[::2], flat[1::2], strict=True)
        if field.startswith(_INHERITED) and value.isdigit()
    }
    if changes:
        await server.run(lua.configure(stream_keys(name), changes))


async def copy_groups(server: Server, source: str, name: str) -> None:
    """Make sure that a partition has the groups of another, from its beginning on: what one of
    them has not settled is not to be deleted when the others have."""
    known = set(await groups_of(server, name))
    for group in await groups_of(server, source):
        if group == RETAINED or group in known or not _usable(group):
            continue
        state = await server.call("HGETALL", group_keys(source, group).state)
        if state:  # a group that is paused is paused there, too
            await server.call("HSET", group_keys(name, group).state, *state)
        async with server.borrowed() as link:
            await create_group(link, name, group, "0")


def _usable(group: str) -> bool:
    try:
        check_group(group)
    except ConfigError:
        return False
    return True


def _check(count: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_PARTITIONS:
        raise ConfigError(f"{count!r} partitions: give how many, 1 to {MAX_PARTITIONS:,}")
