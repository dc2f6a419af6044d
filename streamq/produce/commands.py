"""A job as the command that writes it: a plain ``XADD``, or a script."""

from __future__ import annotations

import os
from functools import lru_cache

from streamq import lua
from streamq.codec import Codec
from streamq.new_job import NewJob, is_soon
from streamq.server.packing import pack
from streamq.wire.entry import check_type, encode
from streamq.wire.keys import check_stream, stream_keys

REMEMBERED = 60_000
"""Milliseconds within which a schedule may become an entry while its call is repeated."""


def plain(stream: str, type: str, raw: bytes) -> bytes:
    """The command for a job without options, packed.

    Args:
        raw: its data, encoded.

    Raises:
        ConfigError: the stream or the type cannot be used.
    """
    return b"%b$%d\r\n%b\r\n" % (_head(stream, type), len(raw), raw)


def with_options(
    stream: str, job: NewJob, limit: int, codec: Codec | None = None
) -> bytes | lua.Call:
    """The command for a job: packed, or the script for one that is unique or for later.

    Args:
        limit: bytes that the encoded data may take.

    Raises:
        PayloadError: the data cannot be written, or takes more than ``limit`` bytes.
        ConfigError: the stream, the type or an option cannot be used.
    """
    check_type(job.type)
    fields, due, unique = job.fields(limit, codec), job.due(), job.idempotency()
    if due is None and unique is None:
        return pack(("XADD", check_stream(stream), "*", *fields))
    keys = stream_keys(stream)
    if due is None:
        assert unique is not None
        return lua.produce_once(keys, *unique, fields)
    name = f"s-{os.urandom(8).hex()}"
    if unique is None and is_soon(due, REMEMBERED):
        # So that a call that is repeated finds the entry that the schedule has become.
        unique = name, REMEMBERED
    key, remembered = unique or (None, 1)
    return lua.schedule(keys, name, due, key, remembered, fields)


@lru_cache(maxsize=1024)
def _head(stream: str, type: str) -> bytes:
    """The plain command up to the data, which is all that differs from job to job."""
    whole = pack(("XADD", check_stream(stream), "*", *encode(check_type(type), b"")))
    return whole.removesuffix(b"$0\r\n\r\n")
