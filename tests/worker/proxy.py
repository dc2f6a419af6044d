"""A proxy in front of a server that loses or keeps back what a test tells it to."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from shutil import rmtree

Wish = Callable[[bytes], bool]


class Held:
    """A reply that is kept back.

    Attributes:
        reached: set once the server has replied.
    """

    def __init__(self, to: bytes) -> None:
        self.to = to
        self.reached = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Pass it on, or do not keep it back at all."""
        self._released.set()

    async def passed_on(self) -> None:
        """Wait, as whoever passes it on."""
        self.reached.set()
        await self._released.wait()


class Proxy:
    """Passes everything on, but for the replies that it is asked to lose or to keep back."""

    def __init__(self, target: Path, path: Path) -> None:
        self.target, self.path = target, path
        self.lost = asyncio.Event()
        self.most_bytes = inf
        """Of what is sent before a reply comes; at more, the connection breaks."""
        self._lose: Wish | None = None
        self._times = 0
        self._held: list[Held] = []
        self._holding: list[Held] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.Event] = set()

    @property
    def url(self) -> str:
        """Where to connect to."""
        return f"unix://{self.path}"

    def lose_reply(self, to: bytes, times: int = 1) -> None:
        """Of the next commands that contain ``to``, let the server do each and lose the reply.

        The connection breaks instead.
        """
        self.lost.clear()
        self._lose = lambda sent: to in sent
        self._times = times

    def hold_reply(self, to: bytes) -> Held:
        """Of the next command that contains ``to``, keep back the reply; one at each call."""
        self._held.append(held := Held(to))
        self._holding.append(held)
        return held

    def _next_held(self, sent: bytes) -> Held | None:
        for held in self._held:
            if held.to in sent:
                self._held.remove(held)
                return held
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        server_reader, server_writer = await asyncio.open_unix_connection(str(self.target))
        losing = asyncio.Event()
        holding: list[Held] = []
        unanswered = 0

        async def there() -> None:
            nonlocal unanswered
            while sent := await reader.read(65536):
                unanswered += len(sent)
                if unanswered > self.most_bytes:
                    return
                if (held := self._next_held(sent)) is not None:
                    holding.append(held)
                if self._times and self._lose is not None and self._lose(sent):
                    self._times -= 1
                    losing.set()
                server_writer.write(sent)

        async def back() -> None:
            nonlocal unanswered
            while replied := await server_reader.read(65536):
                unanswered = 0
                if losing.is_set():
                    self.lost.set()
                    return
                while holding:
                    await holding.pop().passed_on()
                writer.write(replied)

        ways = {asyncio.ensure_future(way()) for way in (there, back)}
        self._writers |= {writer, server_writer}
        self._open.add(ended := asyncio.Event())
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, server_writer):
            end.close()
        await asyncio.gather(*ways, return_exceptions=True)
        self._writers -= {writer, server_writer}
        self._open.discard(ended)
        ended.set()

    async def close(self) -> None:
        """End all connections."""
        for held in self._holding:
            held.release()
        for writer in self._writers:
            writer.close()
        for ended in list(self._open):
            await ended.wait()


@asynccontextmanager
async def proxied(target: Path) -> AsyncIterator[Proxy]:
    """A proxy to a server's unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="sq-"))
    proxy = Proxy(target, folder / "p.sock")
    server = await asyncio.start_unix_server(proxy.serve, proxy.path)
    try:
        async with server:
            yield proxy
            server.close()
            await proxy.close()
    finally:
        rmtree(folder)
