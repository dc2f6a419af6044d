"""The pictures of docs/top.md: `python docs/top_pictures.py` draws them from a run of the view.

A server of its own gets streams, groups and workers, and the view a terminal that is not there:
what it would show becomes SVG.
"""

import asyncio
import io
import os
import random
import re
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from streamq import App, Dead, Job, Retry, testing
from streamq.admin import Snapshot
from streamq.ui.terminal.feed import Feed
from streamq.ui.terminal.line import Line
from streamq.ui.terminal.live import Live
from streamq.ui.terminal.order import Order
from streamq.ui.terminal.terminal import Size, Terminal

IMAGES = Path(__file__).parent / "img"
SECONDS = 25


class Canvas(Terminal):
    """A terminal that keeps what it would show. Keys come from a pipe."""

    def __init__(self, size: Size) -> None:
        reader, self._typed = os.pipe()
        super().__init__(reader, -1, colors=True)
        self.keys = reader
        self._own_size = size
        self._lines: Sequence[Line] = ()

    @property
    def size(self) -> Size:
        return self._own_size

    def show(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def type(self, keys: str) -> None:
        os.write(self._typed, keys.encode())

    def draw(self, path: Path) -> None:
        console = Console(width=self.size.width, record=True, file=io.StringIO())
        for line in self._lines:
            console.print(Text.from_ansi(line.ansi()), soft_wrap=True)
        svg = console.export_svg(title="streamq top", theme=MONOKAI, unique_id=path.stem)
        # The fonts of the one who looks, not those of another site.
        svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
        path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
        print(path)


class LocalFeed(Feed):
    """The pictures say that they are from a server on its usual port."""

    def _take(self, picture: Snapshot) -> None:
        super()._take(replace(picture, where="localhost:6379"))


def handlers(app: App) -> None:
    images = app.group("images", retries=3, concurrency=12)
    search = app.group("search", retries=2)
    mails = app.group("mails", retries=1, concurrency=2)

    @images.handler("photo_added")
    async def make_thumbnail(job: Job, file: str) -> None:
        for done in (0.2, 0.6, 0.9):
            job.progress(done, "resizing")
            await asyncio.sleep(random.random() / 4)
        if random.random() < 0.03:
            raise Retry("OSError: image file is truncated", delay=random.choice((20, 60, 300)))

    @search.handler("*")
    async def index(job: Job) -> None:
        if random.random() < 0.01:
            raise Dead("ValidationError: field 'user' is missing")

    @mails.handler("photo_added")
    async def send(job: Job) -> None:
        await asyncio.sleep(0.05)
        chance = random.random()
        if chance < 0.04:
            raise ConnectionError(f"10.0.0.{random.randint(2, 9)}:587 refused the connection")
        if chance < 0.06:
            raise Dead("TimeoutError: no answer within 10 s")
        if chance < 0.07:
            raise Dead("LookupError: no user 4711")


async def produce(app: App) -> None:
    number = 0
    while True:
        for _ in range(random.randint(25, 60)):
            number += 1
            data = {"file": f"photos/{number:05}.jpg", "user": number % 97}
            await app.produce("photo_added", data)
        await asyncio.sleep(1)


async def main() -> None:
    random.seed(4)
    socket.gethostname = lambda: "web1"
    async with testing.server() as url, App(url) as app:
        handlers(app)
        await app.admin.create_group("invoices", "ledger")
        for number in range(48):
            await app.produce("invoice", {"number": number}, stream="invoices")
        await app.admin.create_group("jobs", "audit")
        await app.admin.pause("jobs", "audit")
        async with asyncio.TaskGroup() as background:
            tasks = [background.create_task(produce(app))]
            tasks += [background.create_task(app.worker().run()) for _ in range(2)]
            await asyncio.gather(
                look(app, "top.svg", Size(100, 16), [""]),
                look(app, "top-group.svg", Size(100, 24), ["jjj\r"]),
                look(app, "top-errors.svg", Size(100, 14), ["jjj", "d", "e"]),
            )
            for task in tasks:
                task.cancel()


async def look(app: App, name: str, size: Size, keys: Sequence[str]) -> None:
    canvas = Canvas(size)
    feed = LocalFeed(app.admin, (), None, 1.0)
    live = asyncio.create_task(
        Live(app.admin, feed, Order.NAME, canvas, read_only=False).run(canvas.keys)
    )
    await asyncio.sleep(SECONDS)
    for some in keys:
        canvas.type(some)
        await asyncio.sleep(2)
    canvas.draw(IMAGES / name)
    canvas.type("q")
    await live


if __name__ == "__main__":
    asyncio.run(main())
