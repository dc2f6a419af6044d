"""Streams that share the slots of a group: which of them has the next turn.

Each turn is a call of a handler, and goes to a stream that has something. By weight, that is the
one whose next turn is over first, if a turn of weight 9 took a ninth of one of weight 1 (stride
scheduling): of ten turns the one stream gets nine and the other one, in a fixed order, however few
slots there are. In strict order it is the first stream that has something.

A stream has something when a delivery waits for a runner, and it may have when its last read found
as much as it asked for, or it could not be read for want of room. When the next turn is that of
such a stream, it is waited for until it has been read, which takes as long as a call to the server:
the shares are exact, and a lower stream does not slip in because a higher one has just run out.

The partitions of a stream have its turns in common, each of them as many as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import lcm
from typing import Protocol

from streamq.worker.inflight import InFlight, Waiting
from streamq.worker.slot import Slot


class Turns(Protocol):
    """What one stream, or a partition of one, has of slots that it shares with others.

    Attributes:
        dry: whether its stream had nothing more when it was last read.
    """

    dry: bool

    def join(self, in_flight: InFlight, wake: Callable[[], None]) -> None: ...
    def part(self) -> Turns: ...
    @property
    def places(self) -> int: ...
    def looked(self, *, dry: bool) -> None: ...
    def take(self, slot: Slot) -> Waiting | None: ...
    def release(self, slot: Slot) -> None: ...


class Shares:
    """The slots of one group, in one worker.

    Args:
        slots: how many handlers run at once.
        weights: those of the streams, each one or more.
        strict: the streams in their order, whatever their weights.
    """

    def __init__(self, slots: int, weights: Sequence[int], *, strict: bool = False) -> None:
        self.slots = slots
        self.busy = 0
        self._strict = strict
        self._now = 0
        """The virtual time: that at which the last turn given is over."""
        whole = lcm(*weights)
        self.members = [Share(self, whole // w, rank) for rank, w in enumerate(weights)]

    def part(self, share: Share) -> Share:
        """One more share of the same stream, for one more of its partitions."""
        new = Share(self, share.whole, share.rank)
        self.members.append(new)
        self.members.sort(key=lambda one: one.rank)
        same = [one for one in self.members if one.rank == share.rank]
        for one in same:
            one.stride = one.whole * len(same)
        new.over_at = self._now + new.stride
        return new

    @property
    def free(self) -> int:
        """How many slots no stream has."""
        return self.slots - self.busy

    def next(self) -> Share | None:
        """Whose turn it is; ``None`` if nobody has anything, or that stream is still to be read."""
        first = None
        for share in self.members:
            if share.dry and not share.waiting:
                share.claims = False
                continue
            if self._strict and first is not None and first.rank != share.rank:
                break
            share.claim(self._now)
            if first is None or share.over_at < first.over_at:
                first = share
        return first if first is not None and first.waiting else None

    def begin(self, share: Share) -> None:
        """Give a stream a turn, and the next slot to whose turn it is then."""
        self.busy += 1
        self._now = max(self._now, share.over_at)
        share.over_at += share.stride
        self.offer(share)

    def offer(self, asking: Share | None = None) -> None:
        """Have a free slot taken.

        Args:
            asking: one that looks again by itself as long as it has something.
        """
        if not self.free:
            return
        share = self.next()
        if share is not None and share is not asking:
            share.wake()
        for member in self.members:
            member.look_for_room()


class Share:
    """What one stream has of the slots.

    Attributes:
        dry: whether its stream had nothing more when it was last read.
        rank: the place of its stream among the others.
        whole: virtual time that a turn of its stream takes.
        stride: virtual time that one of its turns takes.
        over_at: when its next turn would be over, in virtual time.
        claims: whether it had, or may have had, something when it was last looked at.
    """

    def __init__(self, shares: Shares, stride: int, rank: int = 0) -> None:
        self.dry = False
        self.rank = rank
        self.whole = self.stride = self.over_at = stride
        self.claims = True
        self._shares = shares
        self._running: set[Slot] = set()
        self._in_flight: InFlight | None = None
        self.wake: Callable[[], None] = lambda: None

    def join(self, in_flight: InFlight, wake: Callable[[], None]) -> None:
        """Take part.

        Args:
            wake: lets a runner look for something.
        """
        self._in_flight, self.wake = in_flight, wake

    @property
    def waiting(self) -> int:
        """How many wait for a runner."""
        return 0 if self._in_flight is None else self._in_flight.waiting

    @property
    def places(self) -> int:
        """How many slots it has or could have now."""
        return len(self._running) + self._shares.free

    def part(self) -> Share:
        """One more share of the same stream; see :meth:`Shares.part`."""
        return self._shares.part(self)

    def look_for_room(self) -> None:
        """Let its fetcher look again."""
        if self._in_flight is not None:
            self._in_flight.look_for_room()

    def looked(self, *, dry: bool) -> None:
        """Take note of whether a read has found all that there was."""
        was, self.dry = self.dry, dry
        if dry and not was:
            self._shares.offer()

    def take(self, slot: Slot) -> Waiting | None:
        """What a runner is to do next, its last turn being over; ``None`` if it has no turn."""
        shares = self._shares
        self._leave(slot)
        if not shares.free:
            return None
        if shares.next() is not self or self._in_flight is None:
            shares.offer()
            return None
        first = self._in_flight.next()
        self._running.add(slot)
        shares.begin(self)
        return first

    def release(self, slot: Slot) -> None:
        """Take note that a runner ends, and have its slot taken."""
        if self._leave(slot):
            self._shares.offer()

    def claim(self, now: int) -> None:
        """Take note that it has or may have something. Turns before that are not made up for."""
        if not self.claims:
            self.claims = True
            self.over_at = max(self.over_at, now + self.stride)

    def _leave(self, slot: Slot) -> bool:
        if slot not in self._running:
            return False
        self._running.discard(slot)
        self._shares.busy -= 1
        return True
