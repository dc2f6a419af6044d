"""Data that is not JSON: anything with ``encode`` and ``decode`` will do."""

import asyncio
import json
import zlib
from typing import Any

from streamq import App, Job


class Compressed:
    """Compressed JSON; MessagePack or Protocol Buffers look the same."""

    def encode(self, data: Any) -> bytes:
        """What is written to the entry."""
        return zlib.compress(json.dumps(data).encode())

    def decode(self, raw: bytes) -> Any:
        """What it raises on strange data makes the job a dead letter."""
        return json.loads(zlib.decompress(raw))


app = App(codec=Compressed())


@app.handler("store")
async def store(job: Job, text: str) -> None:
    """Arguments are bound and validated as ever."""
    print(f"{len(text)} characters in fewer than 50 bytes: {len(job.raw) < 50}")


async def main() -> None:
    """Producer and worker share the app."""
    async with app:
        await app.produce("store", {"text": "ab" * 500})
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# 1000 characters in fewer than 50 bytes: True
