"""The slots of packed commands: each goes to the node that has its key."""

from __future__ import annotations

from collections.abc import Iterator

from streamq.wire.slots import slot_of

_SECOND = frozenset({b"MEMORY", b"OBJECT", b"XGROUP", b"XINFO"})
"""Commands whose key is their third word."""

_NONE = frozenset({
    b"ACL", b"ASKING", b"CLIENT", b"CLUSTER", b"COMMAND", b"CONFIG", b"DBSIZE", b"DISCARD",
    b"EXEC", b"FLUSHALL", b"HELLO", b"INFO", b"LATENCY", b"MULTI", b"PING", b"PUBSUB", b"ROLE",
    b"SCAN", b"SCRIPT", b"SLOWLOG", b"TIME", b"WAIT", b"WAITAOF",
})  # fmt: skip
"""Commands without a key."""

_END = b"\r\n"


def first_slot(packed: bytes) -> int | None:
    """The slot of the first of these packed commands that has a key; ``None`` if none has."""
    at = 0
    while at < len(packed):
        key = _key(_words(packed, at))
        if key is not None:
            return slot_of(key)
        at = _end(packed, at)
    return None


def split(packed: bytes) -> list[tuple[bytes, int | None]]:
    """Packed commands one by one, each with its slot if it has one."""
    commands = []
    at = 0
    while at < len(packed):
        end = _end(packed, at)
        key = _key(_words(packed, at))
        commands.append((packed[at:end], None if key is None else slot_of(key)))
        at = end
    return commands


def _key(words: Iterator[bytes]) -> bytes | None:
    """The first key of a command."""
    name = next(words).upper()
    if name in _NONE:
        return None
    if name.startswith(b"EVAL"):
        next(words)
        return next(words) if next(words) != b"0" else None
    if name in (b"XREADGROUP", b"XREAD"):
        if name == b"XREADGROUP":
            next(words), next(words), next(words)  # which may be called like an option
        while next(words).upper() != b"STREAMS":
            pass
    elif name in _SECOND:
        next(words)
    return next(words, None)


def _words(packed: bytes, at: int) -> Iterator[bytes]:
    """The words of the command that begins there, one after the other."""
    end = packed.index(_END, at)
    count, at = int(packed[at + 1 : end]), end + 2
    for _ in range(count):
        end = packed.index(_END, at)
        size, start = int(packed[at + 1 : end]), end + 2
        yield packed[start : start + size]
        at = start + size + 2


def _end(packed: bytes, at: int) -> int:
    """Where the command ends that begins there."""
    end = packed.index(_END, at)
    count, at = int(packed[at + 1 : end]), end + 2
    for _ in range(count):
        end = packed.index(_END, at)
        at = end + 4 + int(packed[at + 1 : end])
    return at
