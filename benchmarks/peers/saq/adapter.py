"""SAQ: a list of job IDs taken with BLMOVE, a key a job, a publication at each change of state.

- SAQ has no bulk interface that does not wait for results: 20 `enqueue` calls are kept under
  way, which is its own limit on them.
- `concurrency` 100 (10 by default).
- Results are kept for ten minutes, as by default. uvloop, hiredis and orjson are installed,
  and orjson is given as `dump` and `load`, as its documentation proposes.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from saq.queue.redis import RedisQueue
from saq.worker import Worker

from peers.adapter import Adapter, Pace, Payload, Timer, in_parallel, run, tally


async def job(ctx: dict[str, Any], *, n: int, pad: str) -> None:
    tally(n, pad)


class Saq(Adapter):
    package = "saq"
    settings = "concurrency=100, orjson; 20 enqueue calls under way; results kept 10 min"
    jobs = 6_000
    bulk_jobs = 25_000
    remaining = (("LLEN", "saq:default:queued"), ("LLEN", "saq:default:active"))

    def queue(self) -> Any:
        return RedisQueue.from_url(self.url, dump=orjson.dumps, load=orjson.loads)

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        async def main() -> None:
            queue = self.queue()
            await queue.connect()
            with timer:
                await in_parallel(
                    lambda item: queue.enqueue("job", **item), payloads, self.number("width", 20)
                )

        run(main())

    def drip(self, pace: Pace) -> None:
        async def main() -> None:
            queue = self.queue()
            await queue.connect()
            async for item in pace:
                await queue.enqueue("job", **item)

        run(main())

    def work(self) -> None:
        async def main() -> None:
            queue = self.queue()
            await queue.connect()
            worker = Worker(queue, [job], concurrency=self.number("concurrency", 100))
            await worker.start()

        run(main())


adapter = Saq
