"""What the tests of bad input share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers import RedisServer

DLQ = "{jobs}:group:default:dlq"
ESCAPE = "\x1b]0;pwned\x07\x00\n\r\u202e\x9b2J"


def letters(server: RedisServer, group: str = "default") -> list[dict[bytes, bytes]]:
    """What streamq wrote into the dead letters, as bytes: there is garbage in them."""
    key = DLQ.replace("default", group)
    with server.client(decode_responses=False) as raw:
        found: Any = raw.eval("return redis.call('XRANGE', KEYS[1], '-', '+')", 1, key)
    return [dict(zip(fields[:10:2], fields[1:10:2], strict=True)) for _, fields in found]


def assert_safe(caplog: pytest.LogCaptureFixture) -> None:
    """The log has no control characters, and only the lines of a traceback beside its own."""
    assert caplog.records
    for record in caplog.records:
        first, *more = record.getMessage().split("\n")
        assert all(line.isprintable() for line in (first, *more)), record.getMessage()
        assert not more or more[0].lstrip(" +|").startswith("Traceback")
