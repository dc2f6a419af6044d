"""streaQ: a stream of task IDs, a key a task, coredis.

- `enqueue_many` in batches of 1,000.
- `concurrency` 100 (16 by default), and as many prefetched, its default. uvloop is installed.
- Results are kept for five minutes, as by default.
"""

from collections.abc import Sequence

from streaq import Worker

from peers.adapter import Adapter, Pace, Payload, Timer, run, tally


async def job(n: int, pad: str) -> None:
    tally(n, pad)


class Streaq(Adapter):
    package = "streaq"
    settings = "concurrency=100; enqueue_many of 1,000; results kept 5 min"
    jobs = 4_000
    bulk_jobs = 40_000
    remaining = (
        ("XLEN", "streaq:default:queues:normal"),
        ("XPENDING", "streaq:default:queues:normal", "workers"),
    )

    def __init__(self, url: str, options: dict[str, str]) -> None:
        super().__init__(url, options)
        concurrency = self.number("concurrency", 100)
        self.worker = Worker(redis_url=url, concurrency=concurrency, handle_signals=False)
        self.task = self.worker.task(job)

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        batch = self.number("batch", 1_000)

        async def main() -> None:
            async with self.worker:
                await self.worker.redis.ping()
                with timer:
                    for start in range(0, len(payloads), batch):
                        chunk = payloads[start : start + batch]
                        await self.worker.enqueue_many(
                            [self.task.enqueue(**item) for item in chunk]
                        )

        run(main())

    def drip(self, pace: Pace) -> None:
        async def main() -> None:
            async with self.worker:
                async for item in pace:
                    await self.task.enqueue(**item)

        run(main())

    def work(self) -> None:
        run(self.worker.run_async())


adapter = Streaq
