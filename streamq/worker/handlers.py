"""Which handler takes a job of which type, in one group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from streamq.errors import InvalidEntry
from streamq.handler import ANY, Handler
from streamq.job import decode


class Handlers:
    """The handlers of one group on one stream.

    Args:
        handlers: by job type; the one of type ``*`` takes what no other takes.
        ignored: patterns of types that are settled unseen, such as ``thumbnail_*``.
    """

    def __init__(self, handlers: Iterable[Handler], ignored: Iterable[str] = ()) -> None:
        self.by_type: Mapping[str, Handler] = {h.type: h for h in handlers if h.type != ANY}
        self.rest = next((h for h in handlers if h.type == ANY), None)
        self._ignored = tuple(ignored)

    def find(self, type: str) -> Handler | None:
        """The handler for a job type."""
        return self.by_type.get(type, self.rest)

    def ignores(self, type: str) -> bool:
        """Whether jobs of that type are none of this group's business."""
        return any(fnmatchcase(type, pattern) for pattern in self._ignored)

    @property
    def deliveries(self) -> int:
        """How many deliveries a job may have whose type has no handler of its own."""
        return self.rest.retries + 1 if self.rest is not None else 1

    @property
    def deliveries_by_type(self) -> dict[str, int]:
        """How many deliveries a job may have, by its type."""
        return {type: handler.retries + 1 for type, handler in self.by_type.items()}

    def is_last(self, fields: Sequence[bytes], attempt: int) -> bool:
        """Whether an entry may have no delivery after this one."""
        try:
            type = decode(fields)[0]
        except InvalidEntry:
            type = ""
        return attempt >= self.deliveries_by_type.get(type, self.deliveries)
