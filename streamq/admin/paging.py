"""A page of a long list: what was found, and where to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Part of a list that may be very long.

    Attributes:
        items: what was found, in order; it may be nothing although more follows.
        following: what to give as ``after`` for the next page; ``None`` at the end.
        looked_at: how many rows were looked at for it.
    """

    items: Sequence[Item]
    following: str | None
    looked_at: int
