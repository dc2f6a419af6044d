"""The roles of docs/security.md, and all that each of them has to do.

A role's scenario ends without an error when its user may do all of it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import pytest
import redis

from streamq import AlreadyEnqueued, App, Dead, Job, Retry, Settings
from streamq.cli.exits import ExitCode
from streamq.errors import BacklogFull, NotReplicated, ResultTimeout
from streamq.observe.prometheus import Metrics
from streamq.signals import Reclaimed, ServerLost, Settled, Signal
from streamq.ui.web import dashboard
from streamq.verdict import Outcome
from tests.cli.support import Result
from tests.lua.support import command
from tests.markdown import ROOT, blocks, read
from tests.servers import RedisServer
from tests.waiting import eventually

PASSWORD = "pw"
PATIENCE = 20.0

Cli = Callable[..., Result]


class Role(NamedTuple):
    """A user as docs/security.md has it.

    Attributes:
        tokens: what the ACL line grants: patterns of keys, and commands.
    """

    user: str
    tokens: tuple[str, ...]

    @property
    def commands(self) -> list[str]:
        """The commands that it may run."""
        return [token[1:] for token in self.tokens if token.startswith("+")]

    def create(self, client: redis.Redis, without: str = "") -> None:
        """Make the user on a server, with one permission less if so wanted."""
        granted = [token for token in self.tokens if token != without]
        command(client, "ACL", "SETUSER", self.user, "reset", "on", f">{PASSWORD}", *granted)

    def url(self, server: RedisServer) -> str:
        """The server's URL, for this user."""
        return f"unix://{self.user}:{PASSWORD}@{server.socket}"


def documented() -> dict[str, Role]:
    """The roles, by their names without ``streamq-``."""
    text = "".join(block.text for block in blocks(read(ROOT / "docs/security.md"), "text"))
    found = {}
    for match in re.finditer(r"^ACL SETUSER (streamq-(\w+)) reset on >CHANGE-ME (.+)$", text, re.M):
        found[match[2]] = Role(match[1], tuple(match[3].split()))
    return found


class Stage(NamedTuple):
    """Where a scenario is played.

    Attributes:
        url: of the role's user.
        admin: may do anything.
        admin_url: the same.
        cli: runs a command as the role's user.
    """

    url: str
    admin: redis.Redis
    admin_url: str
    cli: Cli

    def run(self, *args: str) -> str:
        """Run a command that has to succeed; what it printed."""
        result = self.cli(*args)
        assert result.code == ExitCode.OK, result
        return result.out


# -- the producer -------------------------------------------------------------


def produce(stage: Stage) -> None:
    """Write jobs in every way there is, and take some back."""

    async def main() -> None:
        async with App(stage.url) as app:
            await app.produce("t", {"n": 1})
            await app.produce("t", {"n": 2}, expires=60)
            ids = [job.id for job in await app.produce_many([("t", {"n": n}) for n in range(3)])]
            assert len(ids) == 3
            once = (await app.produce("t", unique="k")).id
            assert (await app.produce("t", unique="k")).id == once
            later = (await app.produce("t", delay=3600, unique="later")).id
            assert await app.admin.cancel("jobs", later)
            assert not await app.admin.cancel("jobs", later)
            soon = (await app.produce("t", at=datetime.now(UTC))).id
            assert await app.admin.cancel("jobs", soon)
            for n in (1, 2):
                await app.produce("t", {"n": n}, unique="d", delay=3600, on_conflict="replace")
            with pytest.raises(AlreadyEnqueued):
                await app.produce("t", unique="d", on_conflict="error")

        async with App(stage.url, offload=10) as app:
            large = {"text": "x" * 20}
            await app.produce("t", large)
            await app.produce_many([("t", large)])
            await app.produce("t", large, unique="large")
            later = (await app.produce("t", large, delay=3600)).id
            assert await app.admin.cancel("jobs", later)
        async with App(stage.url, max_backlog=1) as app:
            with pytest.raises(BacklogFull):
                await app.produce("t")

        async with App(stage.url, replicas=1, replica_timeout=0.001) as app:
            with pytest.raises(NotReplicated, match="but 0 of 1 replicas"):
                await app.produce("t")

    asyncio.run(main())
    stage.run("produce", "a=1")
    stage.run("produce", "a=1", "--count", "3")
    name = stage.run("produce", "a=1", "--delay", "1h", "--key", "cli", "--quiet").strip()
    stage.run("cancel", name)


