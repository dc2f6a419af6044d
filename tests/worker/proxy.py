"""A proxy in front of a server that loses what a test tells it to lose."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import rmtree

Wish = Callable[[bytes], bool]


class Proxy:
    """Passes everything on, but for the replies that it is asked to lose."""

    def __init__(self, target: Path, path: Path) -> None:
        self.target, self.path = target, path
        self.lost = asyncio.Event()
        self._lose: Wish | None = None
        self._times = 0
        self._tasks: set[asyncio.Task[None]] = set()

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

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_reader, server_writer = await asyncio.open_unix_connection(str(self.target))
        losing = asyncio.Event()
        back = asyncio.create_task(self._back(server_reader, writer, losing))
        try:
            while sent := await reader.read(65536):
                if self._times and self._lose is not None and self._lose(sent):
                    self._times -= 1
                    losing.set()
                server_writer.write(sent)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            server_writer.close()
            writer.close()
            await asyncio.wait([back])
            self._tasks.discard(task)

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        try:
            while replied := await reader.read(65536):
                if losing.is_set():
                    self.lost.set()
                    break
                writer.write(replied)
        except OSError:
            pass
        writer.close()

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.sleep(0)


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
