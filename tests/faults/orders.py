"""The part of a storm that is about flow control and what else a stream can have.

A stream ``orders`` with a group in which order per key holds, one with limits, and one with a
rate; with periodic, scheduled and unique jobs, large data outside the stream, retention, and a
client that waits for results. Groups are paused, and their rules changed, all the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from streamq import App, Enqueued, StreamqError
from streamq.errors import JobDead, ServerError
from streamq.wire.keys import stream_keys
from tests.faults.checker import Evidence, collect, leftovers, violations
from tests.faults.flow_checker import at_once, out_of_order
from tests.faults.load import Load, Producer
from tests.faults.recorder import Step
from tests.faults.rig import Rig
from tests.faults.workload import ORDERS

STREAM = "orders"
GROUPS = dict.fromkeys(ORDERS, 3)
KEYS = stream_keys(STREAM)
FASTEST, BURST = 25.0, 5

LONGEST_WAIT = 300.0
"""Seconds in which every result must have come, once nothing more is written."""

LARGE = "x" * 3000
"""More than the groups keep in the stream."""

MIX: list[tuple[float, dict[str, Any]]] = [
    (0.002, {"do": "kill", "until": 1}),
    (0.02, {"do": "dead"}),
    (0.1, {"do": "fail", "until": 1}),
    (0.1, {"pad": LARGE}),
    (0.02, {"do": "fail", "until": 2, "pad": LARGE}),
    (0.01, {"do": "dead", "pad": LARGE}),
    (0.3, {"do": "sleep", "seconds": 0.02}),
]


class OrdersProducer(Producer):
    """Writes orders, and waits for what becomes of some."""

    offload = 2000

    def __init__(self, url: str, seed: int, rate: float) -> None:
        super().__init__(url, seed, rate)
        self.wrong: list[str] = []
        """Results that are not what they should be."""
        self.answered = 0
        self._waits: set[asyncio.Task[None]] = set()

    def rest(self) -> None:
        """Write no more; go on waiting for results."""
        self._stop.set()

    async def _write(self, app: App, n: int) -> None:
        data: dict[str, Any] = {"n": n}
        chance = self._random.random()
        for share, more in MIX:
            chance -= share
            if chance < 0:
                data.update(more)
                break
        options: dict[str, Any] = {"stream": STREAM, "key": f"k{self._random.randrange(12)}"}
        kind = self._random.random()
        if kind < 0.1:
            options["unique"] = f"order {n}"
        elif kind < 0.2:
            options["delay"] = self._random.random()
        job = await app.produce("work", data, **options)
        if "delay" not in options:
            self.load.jobs.append(job.id)
            if self._random.random() < 0.2:
                group = self._random.choice([*GROUPS])
                wait = asyncio.create_task(self._wait(job, group, data))
                self._waits.add(wait)
        if ("delay" in options or "unique" in options) and "pad" not in data:
            self.load.once.append(n)  # of large ones a dead letter does not tell the number

    async def _wait(self, job: Enqueued, group: str, data: dict[str, Any]) -> None:
        expected: object = "dead" if data.get("do") == "dead" else data["n"]
        got: object = None
        while got is None:
            try:
                got = await job.result(group=group, timeout=None)
            except JobDead:
                got = "dead"
            except ServerError:
                await asyncio.sleep(0.05)
            except StreamqError as error:
                got = repr(error)
        self.answered += 1
        # One whose worker was killed again and again may be dead, too.
        if got not in (expected, "dead"):
            self.wrong.append(f"{job.id} in {group}: {got!r} is not {expected!r}")

    async def _written(self, app: App) -> None:
        if self._waits:
            _, pending = await asyncio.wait(self._waits, timeout=LONGEST_WAIT)
            for wait in pending:
                wait.cancel()
            self.wrong += ["a result never came"] * len(pending)


class Orders:
    """The stream of orders in a storm: its load, its faults, and what must hold at the end."""

    def __init__(self, rig: Rig, seed: int, rate: float) -> None:
        self.rig = rig
        self.producer = OrdersProducer(rig.proxy.url, seed + 1, rate)
        self._random = Random(seed + 2)
        self._touched = False
        self._began = 0.0
        rig.config.orders = True

    @property
    def load(self) -> Load:
        """What was written."""
        return self.producer.load

    def start(self) -> None:
        """Begin to write."""
        self._began = time.monotonic()
        for group in GROUPS:
            self.rig.client.xgroup_create(STREAM, group, "0", mkstream=True)
        self._admin("set_stream", STREAM, retain=1.0)
        self.producer.start()

    # -- the faults -----------------------------------------------------------

    def pause(self) -> None:
        """Pause a group, or a type in it."""
        group = self._random.choice([*GROUPS])
        # A limit is easier to watch where what was begun stays begun.
        type = None if group == "narrow" else self._random.choice([None, "work"])
        self._touched = True
        self._admin("pause", STREAM, group, type=type)

    def change_rules(self) -> None:
        """Change the rules of a group; never so that more may run than it declares."""
        self._touched = True
        group = self._random.choice([*GROUPS])
        changes: dict[str, dict[str, Any]] = {
            "ordered": {"max_in_flight": self._random.choice([1, 3, None]), "max_held": 20},
            "narrow": {"max_in_flight": self._random.randint(1, 4), "limit_per_key": 1},
            "slow": {"rate": self._random.choice(["10/s", "20/s burst 2"]), "rate_per_key": "9/s"},
        }
        self._admin("set_rules", STREAM, group, **changes[group])

    def trim(self) -> None:
        """Trim the stream, as an operator would."""
        self._admin("prune", STREAM)

    def heal(self) -> None:
        """Let all go on by the rules that are declared, most of the time."""
        if self._touched:
            self._touched = False
            for group in GROUPS:
                for type in (None, "work"):
                    self._admin("resume", STREAM, group, type=type)
                if self._random.random() < 0.7:
                    self._declared(group)

    def _declared(self, group: str) -> None:
        names = ("max_in_flight", "max_held", "limit_per_key", "rate", "rate_per_key")
        self._admin("set_rules", STREAM, group, **dict.fromkeys(names, "default"))

    def _admin(self, do: str, *args: Any, **options: Any) -> None:
        async def call() -> None:
            async with App(self.rig.server.unix_url, offload=2000) as app:
                await getattr(app.admin, do)(*args, **options)

        asyncio.run(call())

    # -- the end --------------------------------------------------------------

    def calm(self) -> None:
        """Write no more, and take every pause and change back."""
        self.producer.rest()
        for group in GROUPS:
            for type in (None, "work"):
                self._admin("resume", STREAM, group, type=type)
            self._declared(group)

    def is_empty(self) -> bool:
        """Whether all is settled."""
        client = self.rig.client
        groups = {group["name"]: group for group in client.xinfo_groups(STREAM)}
        last = client.xinfo_stream(STREAM)["last-generated-id"]
        settled = all(
            not groups[name]["pending"] and groups[name]["last-delivered-id"] == last
            for name in GROUPS
        )
        return settled and not client.zcard(KEYS.scheduled)

    def check(self) -> list[str]:
        """What of the promises was not kept, in words."""
        elapsed = time.monotonic() - self._began
        self.producer.stop()
        client, recorder = self.rig.client, self.rig.recorder
        self._admin("set_stream", STREAM, retain=0)
        evidence = collect(client, recorder, self.load.jobs, GROUPS, STREAM)
        evidence.leftovers = []
        found = [*violations(evidence), *self.producer.wrong, *self._against_rules(evidence)]
        slow = sum(begin.delivery.group == "slow" for begin in evidence.begins)
        if slow > BURST + FASTEST * elapsed:
            found.append(f"slow: {slow} jobs were begun in {elapsed:.1f} s")
        # What dead letters hold goes with them.
        asyncio.run(self._purge())
        allowed = {f"the key {KEYS.cron}"}
        left = leftovers(client, GROUPS, STREAM, other="jobs")
        return found + [one for one in left if one not in allowed]

    def _against_rules(self, evidence: Evidence) -> Iterable[str]:
        steps: Sequence[Step] = list(self.rig.recorder.steps)
        yield from out_of_order(steps, evidence, "ordered")
        for by_key, limit in ((False, "max_in_flight"), (True, "limit_per_key")):
            for key, most in at_once(steps, "narrow", by_key=by_key).items():
                if most > ORDERS["narrow"][limit]:
                    yield f"narrow, {key}: {most} ran at once"

    async def _purge(self) -> None:
        async with App(self.rig.server.unix_url, offload=2000) as app:
            for group in GROUPS:
                await app.admin.dead_letters(STREAM, group).purge_all()
