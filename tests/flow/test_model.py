"""The scripts of flow control against a model of them: any history, any number of workers.

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
    rule,
    run_state_machine_as_test,
)

from streamq import lua
from streamq.flow.rules import Rules
from streamq.wire.entry import id_key
from streamq.wire.keys import HELD, PARKED
from tests.flow.model import FlowModel
from tests.lua.support import (
    Group,
    command,
    dead,
    failed,
    given_back,
    run,
    succeeded,
    types_left,
)

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("STREAMQ_MODEL_EXAMPLES", "100"))
WORKERS = ("a", "b", "c")
RULES = {
    "in order": Rules.make(order=True),
    "in order, but for retries": Rules.make(order=True, on_failure="skip"),
    "two of a key": Rules.make(limit_per_key=2),
}

workers = st.sampled_from(WORKERS)
picks = st.integers(0, 11)
"""One of what there is: drawn as a number, for the IDs are others in every run."""


class Machine(RuleBasedStateMachine):
    """Does the same to the server and to the model, and compares."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.client = client

    @initialize(rules=st.sampled_from([*RULES.values()]))
    def start(self, rules: Rules) -> None:
        self.client.flushall()
        self.group = Group(self.client)
        self.packed = rules.pack()
        self.model = FlowModel(rules.limit_per_key or 1, block=rules.on_failure == "block")
        if rules.limit_per_key:
            self.model.block = False
        self.places = ("-", "0", "")

    # -- what is done ---------------------------------------------------------

    @rule(keys=st.lists(st.sampled_from(["x", "y", "3:x:", "", None]), min_size=1, max_size=8))
    def produce(self, keys: list[str | None]) -> None:
        for key in keys:
            fields = ["type", "t", "data", "{}"] + ([] if key is None else ["key", key])
            id = command(self.client, "XADD", "jobs", "*", *fields)
            self.model.add(str(id), key or None)

    @rule(worker=workers)
    def admit(self, worker: str) -> None:
        retries = [*self.group.parked()]
        expected = self.model.admit(worker, retries)
        _, given, *_ = run(self.client, lua.admit(self.group.keys, worker, 1000, self.packed))
        assert {id for id, _, _ in given} == expected

    @rule(pick=picks, verdict=st.sampled_from(["done", "done", "dead", "retry", "back"]))
    def settle(self, pick: int, verdict: str) -> None:
        if running := self._running():
            self._settle(*running[pick % len(running)], verdict)

    @rule(pick=picks, taker=workers)
    def crash(self, pick: int, taker: str) -> None:
        if not (running := self._running()):
            return
        _, worker, _ = running[pick % len(running)]
        ids = [id for id, holder, _ in running if holder == worker]
        for id in ids:
            self.group.age(id, 60_000)
        self.client.delete(self.group.keys.reclaim_lock)
        claimed, *_ = self.group.reclaim(
            taker, 1000, lease=30_000, deliveries=1_000_000, rules=self.packed
        )
        assert {id for id, _, _ in claimed} == set(ids)
        self.model.taken_over(taker, ids)

    @rule(pick=picks)
    def other_hands_make_a_dead_letter(self, pick: int) -> None:
        pending = [e.id for e in self.model.entries.values() if e.holder is not None]
        if pending:
            id = pending[pick % len(pending)]
            assert self.group.to_dead_letters(id) == [1]
            self.model.dead(id)

    @rule(pick=picks)
    def other_hands_acknowledge(self, pick: int) -> None:
        if running := self._running():
            id, _, _ = running[pick % len(running)]
            self.client.xack("jobs", "g", id)
            self.client.xdel("jobs", id)
            self.model.gone(id)

    @rule(pick=picks)
    def redrive(self, pick: int) -> None:
        if not (letters := self.group.letters()):
            return
        letter, fields = letters[pick % len(letters)]
        [id] = self.group.redrive(letter)
        self.model.add(id, dict(fields).get("key") or None)

    @rule()
    def sweep(self) -> None:
        _, *places = run(self.client, lua.sweep(self.group.keys, self.packed, self.places))
        self.places = tuple(places)
        self.model.sweep()

    # -- what must hold -------------------------------------------------------

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        if not hasattr(self, "model"):
            return
        pending = self.group.pending()
        expected = {
            e.id: (e.holder, e.count) for e in self.model.entries.values() if e.holder is not None
        }
        assert pending == expected

    def teardown(self) -> None:
        """Whatever has happened: in the end all is done and nothing is left."""
        if not hasattr(self, "model"):
            return
        while self.model.entries:
            self.sweep()
            self.admit("a")
            for id, worker, count in self._running():
                self._settle(id, worker, count, "done")
        self.sweep()
        flow = {key for key in types_left(self.client) if ":flow:" in key}
        assert flow == set()
        assert self.client.xlen("jobs") == 0

    def _settle(self, id: str, worker: str, count: int, verdict: str) -> None:
        if verdict == "done" and self.model.block and self.model.limit == 1:
            key = self.model.entries[id].key
            same = [e.id for e in self.model.entries.values() if e.key == key]
            assert key is None or min(same, key=id_key) == id
        make: Any = {
            "done": succeeded, "dead": dead, "retry": failed, "back": given_back,
        }[verdict]  # fmt: skip
        plain = self.group.settle_call(worker, [make(id, count)])
        own, more = plain.keys[:4], plain.keys[4:]
        call = lua.Call(
            lua.load("settle_and_admit"), (*own, *self.group.keys.flow, *more),
            (*plain.args, self.packed, 1000),
        )  # fmt: skip
        expected = self.model.settle(worker, id, verdict)
        refused, given = run(self.client, call)
        assert refused == []
        assert {id for id, _, _ in given} == expected

    def _running(self) -> list[tuple[str, str, int]]:
        return [
            (e.id, e.holder, e.count)
            for e in self.model.entries.values()
            if e.holder not in (None, HELD, PARKED)
        ]


def test_flow_control_does_what_its_model_does(client: redis.Redis) -> None:
    run_state_machine_as_test(
        lambda: Machine(client),  # type: ignore[arg-type]  # a factory will do
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[*HealthCheck],
        ),
    )
