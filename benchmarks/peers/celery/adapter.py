"""Celery with the Redis transport and the threads pool.

- Enqueued with `apply_async` on one producer, so that the connection is not looked up each time:
  Celery has no bulk interface, and a group does the same.
- 8 threads; `worker_prefetch_multiplier` 64 as its guide advises for short tasks (4 by default).
  Gossip, mingle and heartbeats are off, as its guide advises where they are not needed.
- Acknowledged before running and no result backend, as by default. hiredis is installed.
"""

from collections.abc import Sequence
from typing import Any

from celery import Celery as App

from peers.adapter import Adapter, Pace, Payload, Timer, tally


def job(n: int, pad: str) -> None:
    tally(n, pad)


class Celery(Adapter):
    package = "celery"
    settings = "threads pool of 8, prefetch multiplier 64, no gossip; one producer; no results"
    jobs = 3_000
    bulk_jobs = 6_000
    remaining = (("LLEN", "celery"), ("HLEN", "unacked"))

    def __init__(self, url: str, options: dict[str, str]) -> None:
        super().__init__(url, options)
        self.app: Any = App("bench", broker=url.replace("unix://", "redis+socket://"))
        self.app.conf.worker_prefetch_multiplier = self.number("prefetch", 64)
        self.app.conf.broker_connection_retry_on_startup = True
        # The harness reads standard output.
        self.app.conf.worker_redirect_stdouts = False
        self.task = self.app.task(job, name="job")

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        with self.app.producer_pool.acquire(block=True) as producer:
            producer.connection.ensure_connection()
            with timer:
                for item in payloads:
                    self.task.apply_async(kwargs=item, producer=producer)

    def drip(self, pace: Pace) -> None:
        with self.app.producer_pool.acquire(block=True) as producer:
            for item in pace:
                self.task.apply_async(kwargs=item, producer=producer)

    def work(self) -> None:
        threads = self.number("concurrency", 8)
        self.app.worker_main(
            [
                "worker",
                "--pool=threads",
                f"--concurrency={threads}",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                "--loglevel=WARNING",
            ]
        )


adapter = Celery
