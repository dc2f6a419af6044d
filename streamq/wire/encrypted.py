"""How encrypted data begins, so that whoever looks at it can say that it is, without the key."""

from __future__ import annotations

MAGIC = b"\xc1SQ\x01"
"""In front of all that streamq has encrypted. No JSON, no UTF-8 and no MessagePack begins so."""

KEY_ID = 4
"""Bytes that name the key; they follow."""


def encrypted_with(raw: bytes) -> str | None:
    """The ID of the key that data is encrypted with; ``None`` for data that is not."""
    if not raw.startswith(MAGIC):
        return None
    return raw[len(MAGIC) : len(MAGIC) + KEY_ID].hex()
