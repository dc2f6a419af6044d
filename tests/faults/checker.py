"""The proof: what streamq promises, checked against what really happened.

:func:`collect` reads the evidence, :func:`violations` is a pure function of it.

1. Every produced job was handled to the end, or is in the dead letters with its reason,
   for every group.
2. It succeeded at most once: one effect, one record.
3. It was delivered no more often than retries + 1.
4. Nothing remains: nothing queued, pending, parked, scheduled, and no key but records,
   dead letters and what the test itself made.
5. Nothing was settled by one that no longer held it: the delivery that settled a job is
   the last that was ever begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from streamq.wire.keys import group_keys, stream_keys
from tests.faults.recorder import Begin, Delivery, Recorder
from tests.faults.workload import EFFECTS


class Effect(NamedTuple):
    """A follow-up event that was written with an ack."""

    delivery: Delivery
    consumer: str


class Letter(NamedTuple):
    """A dead letter."""

    group: str
    job: str
    attempts: int
    reason: str


@dataclass
class Evidence:
    """What is known at the end of a run.

    Attributes:
        retries: group → retries.
        produced: the IDs of the jobs whose production was acknowledged.
        begins: handler entries.
        released: the deliveries that were given back, which do not count.
        stopped: the consumers that were told to stop; what they gave back last, nobody may
            have heard of.
        effects: what the handlers emitted.
        letters: the dead letters.
        succeeded: by group, the jobs with a record of success → attempts in the record.
        leftovers: what should not be there, in words.
    """

    retries: Mapping[str, int]
    produced: Sequence[str]
    begins: Sequence[Begin] = ()
    released: Collection[Delivery] = ()
    stopped: Collection[str] = ()
    effects: Sequence[Effect] = ()
    letters: Sequence[Letter] = ()
    succeeded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    leftovers: Sequence[str] = ()


@dataclass
class Report:
    """A run in numbers.

    Attributes:
        produced: acknowledged jobs, once for each group.
        handled: of these, those that succeeded.
        dead: those in the dead letters.
        retried: deliveries after the first.
        replays: handlers that got to their end, or were killed, more often than needed.
    """

    produced: int
    handled: int
    dead: int
    retried: int
    replays: int


def collect(
    client: Any,
    recorder: Recorder,
    produced: Sequence[str],
    retries: Mapping[str, int],
    stream: str = "jobs",
    other: str = "",
) -> Evidence:
    """Read the server and the recorder.

    Args:
        other: one more stream, whose keys are none of ours.
    """
    letters, succeeded = [], {}
    for group in retries:
        keys = group_keys(stream, group)
        for _, fields in entries(client, keys.dlq):
            letters.append(
                Letter(group, fields["id"], int(fields["attempts"]), fields.get("reason", ""))
            )
        records = list(client.scan_iter(f"{_escaped(keys.job_prefix)}*", count=5000))
        with client.pipeline(transaction=False) as pipeline:
            for record in records:
                pipeline.hmget(record, "state", "attempts")
            states = pipeline.execute()
        succeeded[group] = {
            record.removeprefix(keys.job_prefix): int(attempts)
            for record, (state, attempts) in zip(records, states, strict=True)
            if state == "succeeded"
        }
    effects = []
    for _, fields in entries(client, EFFECTS):
        data = orjson.loads(fields["data"])
        if data["group"] not in retries:
            continue
        effects.append(
            Effect(Delivery(data["group"], data["job"], data["attempt"]), data["consumer"])
        )
    return Evidence(
        retries=retries,
        produced=produced,
        begins=[begin for begin in recorder.begins if begin.delivery.group in retries],
        released=list(recorder.outcomes["released"]),
        stopped={note["consumer"] for note in recorder.told("stopping")},
        effects=effects,
        letters=letters,
        succeeded=succeeded,
        leftovers=list(leftovers(client, retries, stream, other)),
    )


def leftovers(
    client: Any, groups: Iterable[str], stream: str = "jobs", other: str = ""
) -> Iterable[str]:
    """What is still in the server and should not be."""
    keys = stream_keys(stream)
    if client.type(stream) == "stream":
        if length := client.xlen(stream):
            yield f"{length} entries in the stream"
        for group in client.xinfo_groups(stream):
            if group["pending"]:
                yield f"{group['pending']} entries pending in {group['name']}"
    allowed = {stream, EFFECTS} | {keys.group(group).dlq for group in groups}
    prefixes = (*(keys.group(group).job_prefix for group in groups), keys.schedule_id(""))
    for key in client.scan_iter(count=5000):
        if other and (key == other or key.startswith(f"{stream_keys(other).prefix}:")):
            continue
        if key in allowed or key.startswith(f"{keys.prefix}:unique:"):
            continue
        # Records, what names lead to and the reclaim lock are there for a time, and must say for
        # how long.
        timed = key.startswith(prefixes) or key.endswith(":reclaim")
        if not timed or client.pttl(key) == -1:
            yield f"the key {key}"


def violations(evidence: Evidence, *, lost: Collection[str] = ()) -> list[str]:
    """What of the promises was not kept, in words.

    Args:
        lost: jobs that somebody else removed, or a fault of which streamq promises nothing.
    """
    found = list(evidence.leftovers)
    effects = Counter((e.delivery.group, e.delivery.job) for e in evidence.effects)
    letters = Counter((letter.group, letter.job) for letter in evidence.letters)
    for group in evidence.retries:
        records = evidence.succeeded.get(group, {})
        for job in evidence.produced:
            place = group, job
            if not effects[place] and not letters[place] and job not in lost:
                found.append(f"{group}: {job} was lost")
            if bool(effects[place]) != (job in records):
                found.append(f"{group}: {job} has an effect or a record of success, but not both")
            if letters[place] and effects[place]:
                found.append(f"{group}: {job} both succeeded and is dead")
            if letters[place] > 1:
                found.append(f"{group}: {job} has {letters[place]} dead letters")
            if effects[place] > 1:
                found.append(f"{group}: {job} took effect {effects[place]} times")
    found += _beyond_retries(evidence)
    found += _begun_twice(evidence)
    found += _settled_by_zombies(evidence)
    found += [
        f"{letter.group}: the dead letter of {letter.job} gives no reason"
        for letter in evidence.letters
        if not letter.reason
    ]
    return found


def _beyond_retries(evidence: Evidence) -> Iterable[str]:
    for begin in evidence.begins:
        group, job, attempt = begin.delivery
        if attempt > evidence.retries[group] + 1:
            yield f"{group}: {job} was begun at delivery {attempt}"


def _begun_twice(evidence: Evidence) -> Iterable[str]:
    begun = Counter(b.delivery for b in evidence.begins if b.consumer not in evidence.stopped)
    begun.subtract(evidence.released)
    for (group, job, attempt), count in begun.items():
        if count > 1:
            yield f"{group}: {job} was begun {count} times at delivery {attempt}"


def _settled_by_zombies(evidence: Evidence) -> Iterable[str]:
    last: dict[tuple[str, str], int] = {}
    for begin in evidence.begins:
        place = begin.delivery.group, begin.delivery.job
        last[place] = max(last.get(place, 0), begin.delivery.attempt)
    begun = {(begin.delivery, begin.consumer) for begin in evidence.begins}
    for delivery, consumer in evidence.effects:
        group, job, attempt = delivery
        if (delivery, consumer) not in begun:
            yield f"{group}: {job} was settled at delivery {attempt} by one that never began it"
        elif attempt != last[group, job]:
            yield f"{group}: {job} was settled at delivery {attempt} of {last[group, job]}"
        recorded = evidence.succeeded.get(group, {}).get(job, attempt)
        if recorded != attempt:
            yield f"{group}: {job} took effect at delivery {attempt}, its record says {recorded}"


def check(evidence: Evidence, *, lost: Collection[str] = ()) -> Report:
    """Fail unless every promise was kept; return the run in numbers."""
    found = violations(evidence, lost=lost)
    if found:
        more = f"\n… and {len(found) - 20} more" if len(found) > 20 else ""
        raise AssertionError("\n".join(found[:20]) + more)
    return report(evidence)


def report(evidence: Evidence) -> Report:
    """The run in numbers."""
    begun = Counter(begin.delivery for begin in evidence.begins)
    places = {(d.group, d.job) for d in begun}
    return Report(
        produced=len(evidence.produced) * len(evidence.retries),
        handled=len({(e.delivery.group, e.delivery.job) for e in evidence.effects}),
        dead=len(evidence.letters),
        retried=sum(1 for delivery in begun if delivery.attempt > 1),
        replays=len(evidence.begins) - len(places),
    )


def _escaped(pattern: str) -> str:
    return "".join("\\" + c if c in "*?[]\\" else c for c in pattern)


def entries(client: Any, stream: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """All entries of a stream, which need not exist."""
    if client.type(stream) != "stream":
        return
    start = "-"
    while True:
        entries = client.xrange(stream, start, count=5000)
        yield from entries
        if len(entries) < 5000:
            return
        start = "(" + entries[-1][0]
