"""What every topology offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from streamq.server.link import Link
from streamq.server.listener import Listener


class Topology(ABC):
    """Which server a stream's keys are on.

    Attributes:
        where: what it is, as it may be shown: without user name and password.
        embedded: whether it is the embedded server.
        peer: host and port, or the path of its socket and ``None``; of several, those given first.
    """

    where: str
    peer: tuple[str, int | None]
    embedded = False

    @abstractmethod
    def link(self, name: str | None, timeout: float) -> Link:
        """A link that leads wherever the keys are that it is given."""

    @abstractmethod
    def listener(self, name: str) -> Listener:
        """A listener to channels that have the slots of their names."""

    async def parts(self) -> Sequence[Topology]:
        """The servers that have a part of the keys each; only itself, where it has all.

        Raises:
            ServerUnavailable: nobody tells.
        """
        return [self]

    def separate(self) -> Topology:
        """The same for another event loop."""
        return self

    def close(self) -> None:  # noqa: B027  # most have nothing of the kind
        """Close what it has opened for itself. It can be used again."""
