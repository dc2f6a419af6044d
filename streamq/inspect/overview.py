"""The server and all streams on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streamq.errors import ConfigError, StreamNotFound
from streamq.inspect.groups import StreamInfo, stream_info
from streamq.keys import check_stream, dead_letters_of, stream_keys
from streamq.reading import ask, group_names, text
from streamq.server import Server, ServerInfo
from streamq.server.version import read_info

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
        embedded: whether it is streamq's own.
        complete: ``False`` when there were too many keys or streams to look at all.
    """

    where: str
    embedded: bool
    server: ServerInfo
    streams: tuple[StreamInfo, ...]
    complete: bool

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
        }


async def overview(server: Server, lease: float) -> Overview:
    """Ask the server, and look for streams with ``SCAN``, step by step."""
    names, dead, complete = await _scan(server)
    async with server.borrowed() as link:
        info = await read_info(link, server.where)
    streams = []
    for name in names[:MOST_STREAMS]:
        try:
            left = await _left_dead(server, name, dead.get(stream_keys(name).prefix, {}))
            streams.append(await stream_info(server, name, lease, left))
        except StreamNotFound:
            pass  # deleted since
    return Overview(
        server.where, server.embedded, info, tuple(streams),
        complete and len(names) <= MOST_STREAMS,
    )  # fmt: skip


async def _scan(server: Server) -> tuple[list[str], dict[str, dict[str, str]], bool]:
    """The streams; the keys with dead letters, by prefix and group; whether these are all."""
    names: set[str] = set()
    dead: dict[str, dict[str, str]] = {}
    cursor: bytes = b"0"
    for _ in range(MOST_STEPS):
        cursor, found = await server.call("SCAN", cursor, "TYPE", "stream", "COUNT", SCAN_COUNT)
        for raw in found:
            name = text(raw)
            owner = dead_letters_of(name)
            if owner is not None:
                dead.setdefault(owner[0], {})[owner[1]] = name
            elif _usable(name, raw):
                names.add(name)
        if cursor == b"0":
            return sorted(names), dead, True
    return sorted(names), dead, False


def _usable(name: str, raw: bytes) -> bool:
    try:
        return check_stream(name).encode() == raw
    except ConfigError:
        return False  # a name that streamq does not use


async def _left_dead(server: Server, stream: str, keys: dict[str, str]) -> dict[str, int]:
    """Dead letters of groups that do not exist any more."""
    existing = await group_names(server, stream)
    left = {group: key for group, key in keys.items() if group not in existing}
    lengths = await ask(server, *(("XLEN", key) for key in left.values()))
    return dict(zip(left, lengths, strict=True))
