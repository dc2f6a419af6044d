"""Running the scripts by hand, and looking at what they did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from streamq import lua
from streamq.lua import Arg, Call
from streamq.wire.entry import LARGEST_ID
from streamq.wire.keys import PARKED, group_keys

SIZES = [1, 7, 8, 9, 500]
"""Batches to try: the fence asks for a range from eight entries on."""

AWKWARD = ["5-9", "5-10", "9-0", "10-0", "99-100", "100-99"]
"""Entry IDs, in order, that compare otherwise as strings."""


HUGE = [
    f"{2**53 - 1}-{2**53 + 1}", f"{2**53}-0", f"{2**53 + 1}-{2**53}", f"{2**53 + 1}-{2**53 + 1}",
    f"{2**63 - 1}-{2**63 - 1}", f"{2**63}-0", f"{2**64 - 1}-{2**64 - 2}", LARGEST_ID,
]  # fmt: skip
"""Entry IDs, in order, around what a double and a signed number hold; then the largest there is."""


def run(client: redis.Redis, call: Call) -> Any:
    """Run a script, in whatever way the server takes it."""
    return client.eval(call.source, len(call.keys), *call.keys, *call.args)


@dataclass(frozen=True)
class Verdict:
    """One verdict for ``settle.lua``, and whether it takes a record key.

    ``head`` is what it may share with those that follow, with their number in second place.
    """

    id: str
    count: int
    head: tuple[Arg, ...]
    args: tuple[Arg, ...]
    record: bool = False
    events: tuple[tuple[str, tuple[Arg, ...]], ...] = ()

    def emitting(self, *events: tuple[str, tuple[Arg, ...]]) -> Verdict:
        """The same with follow-up events: target key and fields."""
        return Verdict(self.id, self.count, self.head, self.args, self.record, events)


def succeeded(id: str, count: int = 1) -> Verdict:
    return Verdict(id, count, ("s", 1), ())


def recorded(
    id: str, count: int = 1, *, state: str = "succeeded", result: str = "", note: str = ""
) -> Verdict:
    if not result and not note:
        return Verdict(id, count, ("S", 1, state, "t"), ("{}", 1000, 2000), record=True)
    args = ("R", state, "t", "{}", 1000, 2000, result, note)
    return Verdict(id, count, (), args, record=True)


def failed(id: str, count: int = 1, *, delay: int = 0, error: str = "oops") -> Verdict:
    return Verdict(id, count, (), ("r", delay, error, 4, "failed", 1000, 1500), record=True)


def dead(
    id: str, count: int = 1, *, reason: str = "gave up", error: str = "oops", traceback: str = ""
) -> Verdict:
    args = ("d", reason, error, traceback, "failed", 1000, 1500)
    return Verdict(id, count, (), args, record=True)


def given_back(id: str, count: int = 1) -> Verdict:
    return Verdict(id, count, (), ("b",))


def not_ours(id: str, group: str, count: int = 1) -> Verdict:
    return Verdict(id, count, (), ("f", group))


@dataclass
class Group:
    """A consumer group of a stream, with the scripts as methods."""

    client: redis.Redis
    name: str = "g"
    stream: str = "jobs"
    start: str = "0"

    def __post_init__(self) -> None:
        self.keys = group_keys(self.stream, self.name)
        self.client.xgroup_create(self.stream, self.name, id=self.start, mkstream=True)

    # -- the scripts ----------------------------------------------------------

    def settle_call(
        self, consumer: str, verdicts: Sequence[Verdict], ttl: int = 0, history: int = 0
    ) -> Call:
        keys: list[str] = []
        pairs: list[Arg] = []
        args: list[Arg] = []
        head: tuple[Arg, ...] = ()
        count, start, end = 0, 0, 0
        for verdict in verdicts:
            pairs += (verdict.id, verdict.count)
            for target, fields in verdict.events:
                args += ("e", len(fields), *fields)
                keys.append(target)
            if verdict.head and verdict.head == head and len(args) == end:
                count += 1
                args[start + 1] = count
            else:
                head, count, start = verdict.head, 1, len(args)
                args += head
            args += verdict.args
            end = len(args)
            if verdict.record:
                keys.append(self.keys.job(verdict.id))
        return lua.settle(
            self.keys, consumer, ttl, len(verdicts), keys, pairs, args, history=history
        )

    def settle(
        self, consumer: str, *verdicts: Verdict, ttl: int = 0, history: int = 0
    ) -> dict[str, str]:
        """Settle, and return why each refused entry was refused."""
        reply = run(self.client, self.settle_call(consumer, verdicts, ttl, history))
        return {
            verdicts[int(position) - 1].id: why
            for position, why in zip(reply[::2], reply[1::2], strict=True)
        }

    def extend(self, consumer: str, *pairs: tuple[str, int]) -> Any:
        flat = [part for pair in pairs for part in pair]
        return run(self.client, lua.extend(self.keys, consumer, flat))

    def due(self, consumer: str, most: int = 100) -> Any:
        return run(self.client, lua.claim_due(self.keys, consumer, most))

    def reclaim(
        self, consumer: str, most: int = 100, *, lease: int = 1000, pause: int = 1,
        silence: int = 3_600_000, deliveries: int = 4, by_type: dict[str, int] | None = None,
        last_chances: int = -1, heal_from: str = "-", rules: str = "",
    ) -> Any:  # fmt: skip
        call = lua.reclaim(
            self.keys, consumer, most, lease=lease, pause=pause, silence=silence,
            deliveries=deliveries, deliveries_by_type=by_type or {},
            last_chances=last_chances, heal_from=heal_from, rules=rules,
        )  # fmt: skip
        return run(self.client, call)

    def release(self, consumer: str, most: int = 100, known: Iterable[str] = ()) -> Any:
        return run(self.client, lua.release(self.keys, consumer, most, known))

    def retire(self, consumer: str) -> int:
        return int(run(self.client, lua.retire(self.keys, consumer)))

    def retry_now(self, *ids: str, stalled_after: int = 1000) -> Any:
        return run(self.client, lua.retry_now(self.keys, stalled_after, ids))

    def to_dead_letters(self, *ids: str, error: str = "by me") -> Any:
        return run(self.client, lua.to_dead_letters(self.keys, error, 60_000, ids))

    def redrive(self, *letters: str) -> Any:
        return run(self.client, lua.redrive(self.keys, letters))

    # -- the server -----------------------------------------------------------

    def read(self, consumer: str = "a", count: int = 1000) -> list[str]:
        """Deliver new entries to a consumer, and return their IDs."""
        reply: Any = self.client.xreadgroup(self.name, consumer, {self.stream: ">"}, count=count)
        return [id for id, _ in reply[0][1]] if reply else []

    def pending(self) -> dict[str, tuple[str, int]]:
        """The pending entries: who holds each, and its delivery count."""
        rows: Any = self.client.xpending_range(self.stream, self.name, "-", "+", 1_000_000)
        return {row["message_id"]: (row["consumer"], row["times_delivered"]) for row in rows}

    def idle(self, id: str) -> int:
        """How long an entry has been idle, ms."""
        rows: Any = self.client.xpending_range(self.stream, self.name, id, id, 1)
        return int(rows[0]["time_since_delivered"])

    def age(self, id: str, ms: int) -> None:
        """Make a pending entry look as if nobody had touched it for so long."""
        holder, count = self.pending()[id]
        command(self.client,
            "XCLAIM", self.stream, self.name, holder, 0, id,
            "IDLE", ms, "RETRYCOUNT", count, "JUSTID",
        )  # fmt: skip

    def take_by_hand(self, id: str, consumer: str) -> None:
        """Claim an entry as somebody would from a command line."""
        self.client.xclaim(self.stream, self.name, consumer, 0, [id])

    def parked(self) -> dict[str, float]:
        """The retry set: entry ID and due time in ms."""
        found: Any = self.client.zrange(self.keys.retry, 0, -1, withscores=True)
        return dict(found)

    def park(self, id: str, delay: int = 0) -> None:
        """Deliver an entry to nobody and park it: the state that a failure leaves."""
        holder, count = self.pending()[id]
        assert self.settle(holder, failed(id, count, delay=delay)) == {}

    def letters(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The dead letters: ID, and fields as a list, in order."""
        return raw_entries(self.client, self.keys.dlq)

    def record(self, id: str) -> dict[str, str]:
        """The status record of a job."""
        found: Any = self.client.hgetall(self.keys.job(id))
        return dict(found)

    def consumers(self) -> set[str]:
        """The names of the group's consumers."""
        found: Any = self.client.xinfo_consumers(self.stream, self.name)
        return {row["name"] for row in found}


