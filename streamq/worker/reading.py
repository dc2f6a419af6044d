"""New entries: read as they come, or as the rules of the group let them."""

from __future__ import annotations

from collections.abc import Sequence

from streamq import lua
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context

LONGEST = 1.0
"""Seconds after which a group in which nothing may run is asked again in any case."""


async def read(context: Context, room: int, wait: float) -> Sequence[Delivery]:
    """New entries, in the order of the stream.

    Args:
        wait: seconds for which there may be none.
    """
    block = ("BLOCK", max(int(wait * 1000), 1)) if wait > 0 else ()
    reply = await context.link.call(
        "XREADGROUP", "GROUP", context.keys.group, context.consumer, "COUNT", room,
        *block, "STREAMS", context.keys.stream, ">", block=wait,
    )  # fmt: skip
    if not reply:
        return ()
    # An entry deleted between two reads comes without fields.
    return [(id.decode(), fields or [], 1) for id, fields in reply[0][1]]


async def read_by_rules(context: Context, room: int, wait: float) -> Sequence[Delivery]:
    """What may run by the rules of the group: due retries, held jobs, new entries.

    Where there is nothing, it waits for what could change that.

    Args:
        wait: seconds for which there may be nothing.
    """
    call = lua.admit(context.keys, context.consumer, room, context.control.rules)
    next_in, given, deleted, after = await context.link.run(call)
    context.vanished(deleted)
    if given or after == b"":
        return [(id.decode(), fields, count) for id, fields, count in given]
    if next_in >= 0:
        wait = min(wait, next_in / 1000)
    if wait <= 0:
        return ()
    if after == b"!":
        await context.control.freed(min(wait, LONGEST))
    else:
        await context.link.call(
            "XREAD", "COUNT", 1, "BLOCK", max(int(wait * 1000), 1),
            "STREAMS", context.keys.stream, after, block=wait,
        )  # fmt: skip
    return ()
