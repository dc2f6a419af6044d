"""Order and concurrency, checked against what the workers have written down.

1. Of a key, no job begins before the one that was written before it has come to its end: the end
   of the very delivery that settled it, after which it is never begun again.
2. Two deliveries of one job do not overlap, unless the worker of the first was killed, stopped
   or cut off: it may run on after its lease is lost, and settles nothing.
3. No more jobs run at once than may, of a group or of a key.

All are pure functions of the steps, in whose order the events were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from streamq.wire.entry import id_key
from tests.faults.checker import Evidence
from tests.faults.recorder import Step


@dataclass
class Life:
    """What is known of one job in one group.

    Attributes:
        begins: attempt, consumer and place of each time that it was begun.
        ends: likewise of each time that its handler was left.
    """

    key: str
    begins: list[tuple[int, str, int]] = field(default_factory=list)
    ends: list[tuple[int, str, int]] = field(default_factory=list)


Lives = Mapping[str, Life]
"""By entry ID."""


def lives(steps: Iterable[Step], group: str) -> Lives:
    """The jobs of a group that have a key."""
    found: dict[str, Life] = {}
    for place, step in enumerate(steps):
        own, job, attempt = step.delivery
        if own == group and step.key is not None:
            life = found.setdefault(job, Life(step.key))
            turns = life.begins if step.what == "begin" else life.ends
            turns.append((attempt, step.consumer, place))
    return found


def out_of_order(steps: Sequence[Step], evidence: Evidence, group: str) -> Iterable[str]:
    """What contradicts the order of a key, in words."""
    by_key: dict[str, list[str]] = defaultdict(list)
    found = lives(steps, group)
    for job, life in found.items():
        by_key[life.key].append(job)
    settled = _settled(evidence, group)
    for key, jobs in by_key.items():
        jobs.sort(key=id_key)
        for earlier, later in pairwise(jobs):
            end = _end(found[earlier], settled.get(earlier))
            begin = found[later].begins[0][2]
            if end is None:
                yield f"{group}, {key}: {earlier} has no end, and {later} was begun"
            elif begin < end:
                yield f"{group}, {key}: {later} was begun before the end of {earlier}"


def overlapping(steps: Sequence[Step], group: str, robbed: Collection[str]) -> Iterable[str]:
    """Deliveries of one job that ran at the same time, in words.

    Args:
        robbed: the consumers that may have lost a lease.
    """
    for job, life in lives(steps, group).items():
        for (attempt, consumer, place), (later, _, begin) in pairwise(life.begins):
            ends = [at for a, c, at in life.ends if (a, c) == (attempt, consumer) and at > place]
            if consumer not in robbed and (not ends or ends[0] > begin):
                yield f"{group}: {job} was begun at delivery {later} while {attempt} ran"


def at_once(steps: Sequence[Step], group: str, *, by_key: bool) -> Mapping[str, int]:
    """How many jobs ran at once at most, by key, or by ``""`` for all of the group.

    A later delivery takes the place of an earlier one. What a worker ran that was killed or
    stopped counts no more: to the server it is pending, or given to others. What it goes on with
    after that does not count either, for its leases may be lost.
    """
    most: dict[str, int] = defaultdict(int)
    running: dict[str, tuple[int, Step]] = {}
    last: dict[str, int] = {}
    lost: set[int] = set()
    for step in steps:
        own, job, attempt = step.delivery
        if step.what == "lost":
            lost.add(step.pid)
            running = {j: one for j, one in running.items() if one[1].pid != step.pid}
        elif own != group or step.key is None or step.pid in lost:
            continue
        elif step.what == "end":
            if job in running and running[job][0] == attempt:
                del running[job]
        elif attempt >= last.get(job, 0):
            last[job] = attempt
            running[job] = attempt, step
            place = step.key if by_key else ""
            count = sum(not by_key or one.key == step.key for _, one in running.values())
            most[place] = max(most[place], count)
    return most


def _settled(evidence: Evidence, group: str) -> Mapping[str, tuple[int, str]]:
    """By job, the delivery that settled it and its consumer; ``""`` where a letter tells none."""
    found = {
        letter.job: (letter.attempts, "") for letter in evidence.letters if letter.group == group
    }
    for delivery, consumer in evidence.effects:
        if delivery.group == group:
            found[delivery.job] = delivery.attempt, consumer
    return found


def _end(life: Life, settled: tuple[int, str] | None) -> int | None:
    """The place of a job's end; where its worker was lost with the last delivery, its begin."""
    if settled is None:  # it was redriven since
        return life.ends[-1][2] if life.ends else None
    attempt, consumer = settled
    own = [at for a, c, at in life.ends if a == attempt and consumer in (c, "")]
    return own[-1] if own else life.begins[-1][2]
