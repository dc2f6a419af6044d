"""Lists that come from several partitions at once, as one list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from streamq.admin.followed import Followed
from streamq.wire.entry import check_id, id_key

T = TypeVar("T")

LARGEST = 2**64 - 1
"""The largest number that each part of an ID can have."""

AHEAD = 1000
"""Events of all partitions together that wait for their reader, beside those of each."""


async def in_order(
    sources: Sequence[AsyncIterator[T]], key: Callable[[T], Any], *, backwards: bool = False
) -> AsyncIterator[T]:
    """What several lists have, each of which is in order, in order; of equals, that of the first.

    Args:
        key: by which they are in order.
        backwards: the largest first.
    """
    heads: list[tuple[Any, int, T]] = []

    async def fetch(place: int) -> None:
        async for item in sources[place]:
            heads.append((key(item), place, item))
            return

    for place in range(len(sources)):
        await fetch(place)
    while heads:
        # Both return the first of equals.
        heads.sort(key=lambda head: head[1])
        first = (max if backwards else min)(heads, key=lambda head: head[0])
        heads.remove(first)
        yield first[2]
        await fetch(first[1])


def cursor(id: str, key: str) -> str:
    """What tells where a page has ended: several partitions may have a row of the same ID."""
    return f"{id}@{key}"


def cursors(after: str | None, keys: Sequence[str], *, backwards: bool = False) -> list[str | None]:
    """For each of several lists, the ID after which it goes on.

    Args:
        after: a :func:`cursor`, or an ID; ``None`` for the beginning.

    Raises:
        ConfigError: it is neither.
    """
    if after is None:
        return [None] * len(keys)
    id, _, key = after.partition("@")
    ms, number = id_key(check_id(id))
    place = keys.index(key) if key in keys else len(keys)
    # Those of the lists that come later in the order have not come to this ID yet.
    if backwards:
        before: str | None = f"{ms}-{number + 1}" if number < LARGEST else f"{ms + 1}-0"
    elif number:
        before = f"{ms}-{number - 1}"
    else:
        before = f"{ms - 1}-{LARGEST}" if ms else None
    return [id if i <= place else before for i in range(len(keys))]


async def together(sources: Sequence[AsyncGenerator[Followed]]) -> AsyncGenerator[Followed]:
    """What is told of several partitions, as it comes.

    That all of them are followed is told when the last one is.
    """
    queue: asyncio.Queue[Followed | BaseException] = asyncio.Queue(AHEAD)

    async def read(source: AsyncGenerator[Followed]) -> None:
        try:
            async with aclosing(source) as events:
                async for event in events:
                    await queue.put(event)
        except Exception as error:
            await queue.put(error)

    tasks = [asyncio.create_task(read(source)) for source in sources]
    begun = 0
    try:
        while True:
            event = await queue.get()
            if isinstance(event, BaseException):
                raise event
            if event.state == "following":
                begun += 1
                if begun < len(sources):
                    continue
            yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
