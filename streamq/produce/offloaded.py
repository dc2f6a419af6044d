"""Jobs whose data may be kept outside the stream: in a store first, or written with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from streamq import lua
from streamq.codec import Codec, encode_with
from streamq.new_job import NewJob
from streamq.offload import Offload, discard, put
from streamq.produce.commands import with_options
from streamq.server import Server
from streamq.server.replies import KeyTaken
from streamq.wire.keys import check_stream, stream_keys
from streamq.wire.offloaded import Ref, new_ref


class Command(NamedTuple):
    """What writes a job.

    Attributes:
        command: packed, or a script.
        repeatable: whether it does nothing the second time.
        ref: where the data is, if it is not in the entry.
    """

    command: bytes | lua.Call
    repeatable: bool
    ref: Ref | None


class Outgoing:
    """Makes the commands for the jobs of an app that offloads.

    Args:
        limit: bytes that the encoded data of one job may take.
        codec: writes the data; JSON without one.
    """

    def __init__(self, server: Server, offload: Offload, limit: int, codec: Codec | None) -> None:
        self._server = server
        self._offload = offload
        self._limit = limit
        self._codec = codec
        self._sent: deque[Ref | None] = deque()

    async def command(self, stream: str, job: NewJob) -> Command:
        """The command for one job. An object store has its data when this returns.

        Raises:
            PayloadError: the data cannot be written, is too large, or the store failed.
            ConfigError: the stream, the type or an option cannot be used.
        """
        raw = encode_with(self._codec, job.data, self._limit)
        if len(raw) <= self._offload.above:
            command = with_options(stream, job, self._limit, _Written(raw))
            return Command(command, not isinstance(command, bytes), None)
        empty, store = _Written(b""), self._offload.store
        found = with_options(stream, job, self._limit, empty)
        call = found
        if isinstance(call, bytes):
            call = lua.produce(check_stream(stream), job.fields(self._limit, empty))
        ref = new_ref(len(raw), in_store=store is not None)
        call = call._replace(args=(*call.args, "ref", ref.value))  # the fields come last
        if store is None:
            call = lua.keep_data(call, stream_keys(stream).data(ref.name), raw)
        else:
            await put(store, ref, raw)
        return Command(call, not isinstance(found, bytes), ref)

    async def take_back(self, stream: str, ref: Ref | None) -> None:
        """Delete data from an object store whose job was not written."""
        if ref is not None and ref.in_store:
            await discard(self._server, stream, ref, self._offload.store)

    # -- many -----------------------------------------------------------------

    def sent(self, ref: Ref | None) -> None:
        """Take note of one of many jobs, in order."""
        self._sent.append(ref)

    async def replied(self, stream: str, replies: Sequence[Any]) -> None:
        """Take note of what became of those that were noted first."""
        for reply in replies:
            ref = self._sent.popleft()
            if (isinstance(reply, list) and reply[1] == 0) or isinstance(reply, KeyTaken):
                await self.take_back(stream, ref)


class _Written:
    """A codec for data that is encoded already."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def encode(self, data: Any) -> bytes:
        return self._raw

    def decode(self, raw: bytes) -> Any:
        raise NotImplementedError
