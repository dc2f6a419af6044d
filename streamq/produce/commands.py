"""A job as the command that writes it: a plain ``XADD``, or a script."""

from __future__ import annotations

import os
from functools import lru_cache

from streamq import lua
from streamq.codec import Codec
from streamq.new_job import NewJob
from streamq.server.packing import pack
from streamq.wire.entry import check_type, encode
from streamq.wire.keys import SCHEDULE, check_stream, stream_keys

REMEMBERED = 60_000
"""Milliseconds for which a call that is repeated finds what it has made."""


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
    fields, due, unique = job.fields(limit, codec), job.due(), job.uniqueness()
    if due is None and unique is None:
        return pack(("XADD", check_stream(stream), "*", *fields))
    keys = stream_keys(stream)
    if unique is not None and (unique.has_rules or (due is None and unique.ms < REMEMBERED)):
        return lua.produce_unique(
            keys, _new_name(), due or ("now", 0), unique.key, unique.ms, REMEMBERED,
            unique.until, unique.on_conflict, fields,
        )  # fmt: skip
    if due is None:
        assert unique is not None
        return lua.produce_once(keys, unique.key, unique.ms, fields)
    if unique is None:
        return lua.schedule(keys, _new_name(), due, None, 1, fields)
    return lua.schedule(keys, _new_name(), due, unique.key, unique.ms, fields)


def _new_name() -> str:
    return f"{SCHEDULE}{os.urandom(8).hex()}"


@lru_cache(maxsize=1024)
def _head(stream: str, type: str) -> bytes:
    """The plain command up to the data, which is all that differs from job to job."""
    whole = pack(("XADD", check_stream(stream), "*", *encode(check_type(type), b"")))
    return whole.removesuffix(b"$0\r\n\r\n")
