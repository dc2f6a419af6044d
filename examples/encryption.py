"""Encrypted data: Redis holds nothing of it that can be read without the key."""

import asyncio

from streamq import App
from streamq.encryption import EncryptingCodec, new_key

old, new = new_key(), new_key()  # streamq key new; then kept in STREAMQ_KEYS, never in the code


async def send(*keys: str) -> None:
    """Write a job, and look at what Redis has of it."""
    async with App(codec=EncryptingCodec(keys)) as app:
        job = await app.produce("mail", {"address": "ann@example.org"})
        [entry] = await app.server.call("XRANGE", "jobs", job.id, job.id)
        print("the address can be read in Redis:", b"ann" in b"".join(entry[1]))


async def main() -> None:
    """The first key writes, all of them read: so keys are changed while jobs are waiting."""
    await send(old)
    await send(new, old)
    app = App(codec=EncryptingCodec([new, old]))

    @app.handler("mail")
    async def mail(address: str) -> None:
        print("mail to", address)

    async with app:
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# the address can be read in Redis: False
# the address can be read in Redis: False
# mail to ann@example.org
# mail to ann@example.org
