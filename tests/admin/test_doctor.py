"""``app.admin.doctor()``: each bad thing is made, and seen; a server in order gives no finding."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import redis

from streamq import App
from streamq.admin import Admin, Diagnosis, Finding, Level, overview
from streamq.admin.doctor import records, server_checks, stream_checks
from streamq.errors import StreamNotFound
from streamq.server import ServerInfo
from tests.markdown import ROOT
from tests.markdown import read as read_page
from tests.security.roles import PASSWORD, documented
from tests.servers import RedisServer
from tests.situations import add, fail, make_idle, read, running, succeed
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

MakeServer = Callable[..., RedisServer]


async def look(url: str, stream: str | None = None) -> Diagnosis:
    async with App(url) as app:
        return await app.admin.doctor(stream)


def found(diagnosis: Diagnosis, name: str) -> Finding:
    """The worst finding of one check."""
    return next(finding for finding in diagnosis.findings if finding.name == name)


def bad(diagnosis: Diagnosis) -> dict[str, str]:
    """The warnings and problems, by name."""
    levels = (Level.PROBLEM, Level.WARNING)
    return {one.name: one.found for one in diagnosis.findings if one.level in levels}


def run(client: redis.Redis, *command: Any) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's


def replica_is_online(client: redis.Redis) -> bool:
    first = run(client, "INFO", "replication").get("slave0", {})
    return bool(first.get("state") == "online")


# -- all is well --------------------------------------------------------------


async def test_nothing_is_found_on_a_server_in_order(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes", "--maxmemory", "1gb")
    async with App(server.unix_url) as app:
        await app.produce("resize", {"file": "a.png"})
        await app.produce("resize", {"file": "b.png"}, delay=60)
    await succeed(server.unix_url, result={"done": True})
    async with App(server.unix_url) as app:
        await app.produce("resize", {"file": "c.png"})
    async with running(server.unix_url):
        diagnosis = await look(server.unix_url)
    assert diagnosis.healthy
    assert {finding.level for finding in diagnosis.findings} == {Level.OK}
    assert all(not finding.advice for finding in diagnosis.findings)
    assert set(server_checks.CHECKS) | {"rights", "records"} | set(stream_checks.NAMES) == {
        finding.name for finding in diagnosis.findings
    }


async def test_it_changes_nothing(server: RedisServer, client: redis.Redis) -> None:
    add(client, {"type": "resize", "data": "{}"})
    read(client, "web-1")
    before = run(client, "DEBUG", "DIGEST")
    await look(server.unix_url)
    assert run(client, "DEBUG", "DIGEST") == before


async def test_as_plain_data(admin: Admin, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    plain = (await admin.doctor()).to_dict()
    assert plain["healthy"] is False
    [one] = [row for row in plain["findings"] if row["stream"]]
    assert one["name"] == "streams without a group"
    assert (one["level"], one["stream"], one["group"]) == ("warning", "jobs", None)
    assert one["found"].startswith("1 job, and no group reads it")
    assert one["advice"]


async def test_the_worst_comes_first(make_server: MakeServer) -> None:
    server = make_server("--maxmemory-policy", "allkeys-lru")
    levels = [finding.level for finding in (await look(server.unix_url)).findings]
    order = [Level.PROBLEM, Level.WARNING, Level.NOTE, Level.OK]
    assert levels == sorted(levels, key=order.index)
    assert levels[0] is Level.PROBLEM


# -- the server ---------------------------------------------------------------


async def test_a_server_that_may_evict_jobs(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru")
    diagnosis = await look(server.unix_url)
    assert list(bad(diagnosis)) == ["eviction"]
    assert "CONFIG SET maxmemory-policy noeviction" in found(diagnosis, "eviction").advice


@pytest.mark.parametrize(
    ("options", "level", "said"),
    [
        ([], Level.PROBLEM, "nothing is kept on disk"),
        (["--save", "3600 1"], Level.WARNING, "snapshots only"),
        (["--appendonly", "yes", "--appendfsync", "no"], Level.WARNING, "appendfsync is no"),
        (["--appendonly", "yes"], Level.OK, "append-only file, appendfsync everysec"),
    ],
)
async def test_what_is_kept_on_disk(
    make_server: MakeServer, options: list[str], level: Level, said: str
) -> None:
    finding = found(await look(make_server(*options).unix_url), "persistence")
    assert finding.level is level
    assert said in finding.found


async def test_a_disk_that_cannot_be_written_to(make_server: MakeServer) -> None:
    server = make_server("--save", "3600 1")
    (server.directory / "dump.rdb").mkdir()  # where the snapshot should go
    with server.client() as client:
        client.set("a", "b")
        with pytest.raises(redis.ResponseError):
            client.save()
        client.bgsave()
        await eventually(lambda: not run(client, "INFO", "persistence")["rdb_bgsave_in_progress"])
    finding = found(await look(server.unix_url), "persistence")
    assert finding.level is Level.PROBLEM
    assert "rdb_last_bgsave_status" in finding.found


async def test_memory_that_is_nearly_full(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes")
    with server.client() as client:
        client.set("a", "b" * 10_000_000)
        used = int(run(client, "INFO", "memory")["used_memory"])
        for part, level in ((0.8, Level.WARNING), (0.95, Level.PROBLEM), (0.5, Level.OK)):
            client.config_set("maxmemory", int(used / part))
            finding = found(await look(server.unix_url), "memory")
            assert finding.level is level, finding


async def test_replicas_and_what_a_primary_does_without_them(make_server: MakeServer) -> None:
    primary = make_server("--appendonly", "yes")
    assert found(await look(primary.unix_url), "replication").found == "no replicas"
    replica = make_server("--replicaof", f"127.0.0.1 {primary.port}")
    with primary.client() as client:
        await eventually(lambda: replica_is_online(client))
        finding = found(await look(primary.unix_url), "replication")
        assert finding.level is Level.NOTE
        assert "1 replica keeps up; the primary takes jobs also when none does" in finding.found
        client.config_set("min-replicas-to-write", 1)
        assert found(await look(primary.unix_url), "replication").level is Level.OK
        run(client, "ACL", "SETUSER", "default", "-wait")
        finding = found(await look(primary.unix_url), "replication")
        assert finding.level is Level.WARNING
        assert "+wait" in finding.advice
    diagnosis = await look(replica.unix_url)
    assert "this is a replica" in bad(diagnosis)["replication"]


async def test_a_replica_that_does_not_keep_up(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = make_server()
    replica = make_server("--replicaof", f"127.0.0.1 {primary.port}")
    with primary.client() as client:
        await eventually(lambda: replica_is_online(client))
    monkeypatch.setattr(server_checks, "LAG", -1)
    finding = found(await look(primary.unix_url), "replication")
    assert finding.level is Level.WARNING
    assert f"127.0.0.1:{replica.port}" in finding.found


@pytest.mark.parametrize(("by", "said"), [(60, "60 s behind"), (-60, "60 s ahead of")])
async def test_clocks_that_differ(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, by: float, said: str
) -> None:
    class Time:
        @staticmethod
        def time() -> float:
            return time.time() + by

    monkeypatch.setattr(server_checks, "time", Time)
    assert said in bad(await look(server.unix_url))["clock"]


async def test_commands_that_hold_the_server_up(server: RedisServer, client: redis.Redis) -> None:
    client.slowlog_reset()
    assert "slow commands" not in bad(await look(server.unix_url))
    run(client, "DEBUG", "SLEEP", "0.15")
    told = bad(await look(server.unix_url))["slow commands"]
    client.slowlog_reset()
    assert "for up to 0.15 s: DEBUG (1)" in told


async def test_a_group_that_somebody_has_paused(server: RedisServer, client: redis.Redis) -> None:
    add(client, {"type": "resize", "data": "{}"})
    client.xgroup_create("jobs", "images", "0")
    async with App(server.unix_url) as app:
        await app.admin.pause("jobs", "images")
    finding = found(await look(server.unix_url), "paused groups")
    assert (finding.level, finding.group) == (Level.NOTE, "images")
    assert re.fullmatch(r"paused by hand since [-0-9: ]+ UTC: nothing of it runs", finding.found)
    assert finding.advice == "streamq group resume images"

    two_hours_ago = int((time.time() - 7200) * 1000)
    client.hset("{jobs}:group:images:state", "paused", two_hours_ago)
    assert found(await look(server.unix_url), "paused groups").level is Level.WARNING


# -- what the user may do -----------------------------------------------------


async def test_a_user_who_cannot_work(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes")
    with server.client() as client:
        add(client, {"a": "b"})
        client.xgroup_create("jobs", "images", "0")
        run(client, "ACL", "SETUSER", "looks", "on", ">pw", "%R~*", "+@all")
    diagnosis = await look(f"redis://looks:pw@127.0.0.1:{server.port}")
    finding = found(diagnosis, "rights")
    assert (finding.level, finding.stream) == (Level.NOTE, "jobs")
    assert finding.found == "a worker could not start: the user may look and not write"

    with server.client() as client:
        run(client, "ACL", "SETUSER", "looks", "~*", "-xclaim", "-zadd", "-zrem", "-hset", "-xdel")
    finding = found(await look(f"redis://looks:pw@127.0.0.1:{server.port}"), "rights")
    assert finding.level is Level.WARNING
    assert "a worker could not start: the user lacks xclaim jobs" in finding.found
    assert "more" in finding.found


async def test_a_user_of_another_stream(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes")
    with server.client() as client:
        run(client, "ACL", "SETUSER", "mails", "on", ">pw", "~mails", "~{mails}:*", "+@all")
        url = f"redis://mails:pw@127.0.0.1:{server.port}"
        finding = found(await look(url), "rights")
        assert (finding.level, finding.stream) == (Level.NOTE, "jobs")  # it may not be for jobs
        add(client, {"a": "b"})
        finding = found(await look(url, "jobs"), "rights")
        assert (finding.level, finding.stream) == (Level.WARNING, "jobs")
        assert "may not access all its keys (jobs and {jobs}:*)" in finding.found
        client.xgroup_create("mails", "audit", mkstream=True)
        assert found(await look(url), "rights").level is Level.OK


async def test_the_documented_worker_may_ask_about_its_stream(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes")
    with server.client() as client:
        documented()["worker"].create(client)
        add(client, {"a": "b"})
        client.xgroup_create("jobs", "images", "0")
    url = f"redis://{documented()['worker'].user}:{PASSWORD}@127.0.0.1:{server.port}"
    diagnosis = await look(url, "jobs")
    assert list(bad(diagnosis)) == ["groups that nobody reads"]
    assert found(diagnosis, "rights").level is Level.OK


async def test_the_documented_inspector_sees_everything_with_three_more(
    make_server: MakeServer,
) -> None:
    server = make_server("--appendonly", "yes")
    inspector = documented()["inspector"]
    with server.client() as client:
        inspector.create(client)
        add(client, {"type": "resize", "data": "{}"})
        await fail(server.unix_url, retries=0)
        more = re.search(r"with `(\+[^`]+)`", read_page(ROOT / "docs/doctor.md"))
        assert more
        run(client, "ACL", "SETUSER", inspector.user, *more[1].split())
    diagnosis = await look(f"redis://{inspector.user}:{PASSWORD}@127.0.0.1:{server.port}")
    assert [note.name for note in diagnosis.of(Level.NOTE)] == ["rights"]
    assert set(bad(diagnosis)) == {"dead letters"}


async def test_what_the_server_refuses_is_not_checked(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes")
    with server.client() as client:
        add(client, {"a": "b"})
        run(
            client, "ACL", "SETUSER", "few", "on", ">pw", "~*", "+@all", "-config", "-slowlog",
            "-memory", "-scan",
        )  # fmt: skip
    diagnosis = await look(f"redis://few:pw@127.0.0.1:{server.port}")
    notes = {one.name: one.found for one in diagnosis.of(Level.NOTE)}
    assert notes["persistence"] == "not checked: the server refuses CONFIG GET appendfsync"
    assert notes["slow commands"] == "not checked: the server refuses SLOWLOG GET"
    assert notes["records"] == "not checked: the server refuses SCAN"
    assert notes["streams"].startswith("not checked: ")
    assert not set(stream_checks.NAMES) & {one.name for one in diagnosis.findings}
    assert diagnosis.healthy


async def test_commands_that_a_service_has_taken_away(make_server: MakeServer) -> None:
    server = make_server("--rename-command", "CONFIG", "", "--rename-command", "SLOWLOG", "")
    diagnosis = await look(server.unix_url)
    assert {"persistence", "slow commands"} <= {one.name for one in diagnosis.of(Level.NOTE)}


async def test_a_stream_that_the_user_may_not_look_at(make_server: MakeServer) -> None:
    server = make_server("--appendonly", "yes")
    with server.client() as client:
        add(client, {"a": "b"})
        run(client, "ACL", "SETUSER", "other", "on", ">pw", "~mails", "~{mails}*", "+@all")
    url = f"redis://other:pw@127.0.0.1:{server.port}"
    assert "denies access to jobs" in found(await look(url), "streams").found
    assert "not checked" in found(await look(url, "jobs"), "streams").found


# -- streams and groups -------------------------------------------------------


async def test_a_stream_without_a_group(admin: Admin, client: redis.Redis) -> None:
    add(client, {"a": "b"})
    assert "streams without a group" in bad(await admin.doctor())
    client.xadd("mails", {"a": "b"})
    client.xgroup_create("jobs", "images", "$")
    assert found(await admin.doctor(), "streams without a group").stream == "mails"
    assert "streams without a group" not in bad(await admin.doctor("jobs"))
    with pytest.raises(StreamNotFound):
        await admin.doctor("nowhere")


async def test_a_group_that_nobody_reads(
    admin: Admin, server: RedisServer, client: redis.Redis
) -> None:
    add(client, {"a": "b"})
    client.xgroup_create("jobs", "images", "0")
    finding = found(await admin.doctor(), "groups that nobody reads")
    assert (finding.level, finding.stream, finding.group) == (Level.WARNING, "jobs", "images")
    assert finding.found.startswith("1 job queued and no worker")
    async with running(server.unix_url):
        assert "groups that nobody reads" not in bad(await admin.doctor())


async def test_jobs_that_nobody_goes_on_with(server: RedisServer, client: redis.Redis) -> None:
    add(client, {"type": "resize", "data": "{}"})
    await fail(server.unix_url, retries=3)
    told = bad(await look(server.unix_url))["groups that nobody reads"]
    assert told == "1 job begun or waiting for a retry, and no worker"


async def test_many_pending_jobs(
    admin: Admin, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_checks, "MANY_PENDING", 3)
    for _ in range(3):
        add(client, {"a": "b"})
    read(client, "web-1", count=2)
    assert "pending jobs" not in bad(await admin.doctor())
    read(client, "web-1")
    assert bad(await admin.doctor())["pending jobs"].startswith("3 jobs delivered and not settled")


async def test_consumers_long_gone(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, {"a": "b"})
    [job_id] = read(client, "web-1\x1b")
    make_idle(client, job_id, 10)
    assert "consumers" not in bad(await look(server.unix_url))
    monkeypatch.setattr(stream_checks, "LONG_GONE", 0.1)
    await anyio.sleep(0.3)  # being silent is what is tested
    async with App(server.unix_url) as app:
        diagnosis = await Admin(app.admin._server, lease=0.2).doctor()
    assert bad(diagnosis)["consumers"].endswith("with 1 job: web-1\\x1b")


async def test_before_redis_7_2_only_consumers_with_jobs_count(
    app: App, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, {"a": "b"})
    read(client, "web-1")
    client.xgroup_createconsumer("jobs", "images", "web-2")
    monkeypatch.setattr(stream_checks, "LONG_GONE", 0.0)
    admin = Admin(app.admin._server, lease=0)
    for version, named in (("7.2.4", "web-1, web-2"), ("7.0.15", "web-1")):
        monkeypatch.setattr("streamq.server.server.read_info", pretend(version))
        diagnosis = await admin.doctor()
        assert bad(diagnosis)["consumers"].endswith(f": {named}")
        level = Level.OK if version == "7.2.4" else Level.NOTE
        assert found(diagnosis, "version").level is level


def pretend(version: str) -> Callable[..., Awaitable[ServerInfo]]:
    """A server of a version that is not at hand."""

    async def read_info(*_: object) -> ServerInfo:
        return ServerInfo("redis", version, 0, "noeviction", 0)

    return read_info


async def test_dead_letters_that_grow(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, {"type": "resize", "data": "{}"})
    await fail(server.unix_url, retries=0)
    told = bad(await look(server.unix_url))["dead letters"]
    assert told == "1 dead letter, 1 of them new in the last day: retries exhausted (1)"
    monkeypatch.setattr(stream_checks, "RECENT", -60.0)
    finding = found(await look(server.unix_url), "dead letters")
    assert (finding.level, finding.found) == (Level.NOTE, "1 dead letter, none of the last day")
    monkeypatch.setattr(stream_checks, "MANY_DEAD", 1)
    assert "dead letters" in bad(await look(server.unix_url))
    client.xgroup_destroy("jobs", "images")
    client.xadd("jobs", {"a": "b"})
    finding = found(await look(server.unix_url), "dead letters")
    assert finding.found == "1 dead letter of a group that was deleted"


async def test_jobs_that_nobody_can_handle(server: RedisServer, client: redis.Redis) -> None:
    add(client, {"type": "resize", "data": "{}"})
    add(client, {"type": "known", "data": "{"})
    async with App(server.unix_url) as app:

        @app.group("images").handler("known")
        async def known(file: str) -> None:
            raise AssertionError("never called")

        await app.worker(burst=True).run()
    told = bad(await look(server.unix_url))["jobs that nobody can handle"]
    assert told.startswith("2 jobs of the last day: ")
    assert "no handler (type resize)" in told
    assert "invalid entry (type known)" in told


async def test_records_that_fill_the_memory(
    server: RedisServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        add(client, {"type": "resize", "data": "{}"})
    await succeed(server.unix_url, result="x" * 5000)
    assert found(await look(server.unix_url), "records").found.startswith("3 records")
    monkeypatch.setattr(records, "LEAST", 10_000)
    monkeypatch.setattr(records, "PART", 0.0)
    finding = found(await look(server.unix_url), "records")
    assert (finding.level, finding.group) == (Level.WARNING, "images")
    assert finding.found.startswith("3 records of {jobs} take about ")
    client.xadd("mails", {"a": "b"})
    assert "records" not in bad(await look(server.unix_url, "mails"))


async def test_a_key_of_another_program(admin: Admin, client: redis.Redis) -> None:
    client.xgroup_create("jobs", "images", "0", mkstream=True)
    client.set("{jobs}:group:images:dlq", "text")
    for diagnosis in (await admin.doctor(), await admin.doctor("jobs")):
        assert "holds something else than it should" in bad(diagnosis)["streams"]


async def test_too_many_keys_to_look_at_them_all(
    admin: Admin, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        client.set(f"key-{number}", "text")
    monkeypatch.setattr(overview, "SCAN_COUNT", 1)
    monkeypatch.setattr(overview, "MOST_STEPS", 2)
    finding = found(await admin.doctor(), "streams")
    assert (finding.level, finding.advice) == (Level.NOTE, "give one with --stream")
