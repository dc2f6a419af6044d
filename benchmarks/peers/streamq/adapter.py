"""streamq, through its public interface.

- `produce_many` with all jobs: it sends them in pipelines by itself.
- `concurrency` 100, as for the other asyncio systems (16 by default); everything else as by
  default: `prefetch` 1,000, arguments validated, and a status record of each job for five minutes.
- The worker logs, counts for its metrics and sees to its garbage as `streamq consume` does.
- With `--set result_ttl=0` it keeps no records.
- With `--set batch=N` its handler takes a list of up to N jobs, and reads the data of each.

For `growth.py`: with `--set groups=N` it consumes the stream for N groups, and with
`--set sleep_ms=N` handlers wait. For `keys.py`: with `--set keys=N` each job has one of N keys, in
turn, with `--set hot=1` all have one that is none of these, and with `--set order=1` the group runs
those of a key in order.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from peers.adapter import Adapter, Pace, Payload, Timer, tally
from streamq import App, Job, NewJob, Settings
from streamq.observe.log_lines import LogObserver
from streamq.observe.prometheus import Metrics
from streamq.process.eventloop import run_async
from streamq.process.gc import collect_less

STREAM = "jobs"


class Streamq(Adapter):
    package = "streamq"
    jobs = 250_000
    bulk_jobs = 500_000

    def __init__(self, url: str, options: dict[str, str]) -> None:
        super().__init__(url, options)
        self.app = App(url, stream=STREAM)
        self.groups = [f"group-{n}" for n in range(self.number("groups", 1))]
        self.work_settings = Settings(
            concurrency=self.number("concurrency", 100),
            prefetch=self.number("prefetch", 1_000),
            result_ttl=self.number("result_ttl", 300),
        )
        self.batch = self.number("batch", 0)
        self.keys = self.number("keys", 0)
        self.hot = self.number("hot", 0)
        self.settings = (
            f"concurrency={self.work_settings.concurrency}, "
            f"prefetch={self.work_settings.prefetch}, "
            f"{f'handler with batch={self.batch}' if self.batch else 'handler for one job'}; "
            f"produce_many; "
            f"records kept {self.work_settings.result_ttl:g} s"
        )
        self.remaining = (
            ("XLEN", STREAM),
            *(("XPENDING", STREAM, group) for group in self.groups),
        )

    def key(self, number: int) -> str | None:
        """The key of a job."""
        if self.hot:
            return "hot"
        return f"key-{number % self.keys}" if self.keys else None

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        async def main() -> None:
            async with self.app:
                await self.app.server.info()
                with timer:
                    if self.keys or self.hot:
                        await self.app.produce_many(
                            NewJob("job", item, key=self.key(n)) for n, item in enumerate(payloads)
                        )
                    else:
                        await self.app.produce_many(("job", item) for item in payloads)

        run_async(main)

    def drip(self, pace: Pace) -> None:
        async def main() -> None:
            async with self.app:
                await self.app.server.info()
                async for item in pace:
                    await self.app.produce("job", item, key=self.key(pace.sent))

        run_async(main)

    def work(self) -> None:
        pause = self.number("sleep_ms", 0) / 1000

        async def one(n: int, pad: str) -> None:
            tally(n, pad)
            if pause:
                await asyncio.sleep(pause)

        async def many(jobs: list[Job]) -> None:
            for job in jobs:
                data = job.data
                tally(data["n"], data["pad"])

        home = self.app.group(self.groups[0], order=True) if self.number("order", 0) else self.app
        register: Any = home.handler("job", batch=self.batch)
        register(many if self.batch else one)

        async def main() -> None:
            async with self.app:
                metrics = Metrics(self.app.server, self.app.subscriptions(self.groups))
                worker = self.app.worker(
                    groups=self.groups,
                    settings=self.work_settings,
                    observers=[LogObserver(), metrics],
                )
                collect_less()
                await worker.run()

        run_async(main)


adapter = Streamq
