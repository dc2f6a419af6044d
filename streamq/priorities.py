"""Names for the streams of more and less urgent jobs."""

from __future__ import annotations

from collections.abc import Mapping

from streamq.errors import ConfigError
from streamq.text import printable
from streamq.wire.keys import check_stream


class Priorities:
    """The streams of an app by the names of priorities.

    Args:
        streams: name → stream.

    Raises:
        ConfigError: a name is empty, or a stream cannot be used.
    """

    def __init__(self, streams: Mapping[str, str]) -> None:
        for name, stream in streams.items():
            if not name or not isinstance(name, str):
                raise ConfigError(f"priorities={dict(streams)!r}: give each stream a name")
            check_stream(stream)
        self._streams = dict(streams)

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams, each once."""
        return tuple(dict.fromkeys(self._streams.values()))

    def choose(self, stream: str | None, priority: str | None) -> str | None:
        """The stream of a job, by one of the two; ``None`` where neither is given.

        Raises:
            ConfigError: both are given, or no priority has that name.
        """
        if priority is None:
            return stream
        if stream is not None:
            raise ConfigError("give either stream or priority, not both")
        found = self._streams.get(priority)
        if found is None:
            known = ", ".join(self._streams) or "none: name them with App(priorities={…})"
            raise ConfigError(f"priority={printable(priority, 60)!r}: the app has {known}")
        return found


NO_PRIORITIES = Priorities({})
