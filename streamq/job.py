"""A job, as a handler sees it: one delivery of one entry to one group."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import orjson

from streamq.errors import InvalidEntry
from streamq.text import printable
from streamq.wire.entry import Fields, check_type, created_at, decode_data, encode_data
from streamq.wire.keys import check_stream

_MS = re.compile(r"[0-9]{1,16}")


class Emitted(NamedTuple):
    """A follow-up event, waiting to be written with the ack."""

    stream: str
    type: str
    raw: bytes


class _Done:
    """Awaitable that is ready at once, so that ``emit`` works from ``async`` and ``def``."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE = _Done()


class Job:
    """One delivery of one entry to one group, as a handler sees it.

    Attributes:
        id: the entry ID, ``<ms>-<n>``, which is the job's only identity.
        stream: the stream it was read from.
        group: the group that processes it.
        consumer: the consumer (worker process) that holds it.
        type: the handler's name, ``""`` if the producer gave none.
        attempt: the delivery count; 1 is the first try.
        retries: how many more tries follow a first failure.
    """

    __slots__ = (
        "_data", "_raw", "attempt", "consumer", "emitted", "group", "id",
        "meta", "retries", "stream", "type",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        stream: str,
        group: str,
        consumer: str,
        attempt: int,
        wire: Fields,
        retries: int = 0,
    ) -> None:
        self.id = id
        self.stream = stream
        self.group = group
        self.consumer = consumer
        self.attempt = attempt
        self.retries = retries
        self.type, self._raw, self._data, self.meta = wire
        self.emitted: list[Emitted] | None = None

    @property
    def data(self) -> Any:
        """The data, decoded when first asked for; a ``dict`` for what ``produce`` wrote.

        Raises:
            InvalidEntry: it is not JSON.
        """
        data = self._data
        if data is None and self._raw is not None:
            data = self._data = decode_data(self._raw)
        return data

    @property
    def raw(self) -> bytes:
        """The data as JSON bytes."""
        return self._raw if self._raw is not None else orjson.dumps(self._data)

    @property
    def created_at(self) -> float:
        """When the server wrote the entry: Unix time in seconds."""
        return created_at(self.id)

    @property
    def key(self) -> str | None:
        """The idempotency key that it was produced with."""
        return self._text(b"key")

    @property
    def trace(self) -> str | None:
        """The W3C ``traceparent`` that it was produced with."""
        return self._text(b"trace")

    @property
    def origin(self) -> str | None:
        """The ID that it had before it was redriven from the dead letters."""
        return self._text(b"origin")

    @property
    def only_for(self) -> str | None:
        """The one group that the entry is for; ``None`` means every group."""
        return self._text(b"for")

    @property
    def expires_at(self) -> float | None:
        """When the job is no longer worth doing: Unix time in seconds, by the server's clock.

        Raises:
            InvalidEntry: the field ``expires`` is not a number of milliseconds.
        """
        text = self._text(b"expires")
        if text is None:
            return None
        if not _MS.fullmatch(text):
            raise InvalidEntry(f"the field 'expires' is not a time in ms: {printable(text, 60)}")
        return self.created_at + int(text) / 1000

    def _text(self, name: bytes) -> str | None:
        if not self.meta:
            return None
        value = self.meta.get(name)
        return None if value is None else value.decode("utf-8", "backslashreplace")

    def emit(self, type: str, /, *, stream: str | None = None, **data: Any) -> _Done:
        """Write a follow-up event together with this job's ack, or not at all.

        A delivery that fails, is retried or is refused emits nothing. Awaiting
        the result is allowed and costs nothing; ``def`` handlers just call it.

        Args:
            type: the type of the new event.
            stream: where it goes; this job's own stream by default. On a Cluster
                it must share this stream's hash slot.
            data: the new event's data.

        Raises:
            ConfigError: the type or the stream name is not usable.
            PayloadError: the data cannot be written as JSON or is too large.
        """
        target = self.stream if stream is None else check_stream(stream)
        event = Emitted(target, check_type(type), encode_data(data))
        if self.emitted is None:
            self.emitted = [event]
        else:
            self.emitted.append(event)
        return _DONE

    def as_dict(self) -> Mapping[str, Any]:
        """The job as plain data, for programs that read JSON."""
        return {
            "id": self.id,
            "stream": self.stream,
            "group": self.group,
            "type": self.type,
            "attempt": self.attempt,
            "retries": self.retries,
            "created_at": self.created_at,
            "data": self.data,
        }

    def __repr__(self) -> str:
        tries = f"attempt {self.attempt} of {self.retries + 1}"
        return f"<Job {self.id} {printable(self.type)!r} {tries}>"
