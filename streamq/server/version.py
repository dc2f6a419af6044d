"""What the server is, and whether streamq can work with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamq.errors import ServerRefused, ServerUnsupported
from streamq.server.info import parse_info
from streamq.server.link import Link

FLOORS = {"redis": (7, 0), "valkey": (7, 2)}


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server says of itself.

    Attributes:
        name: ``redis`` or ``valkey``.
        version: such as ``9.1.2``.
        maxmemory: bytes, 0 for no limit.
        maxmemory_policy: what it does when that is reached.
        used_memory: bytes.
        nodes: how many servers share the keys: the primaries of a Cluster. The limits and what is
            used are those of all of them together.
    """

    name: str
    version: str
    maxmemory: int
    maxmemory_policy: str
    used_memory: int
    nodes: int = 1

    @property
    def warnings(self) -> list[str]:
        """Settings under which jobs could be lost."""
        if self.maxmemory_policy in ("noeviction", ""):
            return []
        return [
            f"maxmemory-policy is {self.maxmemory_policy}: the server may evict queued jobs when "
            "memory is short; set it to noeviction"
        ]


async def read_info(link: Link, where: str) -> ServerInfo:
    """Ask the server what it is.

    Raises:
        ServerUnsupported: it is older than Redis 7.0 or Valkey 7.2.
    """
    fields = parse_info(await link.call("INFO", "server"))
    try:
        fields |= parse_info(await link.call("INFO", "memory"))
    except ServerRefused:
        pass  # a server without that section: its limits stay unknown
    name = "valkey" if "valkey_version" in fields else "redis"
    version = fields.get(f"{name}_version", "0")
    floor = FLOORS[name]
    if _numbers(version) < floor:
        raise ServerUnsupported(
            f"the server at {where} is {name.capitalize()} {version}: "
            "streamq needs Redis 7.0 or Valkey 7.2, or newer"
        )
    return ServerInfo(
        name=name,
        version=version,
        maxmemory=int(fields.get("maxmemory", 0)),
        maxmemory_policy=fields.get("maxmemory_policy", ""),
        used_memory=int(fields.get("used_memory", 0)),
    )


def all_together(infos: Sequence[ServerInfo]) -> ServerInfo:
    """What the nodes of a Cluster are together: as old as the oldest, as safe as the least safe."""
    oldest = min(infos, key=lambda info: _numbers(info.version))
    return replace(
        oldest,
        maxmemory=sum(one.maxmemory for one in infos) if all(i.maxmemory for i in infos) else 0,
        maxmemory_policy=next(
            (one.maxmemory_policy for one in infos if one.warnings), oldest.maxmemory_policy
        ),
        used_memory=sum(one.used_memory for one in infos),
        nodes=len(infos),
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
