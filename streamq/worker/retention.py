"""How long settled entries are kept, as the app says: told to the server before the first job."""

from __future__ import annotations

from collections.abc import Mapping

from streamq import lua
from streamq.option_checks import milliseconds_of
from streamq.server import Server
from streamq.signals import RetentionChanged, Signals
from streamq.wire.keys import check_stream, stream_keys

PRUNED_AT_ONCE = 100
"""Entries that one call looks at, where retention was taken away."""

Retain = str | float | Mapping[str, str | float] | None
"""For how long: for every stream, or by stream."""


class Retention:
    """For how long an app wants settled entries to be kept.

    Args:
        retain: seconds, or a text such as ``7d``; 0 for not at all, ``None`` to leave the
            streams as they are. A mapping has the streams that are not left so.

    Raises:
        ConfigError: it is no duration.
    """

    def __init__(self, retain: Retain = None) -> None:
        self._by_stream: dict[str, int] = {}
        self._default: int | None = None
        if isinstance(retain, Mapping):
            for stream, time in retain.items():
                self._by_stream[check_stream(stream)] = milliseconds_of("retain", time)
        elif retain is not None:
            self._default = milliseconds_of("retain", retain)

    def of(self, stream: str) -> int | None:
        """Milliseconds for which the stream keeps what is settled; ``None`` to leave it."""
        return self._by_stream.get(stream, self._default)

    async def tell(
        self, server: Server, stream: str, signals: Signals, named: str | None = None
    ) -> None:
        """Bring the stream's setting in line, for all workers.

        Args:
            named: of a partition, the name of its stream.

        Raises:
            StreamqError: the server cannot be used.
        """
        retain = self.of(named or stream)
        if retain is None:
            return
        call = lua.configure(stream_keys(stream), {"retain": retain or None})
        [before] = await server.run(call)
        start = "-" if before and not retain else ""
        while start:  # what was kept until now, and is settled by every group
            _, following = await server.run(lua.prune(stream, start, PRUNED_AT_ONCE))
            start = following.decode()
        was = int(before) if before.isdigit() else None
        if (was or 0) != retain:
            seconds = [None if not ms else ms / 1000 for ms in (was, retain)]
            signals.send(RetentionChanged(stream, *seconds))