# -- the caller ---------------------------------------------------------------


def call(stage: Stage) -> None:
    """Write jobs, and wait for their results: those that are there, and those that come."""
    produce(stage)
    asyncio.run(_call(stage))


async def _call(stage: Stage) -> None:
    stage.admin.delete("jobs")
    async with App(stage.url) as app, App(stage.admin_url) as works:

        @works.group("images").handler("*")
        async def handle(job: Job) -> str:
            if job.type == "bad":
                raise Dead("no good")
            return "done"

        stage.admin.xgroup_create("jobs", "images", "0", mkstream=True)
        jobs = [await app.produce(type) for type in ("ok", "bad", "ok")]
        later = await app.produce("ok", delay=3600)
        await asyncio.to_thread(stage.run, "produce", "a=1", "--quiet")
        waiting = [asyncio.ensure_future(job.wait(timeout=PATIENCE)) for job in jobs[:2]]
        try:
            async with asyncio.timeout(PATIENCE):
                while not (await asyncio.wait(waiting, timeout=0.01))[0]:
                    if stage.admin.pubsub_shardnumsub("{jobs}:group:images:results")[0][1]:
                        break
                await works.worker(burst=True).run()
            assert await asyncio.gather(*waiting) == ["succeeded", "dead"]
        finally:
            for one in waiting:
                one.cancel()
        assert await jobs[2].result(timeout=PATIENCE) == "done"
        stage.admin.set(f"{{jobs}}:scheduled:id:{later.id}", jobs[0].id)
        assert await later.result(timeout=PATIENCE) == "done"
        with pytest.raises(ResultTimeout):
            await (await app.produce("ok")).result(timeout=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streamq.server.listener.SILENCE", 0.01)
            with pytest.raises(ResultTimeout):
                await (await app.produce("ok")).result(timeout=0.1)


# -- the worker ---------------------------------------------------------------


def work(stage: Stage) -> None:
    """Let jobs end in every way there is, beside others' remains, while somebody waits."""
    asyncio.run(_prepare_work(stage))
    with somebody_waiting(stage.admin):
        asyncio.run(_work(stage))


@contextmanager
def somebody_waiting(admin: redis.Redis) -> Iterator[None]:
    """Somebody waits for results of the group images."""
    waiting: Any = admin.pubsub()  # type: ignore[no-untyped-call]  # redis-py's
    waiting.ssubscribe("{jobs}:group:images:results")
    waiting.get_sharded_message(timeout=PATIENCE)
    try:
        yield
    finally:
        waiting.close()


async def _prepare_work(stage: Stage) -> None:
    """For the group audit what a lost worker has left, and jobs for both groups."""
    admin = stage.admin
    admin.xgroup_create("jobs", "audit", "0", mkstream=True)
    async with App(stage.admin_url) as app:
        lost = [job.id for job in await app.produce_many([("ok", {})] * 3)]
        command(admin, "XREADGROUP", "GROUP", "audit", "lost", "STREAMS", "jobs", ">")
        command(admin, "XCLAIM", "jobs", "audit", "lost", 0, lost[0], "IDLE", 90_000, "JUSTID")
        command(
            admin, "XCLAIM", "jobs", "audit", "lost", 0, lost[1],
            "IDLE", 90_000, "RETRYCOUNT", 9, "JUSTID",
        )  # fmt: skip
        command(admin, "XCLAIM", "jobs", "audit", "~retry", 0, lost[2], "JUSTID")
        await app.produce_many([(type, {}) for type in ("ok", "flaky", "bad", "emits", "slow")])
        await app.produce("ok", expires=0)
        await app.produce("ok", delay=0)
        await app.produce("ok", delay=0, unique="k")
        async with App(stage.admin_url, offload=10) as offloading:
            await offloading.produce("ok", {"text": "x" * 20})
            await offloading.produce("bad", {"text": "x" * 20})
        command(admin, "XADD", "jobs", "*", "type", "ok", "data", "{}", "for", "images")


async def _work(stage: Stage) -> None:
    seen: list[Signal] = []
    async with App(stage.url, offload=10) as app:

        @app.handler("*")
        async def handle(job: Job) -> str:
            if job.type == "flaky" and job.attempt == 1:
                raise Retry("once more", delay=0)
            if job.type == "bad":
                raise Dead("no good")
            if job.type == "emits":
                job.emit("ok", {"text": "x" * 20})
            if job.type == "slow":
                await asyncio.sleep(settings.lease)  # its heartbeat needs a permission, too
            return "done"

        app.every(3600)(tick)
        settings = Settings(lease=0.3, grace=5)
        subscriptions = app.subscriptions(["images", "audit"])
        metrics = Metrics(app.server, subscriptions)
        try:
            worker = app.worker(
                groups=["images", "audit"], settings=settings, burst=True, observers=[seen.append]
            )
            await _until_denied(worker, seen)
            assert metrics.registry.get_sample_value("streamq_server_up") == 1
        finally:
            metrics.close()
        outcomes = {
            v.outcome for event in seen if isinstance(event, Settled) for v in event.verdicts
        }
        assert outcomes == set(Outcome) - {Outcome.RELEASED, Outcome.CANCELLED}
        assert any(isinstance(event, Reclaimed) for event in seen)
        assert stage.admin.xlen("jobs") == 0
        assert len([*stage.admin.scan_iter("{jobs}:data:*")]) == 2  # what two dead letters have

    async with App(stage.url, retain=0.001) as app:
        app.group("images").handler("ok")(lambda: None)
        async with App(stage.admin_url) as other:
            await other.produce("ok")
        seen.clear()
        await _until_denied(app.worker(burst=True, observers=[seen.append]), seen)

    async with App(stage.url) as app:
        begun = asyncio.Event()

        @app.group("images").handler("hangs")
        async def hang(job: Job) -> None:
            begun.set()
            await asyncio.get_running_loop().create_future()

        seen.clear()
        worker = app.worker(settings=Settings(grace=0), observers=[seen.append])
        async with App(stage.admin_url) as other, asyncio.TaskGroup() as tasks:
            await other.produce("hangs")
            tasks.create_task(_until_denied(worker, seen))
            await begun.wait()
            worker.stop()
        [settled] = (event for event in seen if isinstance(event, Settled))
        assert [verdict.outcome for verdict in settled.verdicts] == [Outcome.RELEASED]


async def tick() -> None:
    """Of a periodic job, which a worker writes for itself."""


async def _until_denied(worker: Any, seen: Sequence[Signal]) -> None:
    """Run a worker to its end, but raise what it would wait for to pass."""
    running = asyncio.ensure_future(worker.run())
    async with asyncio.timeout(PATIENCE):
        while not running.done():
            for event in seen:
                if isinstance(event, ServerLost):
                    running.cancel()
                    await asyncio.wait([running])
                    raise event.error
            await asyncio.wait([running], timeout=0.01)
        await running


# -- the inspector ------------------------------------------------------------


class Jobs(NamedTuple):
    """Jobs in every state that there is."""

    queued: str
    running: str
    retrying: str
    dead: str
    succeeded: str
    scheduled: str
    was_scheduled: str


async def prepare(url: str, admin: redis.Redis) -> Jobs:
    """Jobs in every state, of the group images; others of the same kind are left beside."""
    async with App(url) as app:

        @app.group("images").handler("*")
        async def handle(job: Job) -> str:
            if job.type == "retrying":
                raise Retry("later", delay=3600)
            if job.type == "dead":
                raise Dead("no good")
            return "done"

        types = ("retrying", "retrying", "dead", "dead", "dead", "succeeded")
        retrying, _, dead, _, _, succeeded = [
            job.id for job in await app.produce_many([(type, {}) for type in types])
        ]
        was_scheduled = (await app.produce("succeeded", delay=0)).id
        await app.worker(max_jobs=len(types) + 1).run()
        running = (await app.produce("running")).id
        await app.produce("running")
        command(admin, "XREADGROUP", "GROUP", "images", "lost", "STREAMS", "jobs", ">")
        queued = (await app.produce("queued")).id
        scheduled = (await app.produce("scheduled", delay=3600, unique="k")).id
        return Jobs(queued, running, retrying, dead, succeeded, scheduled, was_scheduled)


async def hold(url: str, admin: redis.Redis) -> None:
    """Two jobs of a key in another group: the second is held until the first has its retry."""
    admin.xgroup_create("jobs", "ordered", "$")
    async with App(url) as app:

        @app.group("ordered", order=True).handler("*")
        async def handle() -> None:
            raise Retry("later", delay=3600)

        await app.produce_many([("ordered", {})] * 2, key="k")
        worker = app.worker()
        running = asyncio.create_task(worker.run())
        await eventually(lambda: admin.xpending("jobs", "ordered")["pending"] == 2)
        await eventually(lambda: admin.zcard("{jobs}:group:ordered:retry"))
        worker.stop()
        await running


def inspect(stage: Stage) -> None:
    """Ask every question that the command line can."""
    jobs = asyncio.run(prepare(stage.admin_url, stage.admin))
    asyncio.run(hold(stage.admin_url, stage.admin))
    _look(stage, jobs)
    _look(stage, jobs, "--json")


def _look(stage: Stage, jobs: Jobs, *json: str) -> None:
    assert "images" in stage.run("info", *json)
    assert "images" in stage.run("group", "list", *json)
    assert stage.run("cron", "list", *json) or json
    assert "retain" in stage.run("stream", "show", *json)
    assert jobs.retrying in stage.run("pending", *json)
    assert jobs.running in stage.run("pending", "--state", "running", "--group", "images", *json)
    assert jobs.dead in stage.run("dlq", "list", *json)
    assert jobs.dead in stage.run("dlq", "list", "--newest", "--older-than", "1ms", *json)
    assert "no good" in stage.run("dlq", "show", jobs.dead, *json)
    for state in ("queued", "running", "retrying", "dead", "succeeded"):
        assert state in stage.run("status", getattr(jobs, state), *json)
    assert "images" in stage.run("top", "--once", "--interval", "100ms", *json)
    asyncio.run(_drill_down(stage.url))
    assert "scheduled" in stage.run("status", jobs.scheduled, *json)
    assert "succeeded" in stage.run("status", jobs.was_scheduled, *json)
    assert jobs.scheduled in stage.run("scheduled", "list", *json)
    assert jobs.scheduled in stage.run("scheduled", "show", jobs.scheduled, *json)
    assert asyncio.run(_scheduled(stage.url)) == [jobs.scheduled]
    asyncio.run(_browse(stage.url, jobs))
    assert asyncio.run(_held_for(stage.url)) == {"key": 1, "rate": 0, "room": 0, "paused": 0}
    assert "held" in stage.run("pending", "--group", "ordered", *json)
    asyncio.run(_follow(stage))


async def _follow(stage: Stage) -> None:
    """See a job that is written, and what becomes of one; be asked for a word in between."""
    async with App(stage.url) as app, asyncio.timeout(PATIENCE):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streamq.server.listener.SILENCE", 0.01)
            async with aclosing(app.admin.follow("jobs", "images")) as events:
                assert (await anext(events)).state == "following"
                await asyncio.sleep(0.05)  # longer than the silence
                stage.admin.xadd("jobs", {"type": "followed", "data": "{}"})
                assert (await anext(events)).type == "followed"
                row = "\x1f".join(["dead", "1-1", "1", "c", "t", "", "", "gave up", "no good"])
                stage.admin.spublish("{jobs}:group:images:tail", f"1\x1e{row}")
                assert (await anext(events)).reason == "gave up"


async def _scheduled(url: str) -> list[str]:
    async with App(url) as app:
        return [job.name async for job in app.admin.scheduled("jobs")]


async def _drill_down(url: str) -> None:
    """What the views of ``streamq top`` ask for."""
    async with App(url) as app:
        letters = app.admin.dead_letters("jobs", "images")
        assert await app.admin.consumers("jobs", "images")
        assert (await app.admin.pending_page("jobs", "images")).items
        assert await letters.count()
        assert (await letters.page()).items
        assert (await letters.causes()).found


async def _browse(url: str, jobs: Jobs) -> None:
    """Look at every page of the dashboard."""
    async with App(url) as app:
        transport = httpx.ASGITransport(dashboard(app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
            for page, seen in (
                ("", "images"), ("pending", "images"), ("dead", "images"), ("cron", "jobs"),
                ("consumers", "images"), ("scheduled", jobs.scheduled), ("limits", "ordered"),
                ("group?stream=jobs&group=images", "images"),
                ("pending?stream=jobs&group=images", jobs.retrying),
                ("dead?stream=jobs&group=images", jobs.dead),
                ("limits?stream=jobs&group=images", "Held jobs"),
                (f"job?stream=jobs&id={jobs.dead}", "no good"),
            ):  # fmt: skip
                answer = await browser.get(f"/{page}")
                assert answer.status_code == 200, answer.text
                assert seen in answer.text, page


async def _held_for(url: str) -> dict[str, int]:
    async with App(url) as app:
        picture = await app.admin.snapshot()
    [held] = [group.backlog.held_for for group in picture.groups if group.name == "ordered"]
    return {str(reason): count for reason, count in held.items()}


# -- the operator -------------------------------------------------------------


def operate(stage: Stage) -> None:
    """Look, and treat what was found, with every command for that."""
    jobs = asyncio.run(prepare(stage.admin_url, stage.admin))
    large = asyncio.run(_prepare_offloaded(stage))
    asyncio.run(hold(stage.admin_url, stage.admin))
    _look(stage, jobs)
    stage.run("group", "delete", "ordered", "--force", "--yes")
    stage.run("scheduled", "reschedule", jobs.scheduled, "--delay", "2h")
    stage.run("cancel", jobs.scheduled)
    stage.run("cancel", jobs.queued)
    stage.run("group", "pause", "images")
    stage.run("group", "resume", "images")
    stage.run("group", "set", "images", "--max-in-flight", "5")
    stage.run("pending", "retry", jobs.retrying)
    with somebody_waiting(stage.admin):
        dead = ("pending", "dead-letter", jobs.running, large, "--group", "images")
        stage.run(*dead, "--reason", "enough")
    stage.run("pending", "release", "--consumer", "lost", "--force")
    stage.run("dlq", "redrive", jobs.dead, "--group", "images")
    stage.run("dlq", "redrive", "--type", "running", "--group", "images")
    time.sleep(0.002)  # so that all are older than that
    stage.run("dlq", "purge", "--older-than", "1ms", "--group", "images", "--yes")
    stage.run("cron", "create", "sweep", "--every", "1h")
    for cure in ("pause", "resume", "run-now"):
        stage.run("cron", cure, "sweep")
    stage.run("cron", "delete", "sweep", "--yes")
    stage.run("stream", "set", "--retain", "1d", "--abandon-after", "3d")
    stage.run("group", "create", "audit")
    stage.run("group", "create", "later", "--from", jobs.running)
    stage.run("group", "rewind", "images", "--to", jobs.running, "--force", "--yes")
    stage.run("pending", "dead-letter", jobs.retrying, "--group", "images")
    stage.run("replay", jobs.retrying, "--group", "images")
    stage.run("stream", "set", "--retain", "off")
    stage.run("group", "delete", "audit", "--yes")
    stage.run("group", "delete", "images", "--dead-letters", "--force", "--yes")
    assert not [*stage.admin.scan_iter("{jobs}:data:*")]


async def _prepare_offloaded(stage: Stage) -> str:
    """A job that is running, and has its data outside the stream."""
    async with App(stage.admin_url, offload=10) as app:
        job = await app.produce("large", {"text": "x" * 20})
        command(stage.admin, "XREADGROUP", "GROUP", "images", "lost", "STREAMS", "jobs", ">")
        return job.id


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "producer": produce,
    "caller": call,
    "worker": work,
    "inspector": inspect,
    "operator": operate,
}
