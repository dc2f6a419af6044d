"""A TCP proxy for tests, between streamq and its server, that can do what networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK = 65536
OVERLAP = 64
"""Bytes of the request before that are kept, so that a pattern across two reads is found."""


class Proxy:
    """Forwards every connection to the server, and misbehaves when told.

    It runs in a thread of its own; every method may be called from any other.

    Args:
        target: the port on loopback that connections are forwarded to.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.delay = 0.0
        """Seconds by which every piece of data is late, in both directions."""
        self.trickle = 0
        """The most bytes that pass at once, with a switch of tasks after each; 0 for no limit."""
        self.swallowed = threading.Event()
        """Set when a reply has been swallowed."""
        self.reject = False
        """Whether new connections are reset as soon as they are made."""
        self.rejected = 0
        self._target = target
        self._pattern: bytes | None = None
        self._pairs: set[_Pair] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """The server's URL by way of the proxy."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._pairs)

    def start(self) -> Proxy:
        """Listen, on a free port."""
        self._thread.start()
        self._do(self._listen())
        return self

    def stop(self) -> None:
        """Close everything."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- misbehaviour ---------------------------------------------------------

    def cut(self) -> int:
        """Reset every connection; return how many there were. New ones are accepted."""
        return self._do(self._cut())

    def refuse(self) -> None:
        """Reset every connection and accept none, until :meth:`accept`."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._do(self._listen())

    def freeze(self) -> None:
        """Let nothing through on the present connections, which stay open for ever."""
        self._do(self._each(lambda pair: pair.flow.clear()))

    def half_close(self) -> None:
        """Send the clients the end of the stream, and go on listening to them."""
        self._do(self._each(lambda pair: pair.client.write_eof()))

    def retarget(self, port: int) -> None:
        """Forward new connections elsewhere; the present ones stay."""
        self._target = port

    def swallow(self, pattern: bytes) -> None:
        """Let the next request with ``pattern`` reach the server, drop the reply, and cut."""
        self.swallowed.clear()
        self._pattern = pattern

    # -- in the proxy's thread ------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        self._listener = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_address=True, backlog=512
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self._cut()

    async def _cut(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()
        return len(pairs)

    async def _each(self, act: Callable[[_Pair], None]) -> None:
        for pair in self._pairs:
            act(pair)

    async def _end(self) -> None:
        await self._refuse()
        for _ in range(5):
            await asyncio.sleep(0)  # one that was accepted a moment before begins, to be ended
        tasks = list(self._serving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was reset is closed in the loop's next turn

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            pass  # told to stop
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.reject:
            self.rejected += 1
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        pair = _Pair(writer, upstream[1])
        self._pairs.add(pair)
        try:
            # The end of one direction is passed on; the other may still have something to say.
            await asyncio.gather(self._requests(pair, reader), self._replies(pair, upstream[0]))
        except (OSError, RuntimeError):
            pass  # broken, or written to after its end
        finally:
            self._pairs.discard(pair)
            pair.reset()

    async def _requests(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        before = b""
        while data := await self._read(pair, reader):
            if self._pattern is not None and self._pattern in before + data:
                self._pattern = None
                pair.swallow = True
            before = data[-OVERLAP:]
            await self._pass_on(pair, data, pair.server)
        pair.server.write_eof()

    async def _replies(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        while data := await self._read(pair, reader):
            if pair.swallow:
                self.swallowed.set()
                pair.reset()
                return
            await self._pass_on(pair, data, pair.client)
        pair.reset()

    async def _read(self, pair: _Pair, reader: asyncio.StreamReader) -> bytes:
        await pair.flow.wait()
        data = await reader.read(CHUNK)
        await pair.flow.wait()
        return data

    async def _pass_on(self, pair: _Pair, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        step = self.trickle or len(data)
        for start in range(0, len(data), step):
            await pair.flow.wait()
            writer.write(data[start : start + step])
            await writer.drain()
            if self.trickle:
                await asyncio.sleep(0)


class _Pair:
    """One client's connection and the one to the server that goes with it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.flow = asyncio.Event()
        self.flow.set()
        self.swallow = False

    def reset(self) -> None:
        """Close both at once, with a reset and not a farewell."""
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if raw is not None and not writer.transport.is_closing():
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self.flow.set()
