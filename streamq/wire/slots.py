"""The slots of a Cluster: every key is in one, and what is done at once must be in the same."""

from __future__ import annotations

from binascii import crc_hqx

SLOTS = 16384


def slot_of(key: bytes) -> int:
    """The slot of a key: that of its hash tag, if it has one."""
    opening = key.find(b"{")
    if opening >= 0:
        closing = key.find(b"}", opening)
        if closing > opening + 1:
            key = key[opening + 1 : closing]
    return crc_hqx(key, 0) % SLOTS