def add(client: redis.Redis, count: int = 1, stream: str = "jobs", type: str = "t") -> list[str]:
    """Write some jobs and return their IDs."""
    pipe = client.pipeline(transaction=False)
    for n in range(count):
        pipe.xadd(stream, {"type": type, "data": f'{{"n":{n}}}'})
    return [str(id) for id in pipe.execute()]


def add_at(client: redis.Redis, ids: Iterable[str], stream: str = "jobs") -> None:
    """Write jobs with IDs of one's own."""
    for id in ids:
        client.xadd(stream, {"type": "t", "data": "{}"}, id=id)


def write(client: redis.Redis, *fields: str | bytes | int) -> str:
    """Write an entry of any fields, as a foreign producer does, and return its ID."""
    return str(command(client, "XADD", "jobs", "*", *fields))


def command(client: redis.Redis, *args: str | bytes | int | float) -> Any:
    """Send a command as it stands."""
    return client.execute_command(*args)  # type: ignore[no-untyped-call]  # redis-py's


def ids_of(client: redis.Redis, stream: str = "jobs") -> list[str]:
    """The IDs of all entries in a stream."""
    return [id for id, _ in raw_entries(client, stream)]


def raw_entries(client: redis.Redis, stream: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """A stream's entries with their fields as pairs in order, double names and all."""
    # By a script: redis-py makes a dict of the fields.
    reply: Any = client.eval("return redis.call('XRANGE', KEYS[1], '-', '+')", 1, stream)
    return [(id, list(zip(fields[::2], fields[1::2], strict=True))) for id, fields in reply]


def types_left(client: redis.Redis) -> dict[str, str]:
    """All keys and their types: what is left behind."""
    return {str(key): str(client.type(key)) for key in client.keys("*")}


__all__ = [
    "AWKWARD",
    "HUGE",
    "PARKED",
    "SIZES",
    "Group",
    "Verdict",
    "add",
    "add_at",
    "command",
    "dead",
    "failed",
    "given_back",
    "ids_of",
    "not_ours",
    "raw_entries",
    "recorded",
    "run",
    "succeeded",
    "types_left",
    "write",
]  # fmt: skip
