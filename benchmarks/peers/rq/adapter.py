"""RQ: a list of job IDs, a hash a job, registries as sorted sets.

- `enqueue_many` in batches of 1,000.
- `SimpleWorker`: it runs jobs in its own process, one at a time; the default worker forks a
  process for each job and is several times slower.
- Results are kept for 500 s, as by default. hiredis is installed.
"""

from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, Worker

from peers.adapter import Adapter, Pace, Payload, Timer, tally


def job(n: int, pad: str) -> None:
    tally(n, pad)


class Rq(Adapter):
    package = "rq"
    settings = "SimpleWorker; enqueue_many of 1,000; results kept 500 s"
    jobs = 1_000
    bulk_jobs = 30_000
    remaining = (
        ("LLEN", "rq:queue:default"),
        ("LLEN", "rq:queue:default:intermediate"),
        ("ZCARD", "rq:wip:default"),
    )

    def __init__(self, url: str, options: dict[str, str]) -> None:
        super().__init__(url, options)
        self.connection = Redis.from_url(url)
        self.queue = Queue(connection=self.connection)

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        batch = self.number("batch", 1_000)
        self.connection.ping()
        with timer:
            for start in range(0, len(payloads), batch):
                chunk = payloads[start : start + batch]
                self.queue.enqueue_many([Queue.prepare_data(job, kwargs=item) for item in chunk])

    def drip(self, pace: Pace) -> None:
        self.connection.ping()
        for item in pace:
            self.queue.enqueue(job, **item)

    def work(self) -> None:
        kind: Any = Worker if self.options.get("fork") else SimpleWorker
        kind([self.queue], connection=self.connection).work(logging_level="WARNING")


adapter = Rq
