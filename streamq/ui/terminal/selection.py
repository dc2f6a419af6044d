"""The row of a list on which the cursor is, and the part of the list that is on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOVES = {
    "up": -1, "k": -1, "down": 1, "j": 1, "home": -(10**9), "g": -(10**9), "end": 10**9, "G": 10**9,
}  # fmt: skip


@dataclass
class Selection:
    """It stays on its row when the rows around it change.

    Attributes:
        key: what tells the row from all others; ``None`` where there is none.
        index: its place.
        top: the place of the first row that is on the screen.
        page: how many rows are.
    """

    key: object = None
    index: int = 0
    top: int = 0
    page: int = 1
    _keys: Sequence[object] = field(default=())

    def renew(self, keys: Sequence[object]) -> None:
        """The rows as they are now, by what tells them apart."""
        self._keys = keys
        if self.key in keys:
            self.index = keys.index(self.key)
        self._go(self.index)

    def press(self, key: str) -> bool:
        """Move, if that is a key to move with."""
        pages = {"pageup": -self.page, "pagedown": self.page}
        step = MOVES.get(key, pages.get(key))
        if step is None:
            return False
        self._go(self.index + step)
        return True

    def window(self, height: int) -> range:
        """The places of the rows that are shown in so many lines."""
        self.page = max(height, 1)
        self.top = min(max(self.top, self.index - self.page + 1), self.index)
        self.top = max(min(self.top, len(self._keys) - self.page), 0)
        return range(self.top, min(self.top + self.page, len(self._keys)))

    def _go(self, index: int) -> None:
        self.index = max(min(index, len(self._keys) - 1), 0)
        self.key = self._keys[self.index] if self._keys else None
