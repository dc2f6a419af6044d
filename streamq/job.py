"""A job, and its wire form: the fields of one stream entry.

Entry fields: ``type`` (which handler), ``data`` (JSON), and only when used
``key``, ``trace`` (W3C traceparent), ``expires`` (ms after the entry was written),
``for`` (one group only) and ``origin`` (the ID before a redrive). An entry without ``data`` comes
from a foreign producer: all its fields but ``type`` are its data, as strings.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from streamq.errors import ConfigError, InvalidEntry, PayloadError, PayloadTooLarge
from streamq.keys import check_stream
from streamq.text import printable

MAX_PAYLOAD = 1024 * 1024
"""The default limit of one job's encoded data, in bytes."""

MAX_TYPE = 128
"""The most characters in a job's type."""

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_MS = re.compile(r"[0-9]{1,16}")
_META = (b"key", b"trace", b"expires", b"for", b"origin")


def check_id(job_id: str) -> str:
    """Return ``job_id`` if it has the form of an entry ID, else raise :class:`ConfigError`."""
    if not _ID.fullmatch(job_id):
        raise ConfigError(
            f"{printable(job_id, 60)!r} is not a job ID: IDs look like 1716998413541-0"
        )
    return job_id


@lru_cache(maxsize=1024)
def check_type(type: str) -> str:
    """Return ``type`` if it can name a job type, else raise :class:`ConfigError`."""
    if len(type) > MAX_TYPE or printable(type) != type:
        raise ConfigError(
            f"{printable(type, 60)!r} cannot be a job type: "
            f"use at most {MAX_TYPE} characters, none of them control"
        )
    return type


def id_key(job_id: str) -> tuple[int, int]:
    """The two numbers of an entry ID, for ordering."""
    ms, _, sequence = job_id.partition("-")
    return int(ms), int(sequence)


def created_at(job_id: str) -> float:
    """The Unix time in seconds at which the server wrote the entry."""
    return int(job_id.partition("-")[0]) / 1000


def encode_data(data: Any, limit: int = MAX_PAYLOAD) -> bytes:
    """``data`` as JSON.

    Raises:
        PayloadError: it has something JSON cannot hold.
        PayloadTooLarge: it takes more than ``limit`` bytes.
    """
    try:
        raw = orjson.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"the data cannot be written as JSON: {printable(error, 200)}") from None
    if len(raw) > limit:
        raise PayloadTooLarge(
            f"the data takes {len(raw):,} bytes, the limit is {limit:,}: "
            "store it elsewhere and send a reference, or raise the limit"
        )
    return raw


def encode(
    type: str,
    raw: bytes,
    *,
    key: str | None = None,
    trace: str | None = None,
    expires: int | None = None,
) -> list[str | bytes | int]:
    """The fields of one entry as a flat list, as ``XADD`` takes them.

    Args:
        expires: ms after which the job is no longer worth doing.
    """
    fields: list[str | bytes | int] = ["type", type, "data", raw] if type else ["data", raw]
    if key is not None:
        fields += ("key", key)
    if trace is not None:
        fields += ("trace", trace)
    if expires is not None:
        fields += ("expires", expires)
    return fields


Wire = tuple[str, bytes | None, dict[str, str] | None, dict[bytes, bytes] | None]
"""An entry's fields taken apart: type; data as JSON, or else as strings; streamq's own."""


def decode(fields: Sequence[bytes]) -> Wire:
    """Take the flat fields of an entry apart.

    Raises:
        InvalidEntry: the type is not UTF-8 or far too long, or a foreign
            entry's fields are not UTF-8.
    """
    # What streamq itself writes most of the time, without a loop.
    if len(fields) == 4 and fields[0] == b"type" and fields[2] == b"data":
        return _decode_type(fields[1]), fields[3], None, None
    named = dict(zip(fields[::2], fields[1::2], strict=False))
    type = _decode_type(named.pop(b"type", b""))
    raw = named.get(b"data")
    if raw is not None:
        return type, raw, None, {name: named[name] for name in _META if name in named}
    try:
        return type, None, {k.decode(): v.decode() for k, v in named.items()}, None
    except UnicodeDecodeError:
        raise InvalidEntry("the fields of the entry are not UTF-8 text") from None


@lru_cache(maxsize=1024)
def _decode_type(raw: bytes) -> str:
    try:
        type = raw.decode()
    except UnicodeDecodeError:
        raise InvalidEntry("the type of the entry is not UTF-8 text") from None
    if len(type) > MAX_TYPE:
        raise InvalidEntry(f"the type of the entry is longer than {MAX_TYPE} characters")
    return type


def decode_data(raw: bytes) -> Any:
    """The JSON value in ``raw``.

    Raises:
        InvalidEntry: it is not JSON.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidEntry(f"the data is not JSON: {error}") from None


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
        wire: Wire,
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
