"""What is really in a partition."""

from __future__ import annotations

from typing import Any

import redis


def entries(client: redis.Redis, key: str, start: str = "-") -> list[tuple[str, dict[str, str]]]:
    """The entries under a key: ID and fields of each."""
    found: Any = client.xrange(key, start)
    return [(str(id), dict(fields)) for id, fields in found]
