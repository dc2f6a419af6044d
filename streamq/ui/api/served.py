"""What the API reaches: an App, and those of the server's streams that it may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from streamq.errors import ConfigError
from streamq.offload import store_of
from streamq.text import printable
from streamq.ui.http.problems import Problem, Refusal

if TYPE_CHECKING:
    from streamq.admin import Admin
    from streamq.app import App


class Served:
    """An App and the streams that may be reached.

    Args:
        app: whose server it is.
        streams: names and patterns; the app's own streams without any.
        lease: the workers' lease in seconds.

    Raises:
        ConfigError: one of the streams has an empty name.
    """

    def __init__(self, app: App, streams: Sequence[str], lease: float) -> None:
        if "" in streams:
            raise ConfigError("a stream to be served has no name: give one, or '*' for all")
        self.app = app
        self._patterns = tuple(streams) or _own(app)
        self._lease = lease
        self._allowed = cache(app.max_attempts)

    @property
    def admin(self) -> Admin:
        """What answers about jobs, and cures."""
        from streamq.admin import Admin

        app = self.app
        return Admin(
            app.server, lease=self._lease, allowed=self._allowed, codec=app.codec,
            store=store_of(app.offload),
        )  # fmt: skip

    @property
    def largest_payload(self) -> int:
        """Bytes that the data of one job may take."""
        return self.app.max_payload

    def stream(self, name: str | None) -> str:
        """The stream that is meant; the app's own without a name.

        Raises:
            Refusal: it may not be reached.
        """
        stream = self.app.stream if name is None else name
        if not self.reaches(stream):
            raise Refusal(
                Problem(
                    403, "stream_not_served", "The stream is not served",
                    f"the stream {printable(stream, 100)} is not served here, only "
                    f"{', '.join(printable(one, 100) for one in self._patterns)}: ask for one of "
                    "these, or start the server with --stream for this one, too",
                )
            )  # fmt: skip
        return stream

    def reaches(self, stream: str) -> bool:
        """Whether a stream may be reached."""
        return any(stream == one or fnmatchcase(stream, one) for one in self._patterns)

    async def streams(self) -> AsyncIterator[str]:
        """The streams on the server that may be reached, in no order."""
        if all(set(one).isdisjoint("*?[") for one in self._patterns):
            for name in self._patterns:
                yield name
            return
        async for name in self.admin.stream_names():
            if self.reaches(name):
                yield name


def _own(app: App) -> tuple[str, ...]:
    home = (app.stream, *app.priorities.streams)
    handled = [stream for one in (app, *app.groups) for stream in one.streams(home)]
    return tuple(dict.fromkeys([*home, *handled]))
