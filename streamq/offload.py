"""Large data outside the stream (a claim check): ``App(offload=…)``.

An entry then has a reference, and a worker reads the data when it comes to run the job. By
default it is kept in a key of its own beside the stream, and written and deleted with its entry.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streamq import lua
from streamq.errors import (
    ConfigError,
    DataGone,
    InvalidEntry,
    PayloadError,
    StreamqError,
    WrongKeyType,
)
from streamq.limits import MAX_OFFLOADED, MAX_PAYLOAD, OFFLOAD_ABOVE
from streamq.server import Server
from streamq.text import printable
from streamq.wire.keys import stream_keys
from streamq.wire.offloaded import Ref

__all__ = ["Offload", "Store"]

_AT_ONCE = 100
"""Data that is deleted in one step."""

_log = logging.getLogger(__name__)


class Store(Protocol):
    """An object store: S3, a file system, a database. Names are 32 hexadecimal digits.

    What a method raises is a failed attempt of the job; of ``delete``, it is logged and tried
    again later.
    """

    async def put(self, name: str, data: bytes) -> None:
        """Keep data under a name that is new."""
        ...

    async def get(self, name: str) -> bytes:
        """The data. ``KeyError`` when there is none, which makes the job a dead letter."""
        ...

    async def delete(self, names: Sequence[str]) -> None:
        """Delete data; some of it may be gone already."""
        ...


@dataclass(frozen=True, slots=True)
class Offload:
    """Which data is kept outside the stream, and where.

    Attributes:
        above: bytes of encoded data above which it is.
        store: where; a key of its own beside the stream without one.

    Raises:
        ConfigError: ``above`` is no such number, or the store has no ``put``, ``get``, ``delete``.
    """

    above: int = OFFLOAD_ABOVE
    store: Store | None = None

    def __post_init__(self) -> None:
        if isinstance(self.above, bool) or not isinstance(self.above, int) or self.above < 1:
            raise ConfigError(f"offload: above={self.above!r}: give bytes, one or more")
        for name in ("put", "get", "delete") if self.store is not None else ():
            if not callable(getattr(self.store, name, None)):
                raise ConfigError(f"offload: the store has no method {name}")


def check_offload(given: int | Offload | None) -> Offload | None:
    """What ``App(offload=…)`` was given.

    Raises:
        ConfigError: it is no number of bytes.
    """
    if given is None or isinstance(given, Offload):
        return given
    if isinstance(given, bool) or not isinstance(given, int):
        raise ConfigError(f"offload={given!r}: give bytes, or an Offload")
    return Offload(given)


def store_of(offload: Offload | None) -> Store | None:
    """The object store of an app, if it has one."""
    return None if offload is None else offload.store


def largest_payload(given: int | None, offload: Offload | None) -> int:
    """Bytes that the encoded data of one job may take."""
    if given is not None:
        return given
    return MAX_PAYLOAD if offload is None else MAX_OFFLOADED


async def put(store: Store, ref: Ref, data: bytes) -> None:
    """Keep data in a store.

    Raises:
        PayloadError: the store has failed; it says how.
    """
    try:
        await store.put(ref.name, data)
    except Exception as error:
        raise PayloadError(f"the data could not be kept outside: {_said(error)}") from error


async def read(server: Server, stream: str, ref: Ref, store: Store | None) -> bytes:
    """Data that is kept outside the stream.

    Raises:
        DataGone: it is not there.
        InvalidEntry: it is in a store, and none is given.
        StreamqError: the server did not answer.
        Exception: what the store raised.
    """
    data: object
    if not ref.in_store:
        key = stream_keys(stream).data(ref.name)
        try:
            data = await server.call("GET", key)
        except WrongKeyType:
            raise InvalidEntry(f"the key {key} holds another type than data, a string") from None
    elif store is None:
        raise InvalidEntry(
            "the data is in an object store: give the App the same one, "
            "App(offload=Offload(store=…))"
        )
    else:
        try:
            data = await store.get(ref.name)
        except KeyError:
            data = None
    if data is None:
        raise DataGone(f"the data is gone that was kept outside the stream as {ref.place}")
    if not isinstance(data, bytes) or len(data) != ref.size:
        found = f"{len(data):,} bytes" if isinstance(data, bytes) else type(data).__name__
        raise InvalidEntry(
            f"the data that was kept outside the stream as {ref.place} had {ref.size:,} bytes, "
            f"and is now {found}"
        )
    return data


async def discard(server: Server, stream: str, ref: Ref, store: Store | None) -> None:
    """Delete data whose entry was not written. What cannot be deleted is left."""
    try:
        if not ref.in_store:
            await server.call("DEL", stream_keys(stream).data(ref.name))
        elif store is not None:
            await store.delete([ref.name])
    except Exception as error:
        _log.warning("Data outside the stream was left behind, %s: %s", ref.place, _said(error))


async def let_go(
    server: Server, stream: str, refs: Sequence[Ref], store: Store | None = None
) -> None:
    """Take note that entries or dead letters are gone, and delete data that nobody has any more."""
    await server.run(lua.let_go(stream_keys(stream), [ref.place for ref in refs]))
    await delete_unheld(server, stream, store)


async def delete_unheld(server: Server, stream: str, store: Store | None = None) -> int:
    """Delete the data that no entry and no dead letter has any more; how much of it there was.

    What is in a store stays when that is not given, for one who has it.

    Raises:
        StreamqError: the server did not answer, or the store failed.
    """
    keys, count, skip = stream_keys(stream), 0, 0
    while True:
        places = await server.call("ZRANGE", keys.data_unheld, skip, skip + _AT_ONCE - 1)
        refs = [Ref(0, place.decode("ascii", "replace")) for place in places]
        beside = [ref for ref in refs if not ref.in_store]
        stored = [ref for ref in refs if ref.in_store and store is not None]
        if beside:
            await server.call("DEL", *(keys.data(ref.name) for ref in beside))
        if stored and store is not None:
            try:
                await store.delete([ref.name for ref in stored])
            except Exception as error:
                raise StreamqError(
                    f"data outside the stream could not be deleted: {_said(error)}"
                ) from error
        done = beside + stored
        if done:
            await server.call("ZREM", keys.data_unheld, *(ref.place for ref in done))
        count += len(done)
        skip += len(refs) - len(done)
        if len(refs) < _AT_ONCE:
            return count


def _said(error: Exception) -> str:
    text = printable(error, 200)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
