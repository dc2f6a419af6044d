"""The answer to ``INFO``."""

from __future__ import annotations


def parse_info(reply: bytes | str) -> dict[str, str]:
    """The fields of an ``INFO`` reply."""
    text = reply if isinstance(reply, str) else reply.decode("utf-8", "replace")
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
