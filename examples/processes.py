"""Work that keeps a core busy runs in a pool of processes; other handlers are not held up."""

import asyncio
import os

from streamq import App, Settings
from streamq.testing import drain

app = App()
parent = os.getpid()


@app.handler("count_primes", process=True, timeout=60)
def count_primes(below: int) -> dict[str, int]:
    """A process is killed when the time is over. Its arguments and results are pickled."""
    primes = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, below))
    return {"primes": primes, "pid": os.getpid()}


async def main() -> None:
    """Two at a time."""
    async with app:
        await app.produce_many([("count_primes", {"below": 10_000})] * 3)
        done = await drain(app, settings=Settings(processes=2))
    print([one.result["primes"] for one in done], parent in {one.result["pid"] for one in done})


# Each process of the pool imports this file: what starts a worker stands behind this line.
if __name__ == "__main__":
    asyncio.run(main())

# [1229, 1229, 1229] False
