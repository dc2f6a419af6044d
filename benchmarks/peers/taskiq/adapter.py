"""taskiq with taskiq-redis' stream broker: XADD, XREADGROUP COUNT 100, XACK.

- taskiq has no bulk interface: 50 `kiq` calls are kept under way.
- The receiver is set up as `taskiq worker` does it for one process: 100 jobs at a time, its
  default, uvloop, validation of parameters, acknowledgement after the result is saved.
- No result backend and no `maxlen`, as by default: an acknowledged entry stays in the stream.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from taskiq.acks import AcknowledgeType
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from peers.adapter import Adapter, Pace, Payload, Timer, in_parallel, run, tally


async def job(n: int, pad: str) -> None:
    tally(n, pad)


class Taskiq(Adapter):
    package = "taskiq-redis"
    settings = (
        "RedisStreamBroker, max_async_tasks=100; 50 kiq calls under way; "
        "no results, finished entries kept for ever"
    )
    jobs = 9_000
    bulk_jobs = 12_000
    # An acknowledged entry stays in the stream: only the pending ones count, and the lag.
    remaining = (("XPENDING", "taskiq", "taskiq"),)

    def __init__(self, url: str, options: dict[str, str]) -> None:
        super().__init__(url, options)
        self.broker = RedisStreamBroker(url)
        self.task = self.broker.register_task(job, task_name="job")

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        async def main() -> None:
            await self.broker.startup()
            with timer:
                await in_parallel(
                    lambda item: self.task.kiq(**item), payloads, self.number("width", 50)
                )

        run(main())

    def drip(self, pace: Pace) -> None:
        async def main() -> None:
            await self.broker.startup()
            async for item in pace:
                await self.task.kiq(**item)

        run(main())

    def work(self) -> None:
        async def main() -> None:
            with ThreadPoolExecutor() as pool:
                receiver = Receiver(
                    broker=self.broker,
                    executor=pool,
                    max_async_tasks=self.number("concurrency", 100),
                    max_prefetch=self.number("prefetch", 0),
                    ack_type=AcknowledgeType.WHEN_SAVED,
                )
                await receiver.listen(asyncio.Event())

        self.broker.is_worker_process = True
        run(main())


adapter = Taskiq
