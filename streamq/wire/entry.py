"""One stream entry: its ID, its fields, and the JSON in them.

Entry fields: ``type`` (which handler), ``data`` (JSON), and only when used
``key``, ``trace`` (W3C traceparent), ``expires`` (ms after the entry was written),
``for`` (one group only) and ``origin`` (the ID before a redrive). Any others are headers, which go
with the job as they are: ``tracestate`` and ``baggage`` of a trace. An entry without ``data`` comes
from a foreign producer: all its fields but ``type`` are its data, as strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from streamq.errors import ConfigError, InvalidEntry, PayloadError, PayloadTooLarge
from streamq.limits import MAX_PAYLOAD, MAX_TYPE
from streamq.text import printable
from streamq.wire.encrypted import encrypted_with
from streamq.wire.json import dumps, loads

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")

OURS = frozenset({"type", "data", "key", "trace", "expires", "for", "origin", "ref", "tick"})
"""The names of fields that have a meaning here."""

_LARGEST = 2**64 - 1
LARGEST_ID = f"{_LARGEST}-{_LARGEST}"
"""The entry ID after which there is none."""


def check_id(job_id: str) -> str:
    """Return ``job_id`` if it has the form of an entry ID, else raise :class:`ConfigError`."""
    if not _ID.fullmatch(job_id) or max(id_key(job_id)) > _LARGEST:
        raise ConfigError(
            f"{printable(job_id, 60)!r} is not a job ID: IDs look like 1716998413541-0"
        )
    return job_id


@lru_cache(maxsize=1024)
def check_type(type: str) -> str:
    """Return ``type`` if it is a valid job type, else raise :class:`ConfigError`."""
    if len(type) > MAX_TYPE or printable(type) != type:
        raise ConfigError(
            f"{printable(type, 60)!r} is not a valid job type: "
            f"use at most {MAX_TYPE} characters, no control characters"
        )
    return type


def id_key(job_id: str) -> tuple[int, int]:
    """The two numbers of an entry ID, for ordering."""
    ms, _, sequence = job_id.partition("-")
    return int(ms), int(sequence)


def after(job_id: str) -> str | None:
    """Where a range starts that comes after an entry; ``None`` after the largest ID.

    The server refuses a range that starts beyond that one.
    """
    return None if job_id == LARGEST_ID else f"({job_id}"


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
        raw = dumps(data)
    except ValueError as error:
        raise PayloadError(f"the data cannot be written as JSON: {printable(error, 200)}") from None
    if len(raw) > limit:
        raise PayloadTooLarge(
            f"the data takes {len(raw):,} bytes, the limit is {limit:,}: "
            "keep it outside the stream (offload), or raise the limit"
        )
    return raw


def encode(
    type: str,
    raw: bytes,
    *,
    key: str | None = None,
    trace: str | None = None,
    expires: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> list[str | bytes | int]:
    """The fields of one entry as a flat list, as ``XADD`` takes them.

    Args:
        expires: ms after which the job is no longer worth doing.
        headers: further fields. One that streamq gives a meaning is left out.
    """
    fields: list[str | bytes | int] = ["type", type, "data", raw] if type else ["data", raw]
    if key is not None:
        fields += ("key", key)
    if trace is not None:
        fields += ("trace", trace)
    if expires is not None:
        fields += ("expires", expires)
    if headers:
        for name, value in headers.items():
            if name not in OURS:
                fields += (name, value)
    return fields


Fields = tuple[str, bytes | None, dict[str, str] | None, dict[bytes, bytes] | None]
"""An entry's fields taken apart: type; data as it was written, or else as strings; the others."""


def decode(fields: Sequence[bytes]) -> Fields:
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
        del named[b"data"]
        return type, raw, None, named
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
        return loads(raw)
    except ValueError as error:
        raise not_json(error, raw) from None


def not_json(error: ValueError, raw: bytes) -> InvalidEntry:
    """The error for data that cannot be decoded."""
    key = encrypted_with(raw)
    if key is not None:
        return InvalidEntry(
            f"the data is encrypted with the key {key}: give the App the codec that has it, "
            "App(codec=EncryptingCodec(…))"
        )
    return InvalidEntry(f"the data is not JSON: {error}")
