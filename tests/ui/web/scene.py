"""A small shop in trouble: jobs in every state there is, for pictures and for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import anyio
import redis

from streamq import App, Backoff, Dead, Job, Retry, Settings
from streamq.admin import Admin
from streamq.errors import StreamqError

GONE = "web3-811-c0ffee"
"""A consumer that is gone."""


def shop(url: str) -> App:
    """The app: five groups on two streams, each with a trouble of its own."""
    app = App(url, stream="orders")
    numbers = count(1)

    billing = app.group("billing", order=True, on_failure="skip", concurrency=8)
    emails = app.group("emails", rate="2/s", concurrency=4)
    search = app.group("search", concurrency=8)
    thumbnails = app.group("thumbnails", stream="images", concurrency=6, retries=2)
    app.group("archive", stream="images")

    @billing.handler("*")
    async def charge(job: Job, user: int = 0) -> dict[str, object]:
        await anyio.sleep(0.05)
        if next(numbers) % 23 == 0:
            raise Retry("the bank asks to come back later", delay=3600)
        job.emit("receipt", {"user": user}, stream="receipts")
        return {"charged": True, "amount": 19.9}

    @emails.handler("*")
    async def send(job: Job) -> None:
        await anyio.sleep(0.2)

    @search.handler("*", timeout=60)
    async def index(job: Job) -> None:
        await anyio.sleep(0.01)

    @thumbnails.handler("resize", backoff=Backoff(base=0.02, cap=0.05))
    async def resize(job: Job, file: str, broken: bool = False) -> dict[str, str]:
        if broken:
            raise ConnectionError("[Errno 111] Connect call failed ('10.0.4.17', 9000)")
        return {"thumbnail": f"{file}.256.webp"}

    @thumbnails.handler("crop", retries=0)
    async def crop(job: Job) -> None:
        raise ValueError("the picture has no EXIF orientation")

    @thumbnails.handler("watermark")
    async def watermark(job: Job, file: str) -> None:
        raise Dead(f"the licence of {file} has run out")

    @thumbnails.handler("transcode", timeout=3600)
    async def transcode(job: Job) -> None:
        job.progress(0.62, "frame 1,860 of 3,000")
        await anyio.sleep_forever()

    @billing.cron("0 7 * * MON", name="weekly-report", tz="Europe/Berlin")
    async def weekly_report(job: Job) -> None:
        """Nothing to do here."""

    return app


@asynccontextmanager
async def playing(url: str, client: redis.Redis, *, busy: bool = True) -> AsyncIterator[App]:
    """The shop at work, with all its troubles there.

    Args:
        busy: whether orders keep coming.
    """
    async with shop(url) as app:
        admin = app.admin
        for stream, groups in {
            "orders": ("billing", "emails", "search", "nightly"),
            "images": ("thumbnails", "archive"),
        }.items():
            for group in groups:
                await admin.create_group(stream, group)
        await app.admin.pause("orders", "nightly")
        await admin.set_rules("orders", "emails", rate="3/s", max_in_flight=20)
        await _write(app)
        worker = app.worker(
            groups=["billing", "emails", "search", "thumbnails"],
            settings=Settings(result_ttl=600, prefetch=40),
        )
        async with anyio.create_task_group() as background:
            background.start_soon(worker.run)
            await _until_dead(admin, 47)
            _stall(client)
            if busy:
                background.start_soon(_keep_ordering, app)
            yield app
            background.cancel_scope.cancel()


async def _write(app: App) -> None:
    for n in range(38):
        await app.produce(
            "resize", {"file": f"photo_{n}.png", "broken": True, "auth": {"token": f"s3cr3t-{n}"}},
            stream="images",
        )  # fmt: skip
    for n in range(6):
        await app.produce("crop", {"file": f"scan_{n}.png"}, stream="images")
    for n in range(3):
        await app.produce("watermark", {"file": f"stock_{n}.jpg"}, stream="images")
    await app.produce("transcode", {"file": "talk.mp4", "to": "av1"}, stream="images")
    for n in range(60):
        await app.produce("resize", {"file": f"photo_{100 + n}.png"}, stream="images")
    for n in range(4):
        await app.produce("reminder", {"user": n}, delay=3600.0 * (n + 1))
    await app.admin.schedules.create("orders", "close-books", "close_books", cron="0 0 1 * *")
    await app.admin.schedules.create("orders", "heartbeat", "beat", every=3600, paused=True)
    for n in range(120):
        await _order(app, n)


async def _order(app: App, n: int) -> None:
    data = {"order": 7000 + n, "user": n % 9, "password": "hunter2", "lines": [{"sku": "A-17"}]}
    await app.produce("order_placed", data, key=f"user-{n % 9}")


async def _keep_ordering(app: App) -> None:
    for n in count(1000):
        await _order(app, n)
        await anyio.sleep(0.04)


async def _until_dead(admin: Admin, letters: int) -> None:
    while True:
        try:
            if await admin.dead_letters("images", "thumbnails").count() >= letters:
                return
        except StreamqError:
            pass
        await anyio.sleep(0.05)


def _stall(client: redis.Redis) -> None:
    """Two jobs of a worker that was killed long ago."""
    client.xreadgroup("archive", GONE, {"images": ">"}, count=2)
    for row in client.xpending_range("images", "archive", "-", "+", 10):
        make_stalled: list[str | bytes | memoryview[int] | int] = [str(row["message_id"])]
        client.xclaim("images", "archive", GONE, 0, make_stalled, idle=900_000, justid=True)
