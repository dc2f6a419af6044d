"""arq: a sorted set of job IDs, a key a job, optimistic locking.

- arq has no bulk interface: 50 `enqueue_job` calls are kept under way.
- `max_jobs` 100 (10 by default) and `poll_delay` 0.01 s (0.5 s by default): a worker starts at
  most `max_jobs` jobs a poll, so the default delay would cap it, and it is arq's own setting
  for that.
- Results are kept for an hour, as by default. uvloop and hiredis are installed.
"""

from collections.abc import Sequence
from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from peers.adapter import Adapter, Pace, Payload, Timer, in_parallel, run, tally


async def job(ctx: dict[str, Any], n: int, pad: str) -> None:
    tally(n, pad)


class Arq(Adapter):
    package = "arq"
    settings = "max_jobs=100, poll_delay=0.01; 50 enqueue_job calls under way; results kept 1 h"
    jobs = 6_000
    bulk_jobs = 15_000
    remaining = (("ZCARD", "arq:queue"),)

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        async def main() -> None:
            pool = await create_pool(RedisSettings.from_dsn(self.url))
            with timer:
                await in_parallel(
                    lambda item: pool.enqueue_job("job", **item), payloads, self.number("width", 50)
                )

        run(main())

    def drip(self, pace: Pace) -> None:
        async def main() -> None:
            pool = await create_pool(RedisSettings.from_dsn(self.url))
            async for item in pace:
                await pool.enqueue_job("job", **item)

        run(main())

    def work(self) -> None:
        async def main() -> None:
            worker = Worker(
                [func(job)],
                redis_settings=RedisSettings.from_dsn(self.url),
                max_jobs=self.number("concurrency", 100),
                poll_delay=self.number("poll_ms", 10) / 1000,
                handle_signals=False,
            )
            await worker.async_run()

        run(main())


adapter = Arq
