"""The server and all streams on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streamq.admin.existing import group_names
from streamq.admin.reading import ask, text
from streamq.admin.streams import StreamInfo, stream_info
from streamq.errors import AuthenticationFailed, ConfigError, StreamNotFound
from streamq.server import Server, ServerInfo
from streamq.wire.keys import check_stream, dead_letters_of, scheduled_of, stream_keys

SCAN_COUNT = 1000
"""Keys that the server looks at in one step."""

MOST_STEPS = 1000
"""Steps of one look; on a server with more keys than that, it is incomplete."""

MOST_STREAMS = 1000
"""Streams that one look tells of."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The server and all streams on it.

    Attributes:
        where: its address, without user name and password.
        embedded: whether it is the embedded server.
        complete: ``False`` when there were too many keys or streams to look at all.
        forbidden: streams that the user's ACL does not permit.
    """

    where: str
    embedded: bool
    server: ServerInfo
    streams: tuple[StreamInfo, ...]
    complete: bool
    forbidden: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """Settings under which jobs could be lost."""
        return self.server.warnings

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "server": {"where": self.where, "embedded": self.embedded, **asdict(self.server)},
            "warnings": self.warnings,
            "streams": [stream.to_dict() for stream in self.streams],
            "complete": self.complete,
            "forbidden": list(self.forbidden),
        }


async def overview(server: Server, lease: float) -> Overview:
    """Ask the server, and look for streams with ``SCAN``, step by step."""
    keys, complete = await scan(server, "TYPE", "stream")
    names, dead = _sorted_out(keys)
    info = await server.info_now()
    streams: list[StreamInfo] = []
    forbidden: list[str] = []
    for name in names[:MOST_STREAMS]:
        try:
            orphaned = await _orphaned(server, name, dead.get(stream_keys(name).prefix, {}))
            streams.append(await stream_info(server, name, lease, orphaned))
        except StreamNotFound:
            pass  # deleted since
        except AuthenticationFailed:
            forbidden.append(name)
    later, all_later = await _only_scheduled(server, names)
    streams = sorted([*streams, *later], key=lambda stream: stream.name)
    return Overview(
        server.where, server.embedded, info, tuple(streams[:MOST_STREAMS]),
        complete and all_later and len(names) + len(later) <= MOST_STREAMS, tuple(forbidden),
    )  # fmt: skip


async def stream_names(server: Server) -> AsyncIterator[str]:
    """See :meth:`streamq.admin.Admin.stream_names`."""
    seen: set[str] = set()
    async for found, _ in scan_steps(server, "TYPE", "stream"):
        names, _ = _sorted_out(found)
        for name in names:
            if name not in seen:
                seen.add(name)
                yield name


async def scan(server: Server, *wanted: str) -> tuple[list[bytes], bool]:
    """The keys of one kind, and whether these are all."""
    keys: set[bytes] = set()
    complete = False
    async for found, last in scan_steps(server, *wanted):
        keys.update(found)
        complete = last
    return sorted(keys), complete


async def scan_steps(server: Server, *wanted: str) -> AsyncIterator[tuple[list[bytes], bool]]:
    """The keys of one kind, step by step, and whether it was the last; some may come twice."""
    steps = 0
    parts = await server.parts()
    for number, part in enumerate(parts, 1):
        cursor: bytes | None = None
        while cursor != b"0":
            steps += 1
            if steps > MOST_STEPS:
                return
            cursor, found = await part.call("SCAN", cursor or 0, *wanted, "COUNT", SCAN_COUNT)
            yield found, cursor == b"0" and number == len(parts)


def _sorted_out(keys: Sequence[bytes]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """The streams of jobs, and those of dead letters by prefix and group."""
    names = []
    dead: dict[str, dict[str, str]] = {}
    for raw in keys:
        name = text(raw)
        owner = dead_letters_of(name)
        if owner is not None:
            dead.setdefault(owner[0], {})[owner[1]] = name
        elif _usable(name, raw):
            names.append(name)
    return names, dead


async def _only_scheduled(server: Server, known: Sequence[str]) -> tuple[list[StreamInfo], bool]:
    """Streams that have nothing yet but jobs for later, and whether these are all."""
    keys, complete = await scan(server, "MATCH", "*:scheduled:jobs", "TYPE", "hash")
    prefixes = {stream_keys(name).prefix for name in known}
    names = [
        name
        for name in map(scheduled_of, map(text, keys))
        if name is not None and stream_keys(name).prefix not in prefixes
    ]
    counts = await ask(server, *(("ZCARD", stream_keys(name).scheduled) for name in names))
    return [
        StreamInfo(name, 0, None, (), count, (), {})
        for name, count in zip(names, counts, strict=True)
        if isinstance(count, int) and count
    ], complete


def _usable(name: str, raw: bytes) -> bool:
    try:
        return check_stream(name).encode() == raw
    except ConfigError:
        return False  # a name that streamq does not use


async def _orphaned(server: Server, stream: str, keys: dict[str, str]) -> dict[str, int]:
    """Dead letters of groups that no longer exist."""
    existing = await group_names(server, stream)
    orphaned = {group: key for group, key in keys.items() if group not in existing}
    lengths = await ask(server, *(("XLEN", key) for key in orphaned.values()))
    return dict(zip(orphaned, lengths, strict=True))
