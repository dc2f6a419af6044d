"""The Redis or Valkey server: its address, connections to it, what it is and can do."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamq.server.clock import Clock
    from streamq.server.link import Link
    from streamq.server.packing import Arg
    from streamq.server.server import Server
    from streamq.server.version import ServerInfo

__all__ = ["Arg", "Clock", "Link", "Server", "ServerInfo"]

_HOMES = {
    "Arg": "packing", "Clock": "clock", "Link": "link", "Server": "server",
    "ServerInfo": "version",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # Imported at the first use: `streamq server status` opens no connection of ours.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
