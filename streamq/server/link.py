"""One connection to the server: commands out, raw replies in, errors in streamq's words.

Connecting, TLS and authentication are redis-py's; its command layer, with a callback
for every reply, is left out, because a worker wants the bytes as they came.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import redis.exceptions as redis_errors
from redis.asyncio.connection import AbstractConnection

from streamq.errors import OutcomeUnknown, ServerUnavailable, StreamqError
from streamq.scripts import Call
from streamq.server.packing import Arg, pack
from streamq.server.replies import translate

# uvloop has a RuntimeError for writing to a connection that broke a moment before.
_BROKEN = (redis_errors.RedisError, OSError, EOFError, RuntimeError)

# A primary that has become a replica: its address may lead to another one by now.
_DEMOTED = (redis_errors.ReadOnlyError, redis_errors.MasterDownError)

CONNECT_TIMEOUT = 5.0
REPLY_TIMEOUT = 30.0
"""Seconds without a reply after which a connection counts as broken."""


class Link:
    """One connection, opened at its first use and again after it broke.

    Calls from several tasks take turns. A call that is cancelled or fails on the
    wire closes the connection, so that no reply can reach the wrong caller.

    Args:
        connect: makes a connection, not yet opened.
        where: the server's address, as it may be shown.
        timeout: seconds without a reply after which the connection counts as broken.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractConnection],
        where: str,
        timeout: float = REPLY_TIMEOUT,
    ) -> None:
        self.timeout = timeout
        self._connect = connect
        self._connection: AbstractConnection | None = None
        self._turn = asyncio.Lock()
        self._where = where

    async def open(self) -> None:
        """Connect now, if not connected.

        Raises:
            ServerUnavailable: nobody answers there.
            AuthenticationFailed: the server does not accept the credentials.
        """
        async with self._turn:
            await self._ready()

    async def call(self, *args: Arg, block: float = 0.0) -> Any:
        """Send one command and return its reply: bytes, int, list or ``None``.

        Args:
            block: seconds for which the command lets the server wait.

        Raises:
            ServerUnavailable: the connection could not be opened.
            OutcomeUnknown: it broke after the command was sent.
            StreamqError: what the server's error reply means.
        """
        replies = await self.exchange(pack(args), 1, block=block)
        if isinstance(replies[0], Exception):
            raise replies[0]
        return replies[0]

    async def run(self, script: Call) -> Any:
        """Run a script by its digest, loading it where the server does not know it."""
        packed = pack(script.evalsha())
        replies = await self.exchange(packed, 1)
        if isinstance(replies[0], redis_errors.NoScriptError):
            await self.call("SCRIPT", "LOAD", script.source)
            replies = await self.exchange(packed, 1)
        if isinstance(replies[0], redis_errors.RedisError):
            raise translate(replies[0], self._where)
        if isinstance(replies[0], Exception):
            raise replies[0]
        return replies[0]

    async def exchange(self, packed: bytes, count: int, *, block: float = 0.0) -> Sequence[Any]:
        """Send packed commands at once and return their ``count`` replies.

        An error reply is returned in its place, as a :class:`StreamqError`; only
        ``NOSCRIPT`` stays the exception that redis-py makes of it.
        """
        async with self._turn:
            connection = await self._ready()
            replies = []
            demoted = False
            timeout = self.timeout + block
            try:
                async with asyncio.timeout(timeout):
                    await connection.send_packed_command(packed, check_health=False)
                    for _ in range(count):
                        try:
                            reply = await connection.read_response(
                                disable_decoding=True, timeout=math.inf
                            )
                        except redis_errors.NoScriptError as error:
                            reply = error
                        except redis_errors.ResponseError as error:
                            reply = translate(error, self._where)
                            demoted = demoted or isinstance(error, _DEMOTED)
                        replies.append(reply)
            except (redis_errors.BusyLoadingError, redis_errors.AuthenticationError) as error:
                await self._drop()
                raise translate(error, self._where) from None
            except _BROKEN as error:
                await self._drop()
                what = f"no reply within {timeout:g} s" if _timed_out(error) else "connection lost"
                raise OutcomeUnknown(
                    f"{what} from {self._where}: whether the server has carried out "
                    "the command is not known"
                ) from error
            except BaseException:
                await self._drop()
                raise
            if demoted:
                await self._drop()
            return replies

    async def close(self) -> None:
        """Close the connection; a later call opens it again."""
        await self._drop()

    async def _ready(self) -> AbstractConnection:
        if self._connection is not None:
            if not await _closed(self._connection):
                return self._connection
            await self._drop()
        connection = self._connect()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
        except _BROKEN as error:
            await connection.disconnect(nowait=True)
            raise self._unreachable(error) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    def _unreachable(self, error: Exception) -> StreamqError:
        # A plain ConnectionError is the network's, unless it carries the server's code.
        network = type(error) is redis_errors.ConnectionError and not error.status_code
        if isinstance(error, redis_errors.RedisError) and not (network or _timed_out(error)):
            return translate(error, self._where)
        if _timed_out(error):
            return ServerUnavailable(
                f"no answer from {self._where} within {CONNECT_TIMEOUT:g} s: "
                "check the address and that the server is running"
            )
        return ServerUnavailable(
            f"cannot connect to {self._where}: check the address and that the server is running"
        )


async def _closed(connection: AbstractConnection) -> bool:
    """Whether the other side has closed the connection while it lay unused."""
    writer = connection._writer  # redis-py does not tell of one that was reset
    if writer is None or writer.is_closing():
        return True
    return bool(await connection.can_read())


def _timed_out(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | redis_errors.TimeoutError)
