"""Batches of all kinds of verdicts, as the settler packs them and the script takes them apart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import pytest
import redis

from streamq.flow.rules import NO_RULES
from streamq.handlers.table import Handlers
from streamq.job import Emitted, Job
from streamq.server import Clock, Link, Server
from streamq.signals import Refused, Signals
from streamq.verdict import Outcome, Verdict
from streamq.wire.keys import PARKED, group_keys
from streamq.worker.budget import Budget
from streamq.worker.control import Control
from streamq.worker.fetch import Fetcher
from streamq.worker.inflight import InFlight
from streamq.worker.progress import ProgressNotes
from streamq.worker.reconnect import Reconnect
from streamq.worker.settle import Settler
from streamq.worker.sources import Context
from tests.lua.support import ids_of, raw_entries
from tests.servers import RedisServer
from tests.worker.support import Watch

pytestmark = pytest.mark.anyio

KEYS = group_keys("jobs", "g")

OUTCOMES = [Outcome.SUCCEEDED] * 8 + [
    Outcome.RETRY, Outcome.DEAD, Outcome.EXPIRED, Outcome.RELEASED, Outcome.SKIPPED,
]  # fmt: skip


@dataclass
class Case:
    """A verdict, and what is to become of its entry besides."""

    verdict: Verdict
    stolen: bool = False
    bad_target: bool = False


def make_settler(
    links: Sequence[Link], in_flight: InFlight, result_ttl: float, watch: Watch,
    progress: ProgressNotes | None = None,
) -> Settler:  # fmt: skip
    signals = Signals([watch])
    progress = progress or ProgressNotes(KEYS, "me", link=links[0], in_flight=in_flight)
    reconnect, control = Reconnect(signals), Control(NO_RULES)
    context = Context(
        KEYS,
        "me",
        links[0],
        in_flight,
        Handlers([]),
        30.0,
        control,
        signals,
        alive=lambda: True,
        cancel=lambda ids: None,
        fatal=lambda error: None,
    )
    fetcher = Fetcher(
        context,
        budget=Budget(),
        reconnect=reconnect,
        wake=lambda: None,
        release=lambda: None,
        no_more=lambda: None,
    )
    return Settler(
        KEYS, "me", links=links, in_flight=in_flight, result_ttl=result_ttl, history=20,
        clock=Clock(), reconnect=reconnect, signals=signals, control=control, fetcher=fetcher,
        progress=progress,
    )  # fmt: skip


def make_case(client: redis.Redis, rng: random.Random, id: str, records: bool) -> Case:
    attempt = 1
    if rng.random() < 0.2:
        attempt = rng.choice([2, 3])
        client.xclaim("jobs", "g", "me", 0, [id], retrycount=attempt, justid=True)
        client.hset(KEYS.job(id), mapping={"error": "old"})
    job = Job(id, "jobs", "g", "me", attempt, (rng.choice(["a", "b", ""]), b"{}", None, None))
    case = Case(Verdict(job, rng.choice(OUTCOMES), 1.0, 2.0))
    verdict = case.verdict
    if verdict.outcome in (Outcome.RETRY, Outcome.EXPIRED):
        verdict.error = "oops"
    if verdict.outcome is Outcome.SUCCEEDED:
        if records and rng.random() < 0.2:
            verdict.result = b'"done"'
        if rng.random() < 0.2:
            job.emitted = [Emitted("out", ["type", "e", "data", b"1"])] * rng.choice([1, 2])
            if rng.random() < 0.3:
                job.emitted.append(Emitted("no stream", ["type", "e", "data", b"1"]))
                case.bad_target = True
    if rng.random() < 0.1:
        client.xclaim("jobs", "g", "thief", 0, [id])
        case.stolen = True
    return case


def check(client: redis.Redis, case: Case, records: bool) -> None:
    verdict, job = case.verdict, case.verdict.job
    pending = client.xpending_range("jobs", "g", job.id, job.id, 1)
    holder = pending[0]["consumer"] if pending else None
    dead = {fields["id"]: fields for _, fields in map(_named, raw_entries(client, KEYS.dlq))}
    record = client.hgetall(KEYS.job(job.id))
    assert not any("progress" in name for name in record)
    if case.stolen:
        assert (holder, job.id in dead) == ("thief", False)
        assert record == ({"error": "old"} if job.attempt > 1 else {})
    elif case.bad_target:
        assert (holder, dead[job.id]["reason"]) == (None, "emit failed")
        assert [*record] == [f"attempt:{job.attempt}"] * records
    elif verdict.outcome is Outcome.DEAD:
        assert (holder, job.id in dead) == (None, True)
        assert [*record] == [f"attempt:{job.attempt}"] * records
    elif verdict.outcome in (Outcome.RETRY, Outcome.RELEASED):
        kept = job.attempt - (verdict.outcome is Outcome.RELEASED)
        assert (holder, pending[0]["times_delivered"]) == (PARKED, kept)
        assert verdict.outcome is Outcome.RELEASED or record["error"] == "oops"
    else:
        assert (holder, job.id in dead, job.id in ids_of(client, "jobs")) == (None, False, False)
        if verdict.outcome is Outcome.SKIPPED or not records:
            assert record == {} or verdict.outcome is Outcome.SKIPPED
        else:
            assert record["state"] == verdict.outcome.value
            assert (record["type"], record["attempts"]) == (job.type, str(job.attempt))
            assert record.get("result", "") == verdict.result.decode()
            assert record.get("note", "") == verdict.error
            assert "error" not in record
            assert 0 < client.pttl(KEYS.job(job.id)) <= 60_000


def _named(entry: tuple[str, list[tuple[str, str]]]) -> tuple[str, dict[str, str]]:
    id, fields = entry
    return id, dict(fields)


@pytest.mark.parametrize("records", [True, False], ids=["with records", "without"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 2, 8, 9, 120])
async def test_each_gets_what_it_should(
    server: RedisServer, client: redis.Redis, size: int, seed: int, records: bool
) -> None:
    rng = random.Random(f"{size} {seed}")
    client.xgroup_create("jobs", "g", id="0", mkstream=True)
    client.set("no stream", "x")
    ids = [str(client.xadd("jobs", {"type": "t", "data": "{}"})) for _ in range(size)]
    client.xreadgroup("g", "me", {"jobs": ">"}, count=size)
    cases = [make_case(client, rng, id, records) for id in ids]

    watch, in_flight = Watch(), InFlight(16, 1000)
    links = [Server(server.unix_url).link("me") for _ in range(2)]
    progress = ProgressNotes(KEYS, "me", link=links[0], in_flight=in_flight)
    settler = make_settler(links, in_flight, 60.0 if records else 0.0, watch, progress)
    for case in cases:
        in_flight.hold(case.verdict.job.id, case.verdict.job.attempt)
        if rng.random() < 0.3:
            progress.note(case.verdict.job.id, case.verdict.job.attempt, 0.5, "half")
    await progress._send_some()
    for case in cases:
        settler.put(case.verdict)
    async with anyio.create_task_group() as background:
        background.start_soon(settler.run)
        async with asyncio.timeout(10):
            await in_flight.empty()
        background.cancel_scope.cancel()
    for link in links:
        await link.close()

    for case in cases:
        check(client, case, records)
    assert len(watch.of(Refused)) == sum(case.stolen for case in cases)
    written = [
        event for case in cases if not case.stolen and not case.bad_target
        for event in case.verdict.job.emitted or ()
    ]  # fmt: skip
    assert client.xlen("out") == len(written)


async def test_a_verdict_that_comes_while_it_is_cancelled_is_no_fault(server: RedisServer) -> None:
    job = Job("1-1", "jobs", "g", "me", 1, ("t", b"{}", None, None))
    links = [Server(server.unix_url).link("me") for _ in range(2)]
    settler = make_settler(links, InFlight(16, 1000), 60.0, Watch())
    async with anyio.create_task_group() as background:
        background.start_soon(settler.run)
        await anyio.wait_all_tasks_blocked()
        background.cancel_scope.cancel()
        for _ in range(3):
            settler.put(Verdict(job, Outcome.SUCCEEDED, 1.0, 2.0))
