"""New entries: read as they come, or as the rules of the group let them."""

from __future__ import annotations

from collections.abc import Sequence

from streamq import lua
from streamq.server.packing import pack
from streamq.worker.inflight import Delivery
from streamq.worker.sources.context import Context

LONGEST = 1.0
"""Seconds after which a group in which nothing may run is asked again in any case."""


async def read(context: Context, room: int, wait: float) -> Sequence[Delivery]:
    """New entries, in the order of the stream.

    Args:
        wait: seconds for which there may be none.
    """
    keys = context.keys
    block = ("BLOCK", max(int(wait * 1000), 1)) if wait > 0 else ()
    # Whether any are cancelled is asked after they were given, so that none that was cancelled
    # before can begin.
    reply, any_cancelled = await context.link.exchange(
        pack(
            ("XREADGROUP", "GROUP", keys.group, context.consumer, "COUNT", room,
             *block, "STREAMS", keys.stream, ">")
        ) + context.ask_cancelled,
        2, block=wait,
    )  # fmt: skip
    for one in (reply, any_cancelled):
        if isinstance(one, Exception):
            raise one
    if not reply:
        return ()
    # An entry deleted between two reads comes without fields.
    deliveries = [(id.decode(), fields or [], 1) for id, fields in reply[0][1]]
    if any_cancelled:
        await context.note_cancelled([id for id, _, _ in deliveries])
    return deliveries


async def read_by_rules(context: Context, room: int, wait: float) -> Sequence[Delivery]:
    """What may run by the rules of the group: due retries, held jobs, new entries.

    Where there is nothing, it waits for what could change that.

    Args:
        wait: seconds for which there may be nothing.
    """
    call = lua.admit(context.keys, context.consumer, room, context.control.rules)
    next_in, given, deleted, after, any_cancelled = await context.link.run(call)
    context.vanished(deleted)
    if given or after == b"":
        deliveries = [(id.decode(), fields, count) for id, fields, count in given]
        if any_cancelled:
            await context.note_cancelled([id for id, _, _ in deliveries])
        return deliveries
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
