"""Many jobs at once, pipelined: pairs, events, and jobs with options of their own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from streamq import App, NewJob

app = App()


@app.handler("count", batch=1000)
async def count(jobs: list[Any]) -> None:
    """Handled in batches, too."""


async def lines() -> AsyncIterator[tuple[str, dict[str, int]]]:
    """Where they come from may be slow, or endless: only two chunks are in memory."""
    for number in range(2000):
        yield "count", {"line": number}


async def main() -> None:
    """What is given for all is for those without options of their own."""
    async with app:
        written = await app.produce_many(lines(), expires=3600)
        await app.produce_many([("count", {}), NewJob("count", {}, key="user-7")], expires=60)
        print(len(written), written[0].created)
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# 2000 True
