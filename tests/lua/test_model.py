"""The scripts against a model of them, with groups and consumers in any order.

``STREAMQ_MODEL_EXAMPLES`` sets how many histories are tried on each server.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streamq import lua
from streamq.wire.entry import id_key
from streamq.wire.keys import PARKED
from tests.lua.model import ANYONE, Model
from tests.lua.support import (
    Group,
    Verdict,
    command,
    dead,
    failed,
    given_back,
    ids_of,
    not_ours,
    recorded,
    run,
    succeeded,
)

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("STREAMQ_MODEL_EXAMPLES", "100"))
HOUR = 3_600_000
GROUPS = ("images", "audit", "mail")
CONSUMERS = ("a", "b", "c")
ALLOWED = 3

groups = st.sampled_from(GROUPS)
consumers = st.sampled_from(CONSUMERS)
verdicts = st.sampled_from(
    ["done", "record", "emit", "retry", "later", "back", "dead", "skip images", "skip nobody"]
)


class Machine(RuleBasedStateMachine):
    """Does the same to the server and to the model, and compares."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.client = client
        self.model = Model()
        self.real: dict[str, Group] = {}
        self.deliveries: list[tuple[str, str, str, int]] = []
        """All that were ever made, the stale ones too: group, consumer, ID, count."""

    # -- the server and the people around it ----------------------------------

    @initialize(number=st.integers(1, 3), small=st.booleans())
    def start(self, number: int, small: bool) -> None:
        self.client.flushall()
        self.small_ids = small
        for name in GROUPS[:number]:
            self._create(name)

    @rule(
        count=st.integers(1, 12), only_for=st.sampled_from([*GROUPS, "nobody", *[ANYONE] * 8]),
        foreign=st.booleans(), step=st.sampled_from([1, 10, 91, 900]),
    )  # fmt: skip
    def produce(self, count: int, only_for: str, foreign: bool, step: int) -> None:
        for n in range(count):
            fields = {"n": str(n)} if foreign else {"type": "t", "data": "{}"}
            if only_for and not foreign:
                fields["for"] = only_for
            self._add(fields, ANYONE if foreign else only_for, self._next_id(step))

    @precondition(lambda self: self._missing())
    @rule(data=st.data(), from_now=st.booleans())
    def create_group(self, data: st.DataObject, from_now: bool) -> None:
        self._create(data.draw(st.sampled_from(self._missing())), "$" if from_now else "0")

    @precondition(lambda self: len(self.model.groups) > 1)
    @rule(data=st.data())
    def destroy_group(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.groups)))
        self.client.xgroup_destroy("jobs", name)
        keys = self.real.pop(name).keys
        self.client.delete(keys.retry, keys.dlq, *self.client.keys(keys.job_prefix + "*"))
        del self.model.groups[name]
        self.deliveries = [d for d in self.deliveries if d[0] != name]
        deleted, start = 0, "-"
        while start:
            more, start = run(self.client, lua.prune("jobs", start, 5))
            deleted += more
        assert deleted == self.model.prune()

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def delete_by_hand(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(list(self.model.entries)))
        self.client.xdel("jobs", id)
        del self.model.entries[id]

    @precondition(lambda self: self._pending())
    @rule(data=st.data(), consumer=consumers)
    def take_by_hand(self, data: st.DataObject, consumer: str) -> None:
        group, id = data.draw(st.sampled_from(self._pending()))
        self.real[group].take_by_hand(id, consumer)
        self.model.claim_by_hand(group, id, consumer)
        self._remember(group)

    @precondition(lambda self: self._parked())
    @rule(data=st.data())
    def lose_a_retry_time(self, data: st.DataObject) -> None:
        group, id = data.draw(st.sampled_from(self._parked()))
        self.client.zrem(self.real[group].keys.retry, id)
        del self.model.groups[group].retry[id]

    @precondition(lambda self: self._pending())
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        """The leases of some entries run out."""
        chosen = data.draw(
            st.lists(st.sampled_from(self._pending()), min_size=1, max_size=8, unique=True)
        )
        for group, id in chosen:
            if id in self.model.entries:
                self.real[group].age(id, 2 * HOUR)
                self.model.groups[group].held[id].stalled = True

    # -- the consumers --------------------------------------------------------

    @precondition(lambda self: self.real)
    @rule(data=st.data(), consumer=consumers, count=st.sampled_from([1, 2, 9, 50]))
    def read(self, data: st.DataObject, consumer: str, count: int) -> None:
        group = self._group(data)
        assert self.real[group].read(consumer, count) == self.model.read(group, consumer, count)
        self._remember(group)

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data(), off=st.sampled_from([0] * 9 + [-1, 1]))
    def settle(self, data: st.DataObject, off: int) -> None:
        group, consumer, _, _ = data.draw(st.sampled_from(self.deliveries))
        mine = [(id, n) for g, c, id, n in self.deliveries if (g, c) == (group, consumer)]
        chosen = data.draw(
            st.lists(st.sampled_from(mine), min_size=1, max_size=20, unique_by=lambda d: d[0])
        )
        batch = [(id, count + off, data.draw(verdicts)) for id, count in chosen]
        expected = self.model.settle(group, consumer, batch)
        real = [verdict_of(*verdict) for verdict in batch]
        assert self.real[group].settle(consumer, *real, ttl=HOUR) == expected

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        group, consumer, _, _ = data.draw(st.sampled_from(self.deliveries))
        mine = [(id, n) for g, c, id, n in self.deliveries if (g, c) == (group, consumer)]
        pairs = data.draw(
            st.lists(st.sampled_from(mine), min_size=1, max_size=20, unique_by=lambda d: d[0])
        )
        lost, deleted = self.real[group].extend(consumer, *pairs)
        assert (set(lost), set(deleted)) == self.model.extend(group, consumer, pairs)

    @precondition(lambda self: self.real)
    @rule(data=st.data(), consumer=consumers)
    def due(self, data: st.DataObject, consumer: str) -> None:
        group = self._group(data)
        _, claimed, deleted = self.real[group].due(consumer)
        expected, gone = self.model.due(group, consumer)
        assert {id: count for id, _, count in claimed} == expected
        assert set(deleted) == gone
        self._remember(group)

    @precondition(lambda self: self.real)
    @rule(
        data=st.data(), consumer=consumers, most=st.sampled_from([1, 3, 100]),
        chances=st.sampled_from([-1, 0, 1]),
    )  # fmt: skip
    def reclaim(self, data: st.DataObject, consumer: str, most: int, chances: int) -> None:
        group = self._group(data)
        self.client.delete(self.real[group].keys.reclaim_lock)
        claimed, dead, deleted, removed, more, *_ = self.real[group].reclaim(
            consumer, most, lease=HOUR, deliveries=ALLOWED, last_chances=chances
        )
        found = ([(id, n) for id, _, n in claimed], dead[::3], deleted, more)
        assert found == self.model.reclaim(group, consumer, most, ALLOWED, chances)
        assert removed == []
        self._remember(group)

    @precondition(lambda self: self.real)
    @rule(data=st.data(), consumer=consumers)
    def release(self, data: st.DataObject, consumer: str) -> None:
        group = self._group(data)
        held = sorted(self.model.groups[group].held, key=id_key)
        known = data.draw(st.sets(st.sampled_from(held), max_size=5)) if held else set()
        found = tuple(self.real[group].release(consumer, known=known))
        assert found == self.model.release(group, consumer, known)

    @precondition(lambda self: self.real)
    @rule(data=st.data(), consumer=consumers)
    def retire(self, data: st.DataObject, consumer: str) -> None:
        group = self._group(data)
        gone = self.real[group].retire(consumer)
        assert gone == self.model.retire(group, consumer)
        assert (consumer in self.real[group].consumers()) <= (not gone)

    # -- an operator ----------------------------------------------------------

    @precondition(lambda self: self._pending())
    @rule(data=st.data())
    def retry_now(self, data: st.DataObject) -> None:
        group, ids = self._some_ids(data)
        found = self.real[group].retry_now(*ids, stalled_after=HOUR)
        assert found == self.model.retry_now(group, ids)

    @precondition(lambda self: self._pending())
    @rule(data=st.data())
    def to_dead_letters(self, data: st.DataObject) -> None:
        group, ids = self._some_ids(data)
        assert self.real[group].to_dead_letters(*ids) == self.model.to_dead_letters(group, ids)

    @precondition(lambda self: self._with_letters())
    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(self._with_letters()))
        position = data.draw(st.integers(0, len(self.model.groups[group].letters) - 1))
        letter_id = self.real[group].letters()[position][0]
        [answer] = self.real[group].redrive(letter_id)
        letter = self.model.redrive(group, position)
        if letter is None:
            assert answer == "!empty"
        else:
            self.model.add(answer, letter.target or group, letter.origin)

    # -- what must hold at all times ------------------------------------------

    @invariant()
    def the_stream_is_that_of_the_model(self) -> None:
        assert ids_of(self.client) == list(self.model.entries)
        assert self.client.xlen("events") == self.model.events

    @invariant()
    def every_group_is_that_of_the_model(self) -> None:
        info: Any = self.client.xinfo_groups("jobs") if self.real else []
        last = {row["name"]: row["last-delivered-id"] for row in info}
        now = int(self.client.time()[0]) * 1000 + 1000
        for name, state in self.model.groups.items():
            real = self.real[name]
            assert real.pending() == {
                id: (line.consumer, line.count) for id, line in state.held.items()
            }
            assert {id: due <= now for id, due in real.parked().items()} == state.retry
            assert id_key(last[name]) == state.last

    @invariant()
    def dead_letters_and_records_are_those_of_the_model(self) -> None:
        for name, state in self.model.groups.items():
            found = [dict(fields[:5]) for _, fields in self.real[name].letters()]
            assert [(f["id"], f["reason"], int(f["attempts"]), f["consumer"]) for f in found] == [
                (w.entry, w.reason, w.count, w.consumer) for w in state.letters
            ]
            pipe = self.client.pipeline(transaction=False)
            for id in state.records:
                pipe.hget(self.real[name].keys.job(id), "state")
            kinds = [kind or "failed" for kind in pipe.execute()]
            assert kinds == list(state.records.values())

    @invariant()
    def every_entry_is_queued_pending_or_settled(self) -> None:
        needed = dict.fromkeys(self.model.entries, False)
        for state in self.model.groups.values():
            for id in self.model.entries:
                queued, pending = id_key(id) > state.last, id in state.held
                settled = id in state.settled or id_key(id) <= state.born
                assert queued + pending + settled == 1
                needed[id] |= queued or pending
        assert all(needed.values())

    # -- pieces ---------------------------------------------------------------

    def _create(self, name: str, start: str = "0") -> None:
        self.real[name] = Group(self.client, name, start=start)
        info: Any = self.client.xinfo_groups("jobs")
        [last] = [row["last-delivered-id"] for row in info if row["name"] == name]
        self.model.create(name, id_key(last))

    def _next_id(self, step: int) -> str:
        """An ID of the server's own, or one of those that differ in length."""
        if not self.small_ids or not self.client.exists("jobs"):
            return "*"
        info: Any = self.client.xinfo_stream("jobs")
        ms, sequence = id_key(info["last-generated-id"])
        if ms > 10**6:
            return "*"
        return f"{ms + step}-0" if step % 2 == 0 else f"{ms}-{sequence + step}"

    def _add(self, fields: dict[str, str], target: str, id: str) -> None:
        flat = [part for pair in fields.items() for part in pair]
        self.model.add(str(command(self.client, "XADD", "jobs", id, *flat)), target)

    def _group(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.real)))

    def _missing(self) -> list[str]:
        return [name for name in GROUPS if name not in self.real]

    def _pending(self) -> list[tuple[str, str]]:
        return [(name, id) for name, state in self.model.groups.items() for id in state.held]

    def _parked(self) -> list[tuple[str, str]]:
        return [(name, id) for name, state in self.model.groups.items() for id in state.retry]

    def _with_letters(self) -> list[str]:
        return [name for name, state in self.model.groups.items() if state.letters]

    def _some_ids(self, data: st.DataObject) -> tuple[str, list[str]]:
        """Some entries of one group, pending or not."""
        group, id = data.draw(st.sampled_from(self._pending()))
        known = sorted({*self.model.entries, *self.model.groups[group].held}, key=id_key)
        return group, [id, *data.draw(st.lists(st.sampled_from(known), max_size=9))]

    def _remember(self, group: str) -> None:
        for id, line in self.model.groups[group].held.items():
            delivery = (group, line.consumer, id, line.count)
            if line.consumer != PARKED and delivery not in self.deliveries:
                self.deliveries.append(delivery)


def verdict_of(id: str, count: int, kind: str) -> Verdict:
    """What the model calls by a word, in the script's terms."""
    match kind.split():
        case ["record"]:
            return recorded(id, count)
        case ["emit"]:
            return succeeded(id, count).emitting(("events", ("data", "1")))
        case ["retry"]:
            return failed(id, count)
        case ["later"]:
            return failed(id, count, delay=HOUR)
        case ["back"]:
            return given_back(id, count)
        case ["dead"]:
            return dead(id, count)
        case ["skip", group]:
            return not_ours(id, group, count)
    return succeeded(id, count)


def test_the_scripts_do_what_the_model_does(client: redis.Redis) -> None:
    run_state_machine_as_test(
        lambda: Machine(client),  # type: ignore[arg-type]  # a factory will do
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
