"""The bare loop as a system among the others. See loop.py for what it does and leaves out.

- `XADD` in pipelines of 500, two under way.
- `XREADGROUP COUNT 1000` with the next read under way while a batch is handled, and one question
  about ownership a batch, unless `--set count=N`, `--set ahead=0` or `--set fence=entry` say
  otherwise; `bare.py` tries them all.
- With `--set status=1` it writes a status hash with a time to live for each job.
"""

import time
from collections.abc import Sequence

from peers.adapter import Adapter, Pace, Payload, Timer, run, tally
from peers.bare.loop import GROUP, STREAM, Connection, consume, produce, produce_one


class Bare(Adapter):
    package = "hiredis"
    jobs = 250_000  # as many as streamq: records of more would make the server slower
    bulk_jobs = 1_000_000
    remaining = (("XLEN", STREAM), ("XPENDING", STREAM, GROUP))

    def __init__(self, url: str, options: dict[str, str]) -> None:
        super().__init__(url, options)
        self.status = bool(self.number("status", 0))
        self.count = self.number("count", 1_000)
        self.ahead = bool(self.number("ahead", 1))
        self.fence = options.get("fence", "range")
        self.batch = self.number("batch", 500)
        self.settings = (
            f"COUNT {self.count}, "
            f"{'one read ahead' if self.ahead else 'one step at a time'}, fence by {self.fence}, "
            f"{'status hash per job' if self.status else 'no status'}; "
            f"XADD in pipelines of {self.batch}"
        )

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        async def main() -> None:
            connection = await Connection.open(self.url)
            with timer:
                await produce(connection, payloads, self.batch)

        run(main())

    def drip(self, pace: Pace) -> None:
        async def main() -> None:
            connection = await Connection.open(self.url)
            async for item in pace:
                await produce_one(connection, item)

        run(main())

    def work(self) -> None:
        def handle(data: Payload) -> None:
            tally(data["n"], data["pad"])

        async def main() -> None:
            connection = await Connection.open(self.url)
            await consume(
                connection,
                handle,
                lambda: time.time_ns() // 1_000_000,
                count=self.count,
                ahead=self.ahead,
                fence=self.fence,
                status=self.status,
            )

        run(main())


adapter = Bare
