"""A storm: every fault at random, over a steady load, from one seed.

Used by ``tests/faults/test_storm.py``, for seconds, and by ``scripts/chaos``, for as
long as one likes.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import orjson
import redis

from streamq import StreamqError
from streamq.wire.keys import group_keys
from tests.faults import orders
from tests.faults.checker import Report, check, collect, entries
from tests.faults.load import LEASE, Load, Producer
from tests.faults.orders import Orders
from tests.faults.rig import Rig, WorkerProcess
from tests.faults.workload import EFFECTS

GROUPS = {"alpha": 3, "beta": 1}
WORKERS = 3

SERVER_OPTIONS = ("--appendonly", "yes", "--appendfsync", "always", "--lua-time-limit", "50")

SCRIPTS = (
    "admit", "claim_due", "extend", "promote", "reclaim", "release", "settle", "settle_and_admit",
    "sweep", "tick", "trim",
)  # fmt: skip

GARBAGE: list[dict[Any, Any]] = [
    {"a": "b"}, {"data": "{"}, {"type": b"\xff", "data": "{}"}, {"type": "work", "data": "null"},
    {"type": "work", "data": '{"n":"x"}'}, {"type": "nobody's", "data": "{}"},
    {"type": "work", "data": "{}", "expires": "soon"},
]  # fmt: skip


@dataclass
class StormReport:
    """A storm in numbers."""

    seed: int
    seconds: float
    faults: Counter[str]
    load: Load
    orders: Load
    answered: int
    report: Report
    longest_stall: float
    workers: int

    def __str__(self) -> str:
        faults = "\n".join(f"  {count:5}  {name}" for name, count in sorted(self.faults.items()))
        report, load = self.report, self.load
        return f"""\
seed {self.seed}, {self.seconds:.0f} s, {self.workers} worker processes
faults injected:
{faults}
produced (twice: one for each group)   {report.produced}
  outcome unknown to the producer      {load.unknown}
  refused                              {load.failed}
handled                                {report.handled}
dead, with a reason                    {report.dead}
orders (thrice)                        {3 * len(self.orders.jobs)}
  outcome unknown, refused             {self.orders.unknown}, {self.orders.failed}
  results that were waited for         {self.answered}
