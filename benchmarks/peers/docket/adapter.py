"""Docket: a stream with the whole task in each entry, a hash a task, one Lua script a step.

- `add_many` with its default pipelines of 1,000.
- `concurrency` 50 (10 by default) and `minimum_check_interval` 5 ms (250 ms by default): a worker
  whose slots are full waits that long before it looks for more, so the default would cap it at
  `concurrency` jobs every 250 ms. hiredis and uvloop are installed.
- The record of a finished task is kept for 15 minutes, as by default.
"""

from collections.abc import Sequence
from datetime import timedelta

from docket import Docket as Client
from docket import Worker

from peers.adapter import Adapter, Pace, Payload, Timer, run, tally


async def job(n: int, pad: str) -> None:
    tally(n, pad)


class Docket(Adapter):
    package = "pydocket"
    settings = "concurrency=50, minimum_check_interval=5ms; add_many of 1,000; records kept 15 min"
    jobs = 6_000
    bulk_jobs = 25_000
    remaining = (("XLEN", "bench:stream"), ("ZCARD", "bench:queue"))

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        async def main() -> None:
            async with Client("bench", self.url) as docket:
                with timer:
                    await docket.add_many([docket.call(job)(**item) for item in payloads])

        run(main())

    def drip(self, pace: Pace) -> None:
        async def main() -> None:
            async with Client("bench", self.url) as docket:
                async for item in pace:
                    await docket.add(job)(**item)

        run(main())

    def work(self) -> None:
        concurrency = self.number("concurrency", 50)
        interval = timedelta(milliseconds=self.number("check_ms", 5))

        async def main() -> None:
            async with Client("bench", self.url) as docket:
                docket.register(job)
                async with Worker(
                    docket, concurrency=concurrency, minimum_check_interval=interval
                ) as worker:
                    await worker.run_forever()

        run(main())


adapter = Docket
