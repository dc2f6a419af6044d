"""dramatiq: a list of message IDs and a hash of messages, one Lua script for all.

- Enqueued one after the other through `group(...).run()`: dramatiq has no other bulk interface.
- 8 worker threads, its default, and a prefetch of 64, its `dramatiq_queue_prefetch` (twice the
  threads by default): a consumer that has its prefetch in flight sleeps before it looks again, so
  the default caps no-op jobs at a quarter of what the worker can do.
- The default middleware. No result backend, as by default. hiredis is installed.
"""

import threading
from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker

from peers.adapter import Adapter, Pace, Payload, Timer, tally


def job(n: int, pad: str) -> None:
    tally(n, pad)


class Dramatiq(Adapter):
    package = "dramatiq"
    settings = "8 threads, prefetch 64; group(...).run(); no results"
    jobs = 20_000
    bulk_jobs = 15_000
    remaining = (("HLEN", "dramatiq:default.msgs"),)

    def __init__(self, url: str, options: dict[str, str]) -> None:
        super().__init__(url, options)
        self.broker = RedisBroker(url=url)
        dramatiq.set_broker(self.broker)
        self.actor: Any = dramatiq.actor(job)

    def enqueue(self, payloads: Sequence[Payload], timer: Timer) -> None:
        self.broker.client.ping()
        with timer:
            dramatiq.group([self.actor.message(**item) for item in payloads]).run()

    def drip(self, pace: Pace) -> None:
        self.broker.client.ping()
        for item in pace:
            self.actor.send(**item)

    def work(self) -> None:
        worker = Worker(self.broker, worker_threads=self.number("concurrency", 8))
        worker.queue_prefetch = self.number("prefetch", 64)
        worker.start()
        threading.Event().wait()


adapter = Dramatiq