deliveries after the first             {report.retried}
handlers entered more than once        {report.replays}
longest time without a settlement      {self.longest_stall:.2f} s
lost, settled twice, left behind, out of order, beyond a limit: none"""


class Storm:
    """Injects faults into a rig, one or two at a time, and heals what it did.

    Args:
        rig: on a server with :data:`SERVER_OPTIONS`.
        seed: of every choice that is made here.
        say: told of each fault.
    """

    def __init__(
        self, rig: Rig, seed: int, *, rate: float = 150.0, say: Callable[[str], None] = print
    ) -> None:
        self.rig = rig
        self.seed = seed
        self.faults: Counter[str] = Counter()
        self._say = say
        self._random = random.Random(seed)
        self._busy: threading.Thread | None = None
        rig.config.url = rig.proxy.url
        rig.config.groups = GROUPS
        rig.config.lease = LEASE
        rig.config.backoff = 0.1
        rig.config.result_ttl = 24 * 3600.0
        rig.config.concurrency = 8
        self._producer = Producer(rig.proxy.url, seed, rate)
        self._orders = Orders(rig, seed, rate / 8)
        self._alive: list[WorkerProcess] = []

    def run(self, seconds: float) -> StormReport:
        """Let it rage, then let the sun shine until all work is done, and check.

        Raises:
            AssertionError: a promise was not kept.
        """
        began = time.monotonic()
        self._orders.start()
        self._respawn()
        self._producer.start()
        try:
            while time.monotonic() < began + seconds:
                self._strike()
        finally:
            self._heal()
            self._producer.stop()
            self._orders.calm()
        self._drain()
        load = self._producer.load
        rig = self.rig
        evidence = collect(rig.client, rig.recorder, load.jobs, GROUPS, other=orders.STREAM)
        report = check(evidence)
        self._check_once(load, "jobs", GROUPS)
        self._check_once(self._orders.load, orders.STREAM, orders.GROUPS)
        found = self._orders.check()
        assert not found, "\n".join(found[:20])
        times = sorted([began, *self.rig.recorder.settled_at])
        return StormReport(
            seed=self.seed,
            seconds=seconds,
            faults=self.faults,
            load=load,
            orders=self._orders.load,
            answered=self._orders.producer.answered,
            report=report,
            longest_stall=max(later - earlier for earlier, later in pairwise(times)),
            workers=len(self.rig.workers),
        )

    # -- the storm ------------------------------------------------------------

    def _strike(self) -> None:
        faults = self._random.sample(sorted(self._kinds), self._random.choice([1, 1, 2]))
        for name in faults:
            self._say(name)
            self.faults[name] += 1
            with suppress(redis.RedisError, StreamqError):
                self._kinds[name](self)
        time.sleep(self._random.uniform(0.05, 3 * LEASE))
        self._heal()
        self._respawn()
        time.sleep(self._random.uniform(0.0, LEASE))

    def _heal(self) -> None:
        rig, server = self.rig, self.rig.server
        for worker in self._alive:
            worker.signal(signal.SIGCONT)  # nothing happens to one that has died
        server.signal(signal.SIGCONT)
        rig.proxy.delay, rig.proxy.trickle, rig.proxy.reject = 0.0, 0, False
        rig.proxy.accept()
        if server.process is None or server.process.poll() is not None:
            server.start()
        if self._busy is not None:
            while self._busy.is_alive():
                with suppress(redis.RedisError):
                    rig.client.script_kill()
                self._busy.join(0.01)
            self._busy = None
        rig.client.client_unpause()
        rig.client.replicaof("NO", "ONE")
        rig.client.config_set("maxmemory", 0)
        rig.client.config_set("min-replicas-to-write", 0)
        self._orders.heal()

    def _respawn(self) -> None:
        self._alive = [worker for worker in self._alive if worker.alive]
        while len(self._alive) < WORKERS:
            self._alive.append(self.rig.worker())

    def _drain(self) -> None:
        for worker in self._alive:
            worker.signal(signal.SIGTERM)
        for worker in self._alive:
            worker.wait()
        # The last poison may still be about: as a supervisor would, start again.
        for _ in range(50):
            if self.rig.worker(burst=True).wait(120) == 0 and self._is_empty():
                return
        raise AssertionError(f"the work does not come to an end: {self.rig.recorder.summary()}")

    def _is_empty(self) -> bool:
        client = self.rig.client
        scheduled = client.zcard("{jobs}:scheduled")
        pending = [group["pending"] for group in client.xinfo_groups("jobs")]
        empty = not scheduled and not any(pending) and client.xlen("jobs") == 0
        return empty and self._orders.is_empty()

    def _check_once(self, load: Load, stream: str, groups: Iterable[str]) -> None:
        """What was produced with a key or for later exists once, also after lost replies."""
        client = self.rig.client
        for group in groups:
            seen: dict[int, set[str]] = {}
            for _, fields in entries(client, EFFECTS):
                data = orjson.loads(fields["data"])
                if data["group"] == group:
                    seen.setdefault(data["n"], set()).add(data["job"])
            for _, fields in entries(client, group_keys(stream, group).dlq):
                with suppress(orjson.JSONDecodeError, KeyError, TypeError):
                    data = orjson.loads(fields["data"])
                    seen.setdefault(data["n"], set()).add(fields["id"])
            for n in load.once:
                count = len(seen.get(n, ()))
                assert count == 1, f"{group}: job {n}, to be written once, exists {count} times"

    # -- the faults -----------------------------------------------------------

    def _some_worker(self) -> WorkerProcess:
        return self._random.choice(self._alive)

    def _kill_worker(self) -> None:
        self._some_worker().kill()

    def _stop_worker(self) -> None:
        self._some_worker().signal(signal.SIGTERM)

    def _suspend_worker(self) -> None:
        self._some_worker().signal(signal.SIGSTOP)

    def _kill_server(self) -> None:
        self.rig.server.kill()

    def _suspend_server(self) -> None:
        self.rig.server.signal(signal.SIGSTOP)
        time.sleep(self._random.uniform(0.1, 3 * LEASE))
        self.rig.server.signal(signal.SIGCONT)

    def _cut(self) -> None:
        self.rig.proxy.cut()

    def _half_close(self) -> None:
        self.rig.proxy.half_close()

    def _refuse(self) -> None:
        self.rig.proxy.refuse()

    def _reject(self) -> None:
        self.rig.proxy.reject = True
        self.rig.proxy.cut()

    def _freeze(self) -> None:
        self.rig.proxy.freeze()

    def _delay(self) -> None:
        self.rig.proxy.delay = self._random.uniform(0.01, LEASE / 2)

    def _trickle(self) -> None:
        self.rig.proxy.trickle = self._random.randint(5, 100)

    def _swallow(self) -> None:
        self.rig.swallow(self._random.choice(SCRIPTS))

    def _swallow_read(self) -> None:
        self.rig.proxy.swallow(b"\r\nXREADGROUP\r\n")

    def _swallow_write(self) -> None:
        self.rig.proxy.swallow(b"XADD")

    def _flush_scripts(self) -> None:
        self.rig.client.script_flush()

    def _kill_clients(self) -> None:
        self.rig.client.client_kill_filter(_type="normal", skipme=True)

    def _pause_clients(self) -> None:
        self.rig.client.client_pause(1000, all=self._random.random() < 0.5)

    def _sleep_server(self) -> None:
        self.rig.client.execute_command("DEBUG", "SLEEP", self._random.uniform(0.1, 2 * LEASE))

    def _demote(self) -> None:
        self.rig.client.replicaof("127.0.0.1", "1")

    def _fill_memory(self) -> None:
        self.rig.client.config_set("maxmemory", "1mb")

    def _want_replicas(self) -> None:
        self.rig.client.config_set("min-replicas-to-write", 1)

    def _keep_busy(self) -> None:
        def hang() -> None:
            with self.rig.server.client() as client, suppress(redis.RedisError):
                client.eval("while true do end", 0)

        self._busy = threading.Thread(target=hang)
        self._busy.start()

    def _write_garbage(self) -> None:
        for _ in range(5):
            self.rig.client.xadd("jobs", self._random.choice(GARBAGE))

    def _claim(self) -> None:
        for group in GROUPS:
            ids = [row["message_id"] for row in self.rig.pending(group)[:5]]
            if ids:
                self.rig.client.xclaim("jobs", group, "somebody", 0, ids, justid=True)

    def _drop_retries(self) -> None:
        self.rig.client.delete(group_keys("jobs", "alpha").retry)

    def _pause_group(self) -> None:
        self._orders.pause()

    def _change_rules(self) -> None:
        self._orders.change_rules()

    def _trim(self) -> None:
        self._orders.trim()

    _kinds: ClassVar[dict[str, Callable[[Storm], None]]] = {
        "worker: SIGKILL": _kill_worker,
        "worker: SIGTERM": _stop_worker,
        "worker: SIGSTOP, SIGCONT": _suspend_worker,
        "server: SIGKILL, restart": _kill_server,
        "server: SIGSTOP, SIGCONT": _suspend_server,
        "server: DEBUG SLEEP": _sleep_server,
        "server: SCRIPT FLUSH": _flush_scripts,
        "server: CLIENT KILL": _kill_clients,
        "server: CLIENT PAUSE": _pause_clients,
        "server: -READONLY": _demote,
        "server: -OOM": _fill_memory,
        "server: -NOREPLICAS": _want_replicas,
        "server: -BUSY": _keep_busy,
        "network: cut": _cut,
        "network: half-closed": _half_close,
        "network: refused": _refuse,
        "network: accepted and reset": _reject,
        "network: half-open": _freeze,
        "network: slow": _delay,
        "network: trickling": _trickle,
        "network: reply to a script lost": _swallow,
        "network: reply to XREADGROUP lost": _swallow_read,
        "network: reply to XADD lost": _swallow_write,
        "operator: a group or a type paused, resumed": _pause_group,
        "operator: rules changed": _change_rules,
        "operator: stream trimmed": _trim,
        "foreign: garbage written": _write_garbage,
        "foreign: entries claimed": _claim,
        "foreign: retry set deleted": _drop_retries,
    }
