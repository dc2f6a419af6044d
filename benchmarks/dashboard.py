"""What the dashboard costs: each of its pages, and one page that stays open.

A server with 100 groups on 10 streams, one of them with a million pending entries and 100,000
dead letters. Each page is asked for in turn, by its ASGI app in this process: how long it takes,
how much of the server's CPU time, and how long the longest command keeps the server from doing
anything else. Then somebody looks at the overview for a while.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
from harness.measure import Measurement, percentile
from harness.server import Server
from harness.session import Measured, Session, parser, run
from harness.systems import SYSTEMS, Description, System

from streamq import App
from streamq.ui.web import dashboard
from streamq.ui.web.pictures import INTERVAL, Pictures
from streamq.wire.keys import group_keys

STREAMS, GROUPS = 10, 10  # groups of each stream
PENDING = 1_000_000
DEAD = 100_000
ASKED = 20  # times for each page
WATCHED = 20.0  # seconds
BATCH = 5_000

LARGE = "stream=stream-0&group=group-0"

PAGES = {
    "overview": "/",
    "a group": f"/group?{LARGE}",
    "pending": f"/pending?{LARGE}",
    "pending, stalled": f"/pending?{LARGE}&state=stalled",
    "pending, a type": f"/pending?{LARGE}&type=none",
    "pending, all groups": "/pending",
    "dead letters": f"/dead?{LARGE}",
    "dead letters, searched": f"/dead?{LARGE}&q=nothing+like+that",
    "consumers": "/consumers",
    "limits": "/limits",
    "scheduled": "/scheduled",
    "cron": "/cron",
    "a job": f"/job?{LARGE}&id={{job}}",
}

METRICS = {
    "page": "ms until a page is there",
    "server": "ms of the server's CPU time for a page",
    "longest": "ms that the longest command of a page keeps the server busy",
    "watching": "percent of a core that the server needs while somebody looks",
}


def fill(server: Server, pending: int, dead: int) -> str:
    """Make the groups and their jobs; the ID of a job in the middle."""
    client: Any = server.client
    for n in range(STREAMS):
        for m in range(GROUPS):
            client.xgroup_create(f"stream-{n}", f"group-{m}", id="0", mkstream=True)
    for start in range(0, pending, BATCH):
        pipe = client.pipeline(transaction=False)
        for n in range(start, start + BATCH):
            pipe.xadd("stream-0", {"type": f"type-{n % 7}", "data": f'{{"n":{n}}}'})
        pipe.execute()
        client.xreadgroup("group-0", f"web-{start % 9}", {"stream-0": ">"}, count=BATCH)
    keys = group_keys("stream-0", "group-0")
    for start in range(0, dead, BATCH):
        pipe = client.pipeline(transaction=False)
        for n in range(start, start + BATCH):
            meta = {"id": f"{n + 1}-0", "reason": "retries exhausted", "attempts": "4"}
            meta = {**meta, "error": f"Error{n % 11}: it was {n}", "consumer": "web-1"}
            names = ("id", "reason", "error", "attempts", "consumer")
            own = {"type": f"type-{n % 7}", "data": f'{{"n":{n}}}'}
            pipe.xadd(keys.dlq, {**{name: meta[name] for name in names}, **own})
        pipe.execute()
    [row] = client.xpending_range("stream-0", "group-0", "-", "+", 1)
    return str(row["message_id"])


def cpu(server: Server) -> float:
    """Seconds of CPU time that the server has used."""
    found = server.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


@asynccontextmanager
async def visiting(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks for pages."""
    async with App(server.url) as app:
        transport = httpx.ASGITransport(dashboard(app, lease=3600.0))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


async def ask(server: Server, job: str, asked: int) -> list[Measurement]:
    """Ask for every page so many times."""
    found = []
    async with visiting(server) as visitor:
        for name, path in PAGES.items():
            where = path.format(job=job)
            (await visitor.get(where)).raise_for_status()
            server.client.config_set("slowlog-log-slower-than", 0)
            server.client.slowlog_reset()
            took, before = [], cpu(server)
            for _ in range(asked):
                began = time.perf_counter()
                (await visitor.get(where)).raise_for_status()
                took.append(1000 * (time.perf_counter() - began))
            used = 1000 * (cpu(server) - before) / asked
            commands: Any = server.client.slowlog_get(10_000)
            longest = max(one["duration"] for one in commands) / 1000
            found += [
                Measurement(name, "page", percentile(took, 50), "ms", asked),
                Measurement(name, "server", used, "ms", asked),
                Measurement(name, "longest", longest, "ms", asked),
            ]
    return found


async def watch(server: Server, seconds: float) -> Measurement:
    """Look at the overview for so long."""
    async with App(server.url) as app:
        pictures = Pictures(lambda: app.admin.watch(interval=0.01))
        with pictures.viewing() as news:
            await news.get()
            before = cpu(server)
            await asyncio.sleep(seconds)
            used = cpu(server) - before
        await pictures.close()
    taken = int(seconds / INTERVAL)
    return Measurement("overview", "watching", 100 * used / seconds, "% of a core", taken)


def main(words: Sequence[str] | None = None) -> int:
    options = parser(
        "What the pages of the dashboard take, with 100 groups and a million pending entries.",
        "python benchmarks/dashboard.py --rounds 1 --json dashboard.json",
        systems=None,
        rounds=3,
    )
    arguments = options.parse_args(words)

    def measure(session: Session, system: System, description: Description) -> Iterator[Measured]:
        pending, dead = session.jobs(PENDING), session.jobs(DEAD)
        with session.server() as server:
            job = fill(server, pending, dead)
            yield from asyncio.run(ask(server, job, ASKED))
            yield asyncio.run(watch(server, WATCHED if not session.quick else 4.0))

    return run(
        arguments,
        "dashboard",
        METRICS,
        measure,
        seconds=120,
        chosen=[replace(SYSTEMS["streamq"], name="streamq")],
        show_settings=False,
    )


if __name__ == "__main__":
    sys.exit(main())
