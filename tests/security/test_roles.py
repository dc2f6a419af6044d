"""Users with the permissions of docs/security.md: enough for their roles, and no more."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from streamq import App
from streamq.errors import AuthenticationFailed, StreamqError
from streamq.signals import ServerBack, ServerLost
from tests.cli.support import Result
from tests.lua.support import command
from tests.markdown import ROOT, read
from tests.security.roles import PASSWORD, SCENARIOS, Role, Stage, documented, prepare
from tests.servers import RedisServer
from tests.worker.support import QUIET, Watch, running

ROLES = documented()
TOKENS = [(name, token) for name, role in ROLES.items() for token in role.tokens]


def test_the_page_has_every_role() -> None:
    assert list(ROLES) == list(SCENARIOS)


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    """May do anything; what roles there were is gone afterwards."""
    with server.client() as client:
        yield client
        for role in ROLES.values():
            client.acl_deluser(role.user)


@contextmanager
def stage_for(
    role: Role, server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> Iterator[Stage]:
    """Where the role's user works, on a server that knows no scripts yet."""
    admin.script_flush()
    admin.acl_log_reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMQ_URL", role.url(server))
        patch.setattr("streamq.worker.worker.BURST_POLL", 0.01)
        yield Stage(role.url(server), admin, server.unix_url, streamq)


def refusals(admin: redis.Redis) -> list[str]:
    """What the server has refused, as it noted itself."""
    rows = command(admin, "ACL", "LOG")
    return [str(dict(zip(row[::2], row[1::2], strict=True))["object"]) for row in rows]


@pytest.mark.parametrize("name", ROLES)
def test_a_role_can_do_all_its_work(
    name: str, server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    ROLES[name].create(admin)
    with stage_for(ROLES[name], server, admin, streamq) as stage:
        SCENARIOS[name](stage)
    assert refusals(admin) == []


@pytest.mark.parametrize(("name", "token"), TOKENS)
def test_a_role_has_no_permission_that_it_does_not_need(
    name: str, token: str, server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    """Without any of them its work fails, or the server notes that it refused something."""
    ROLES[name].create(admin, without=token)
    with stage_for(ROLES[name], server, admin, streamq) as stage:
        try:
            SCENARIOS[name](stage)
        except (StreamqError, AssertionError) as error:
            said = str(error)
        else:
            said = ""
    assert refusals(admin) or "does not permit" in said, said or "nothing failed"


# -- what a user without a permission is told ---------------------------------

ONLY_ANOTHER = ("~mails", "~{mails}:*", "+@all")


def test_a_command_that_is_not_permitted(
    server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    ROLES["producer"].create(admin, without="+xadd")
    with stage_for(ROLES["producer"], server, admin, streamq):
        result = streamq("produce", "a=1")
    assert result == (
        77,
        "",
        f"streamq: the server at {server.socket} does not permit it: the user streamq-producer may "
        "not run xadd; add +xadd to its ACL, see docs/security.md for what each role needs\n",
    )


def test_a_command_inside_a_script_that_is_not_permitted(
    server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    ROLES["producer"].create(admin, without="+zcard")
    with stage_for(ROLES["producer"], server, admin, streamq):
        result = streamq("produce", "a=1", "--delay", "1h")
    assert result.code == 77
    assert "the user streamq-producer may not run zcard; add +zcard" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "keys"),
    [
        (["produce", "a=1"], "(XADD jobs *)"),
        (["produce", "a=1", "--delay", "1h"], "({jobs}:scheduled, {jobs}:scheduled:jobs, "),
        (["produce", "a=1", "--count", "2"], "(XADD jobs *)"),
        (["pending"], "(XINFO GROUPS jobs)"),
        (["dlq", "list", "--group", "g"], "(XLEN {jobs}:group:g:dlq)"),
        (["consume", "--burst", "--metrics-port", "0"], "(jobs, {jobs}:group:default:retry, "),
    ],
)
def test_a_key_that_is_not_permitted(
    args: list[str], keys: str, server: RedisServer, admin: redis.Redis,
    streamq: Callable[..., Result],
) -> None:  # fmt: skip
    role = Role("streamq-worker", ONLY_ANOTHER)
    role.create(admin)
    with stage_for(role, server, admin, streamq):
        result = streamq(*args)
    assert result.code == 77
    assert f"may not access a key {keys}" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.anyio
async def test_a_connection_that_may_not_have_a_name(
    server: RedisServer, admin: redis.Redis
) -> None:
    ROLES["producer"].create(admin, without="+client|setname")
    async with App(ROLES["producer"].url(server)) as app:
        with pytest.raises(
            AuthenticationFailed, match=r"may not run client\|setname; add \+client"
        ):
            await app.produce("t")


@pytest.mark.anyio
async def test_a_worker_that_loses_a_permission_goes_on_when_it_has_it_again(
    server: RedisServer, admin: redis.Redis
) -> None:
    ROLES["worker"].create(admin)
    watch = Watch()
    async with App(ROLES["worker"].url(server)) as app:
        app.group("images").handler("t")(lambda: None)
        async with running(app, observers=[watch], settings=QUIET):
            await app.produce("t")
            await watch.until(lambda: len(watch.verdicts) == 1)
            command(admin, "ACL", "SETUSER", ROLES["worker"].user, "-xreadgroup")
            await watch.until(lambda: watch.of(ServerLost))
            await app.produce("t")
            command(admin, "ACL", "SETUSER", ROLES["worker"].user, "+xreadgroup")
            await watch.until(lambda: watch.of(ServerBack) and len(watch.verdicts) == 2)
    [lost] = watch.of(ServerLost)
    assert "may not run xreadgroup; add +xreadgroup" in str(lost.error)


# -- what a role cannot do ----------------------------------------------------


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize(
    "key", ["mails", "jobs2", "jobs:x", "{jobs}", "{mails}:group:images:dlq", "{mails}:scheduled"]
)
def test_a_role_cannot_touch_the_keys_of_another_stream(
    name: str, key: str, server: RedisServer, admin: redis.Redis
) -> None:
    ROLES[name].create(admin)
    commands = {
        "xadd": ("XADD", key, "*", "a", "b"),
        "xdel": ("XDEL", key, "1-1"),
        "xlen": ("XLEN", key),
        "xrange": ("XRANGE", key, "-", "+"),
        "xreadgroup": ("XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">"),
        "xinfo|groups": ("XINFO", "GROUPS", key),
        "del": ("DEL", key),
        "zadd": ("ZADD", key, 1, "a"),
        "hgetall": ("HGETALL", key),
        "eval": ("EVAL", "return 1", 1, key),
        "eval_ro": ("EVAL_RO", "return 1", 1, key),
    }
    asked = [commands[one] for one in ROLES[name].commands if one in commands]
    assert asked
    with server.client(username=ROLES[name].user, password=PASSWORD) as client:
        for one in asked:
            with pytest.raises(NoPermissionError, match="access a key"):
                command(client, *one)
        if "eval" in ROLES[name].commands:
            with pytest.raises(redis.ResponseError, match="ACL failure in script"):
                command(client, "EVAL", f"return redis.call('GET', '{key}')", 0)


def test_an_inspector_sees_which_streams_it_may_not_look_at(
    server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    admin.xadd("jobs", {"a": "1"})
    admin.xadd("mails", {"a": "1"})
    ROLES["inspector"].create(admin)
    with stage_for(ROLES["inspector"], server, admin, streamq):
        info, plain = json.loads(streamq("info", "--json").out), streamq("info").out
    assert [stream["name"] for stream in info["streams"]] == ["jobs"]
    assert info["forbidden"] == ["mails"]
    assert plain.endswith("\nThe user's ACL denies access to other streams: mails\n")


def test_an_inspector_has_no_command_that_writes(server: RedisServer, admin: redis.Redis) -> None:
    rows = command(admin, "COMMAND", "INFO", *ROLES["inspector"].commands)
    flags = {row["name"]: row["flags"] for row in rows.values()}
    assert {"xrange", "evalsha_ro", "multi"} <= flags.keys()
    assert [name for name, flagged in flags.items() if "write" in flagged] == []


WRITES: list[tuple[str | int, ...]] = [
    ("XADD", "jobs", "*", "a", "b"), ("XACK", "jobs", "images", "1-1"), ("XDEL", "jobs", "1-1"),
    ("XTRIM", "jobs", "MAXLEN", 0), ("XGROUP", "CREATE", "jobs", "new", "0"),
    ("XGROUP", "DESTROY", "jobs", "images"), ("XCLAIM", "jobs", "images", "me", 0, "1-1"),
    ("XREADGROUP", "GROUP", "images", "me", "STREAMS", "jobs", ">"), ("DEL", "jobs"),
    ("UNLINK", "jobs"), ("EXPIRE", "jobs", 1), ("RENAME", "jobs", "x"), ("COPY", "jobs", "x"),
    ("ZADD", "{jobs}:group:images:retry", 1, "x"), ("SET", "{jobs}:group:images:reclaim", "x"),
    ("RESTORE", "x", 0, ""), ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "SET", "maxmemory", 1),
    ("SCRIPT", "FLUSH"), ("ACL", "SETUSER", "x"), ("SHUTDOWN",), ("DEBUG", "SLEEP", 0),
    ("EVAL", "return redis.call('XADD', KEYS[1], '*', 'a', 'b')", 1, "jobs"),
    ("EVAL_RO", "return redis.call('XADD', KEYS[1], '*', 'a', 'b')", 1, "jobs"),
    ("EVAL_RO", "return redis.call('DEL', KEYS[1])", 1, "jobs"),
]  # fmt: skip


def test_an_inspector_cannot_write(
    server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    jobs = asyncio.run(prepare(server.unix_url, admin))
    before = everything(admin)
    ROLES["inspector"].create(admin)
    with server.client(username=ROLES["inspector"].user, password=PASSWORD) as client:
        for one in WRITES:
            with pytest.raises(redis.ResponseError, match=r"(?i)permissions|write command"):
                command(client, *one)
    with stage_for(ROLES["inspector"], server, admin, streamq):
        for args in (
            ["produce", "a=1"], ["produce", "a=1", "--delay", "1h"], ["cancel", jobs.scheduled],
            ["scheduled", "run-now", jobs.scheduled],
            ["pending", "retry", jobs.retrying], ["pending", "dead-letter", jobs.running],
            ["pending", "release", "--consumer", "lost", "--force"],
            ["dlq", "redrive", jobs.dead], ["dlq", "purge", "--all", "--yes"],
            ["group", "create", "new"], ["group", "delete", "images", "--force", "--yes"],
            ["consume", "--burst", "--group", "images", "--metrics-port", "0"],
        ):  # fmt: skip
            result = streamq(*args)
            assert (result.code, result.err.count("\n")) == (77, 1), result
            assert "does not permit it" in result.err
    assert everything(admin) == before


def test_a_producer_cannot_read_jobs_nor_settle_them(
    server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    admin.xadd("jobs", {"a": "1"})
    ROLES["producer"].create(admin)
    with stage_for(ROLES["producer"], server, admin, streamq):
        assert streamq("pending").code == 77
        assert streamq("consume", "--burst", "--metrics-port", "0").code == 77
    with server.client(username=ROLES["producer"].user, password=PASSWORD) as client:
        for one in ("XRANGE", "XREVRANGE"):
            with pytest.raises(NoPermissionError):
                command(client, one, "jobs", "-", "+")
        with pytest.raises(redis.ResponseError, match="ACL failure"):
            command(client, "EVAL", "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, "jobs")


@pytest.mark.anyio
async def test_a_producer_that_asks_whether_a_job_is_settled_needs_to_look(
    server: RedisServer, admin: redis.Redis
) -> None:
    admin.xgroup_create("jobs", "images", mkstream=True)
    ROLES["producer"].create(admin)
    more = re.search(r"^- \*\*`(\+xrange .*?)`\*\*", read(ROOT / "docs/security.md"), re.M)
    assert more
    async with App(ROLES["producer"].url(server)) as app:
        with pytest.raises(AuthenticationFailed, match="lacks xrange jobs, "):
            await app.produce("t", unique="k", unique_until="settled")
        assert admin.keys("*") == ["jobs"]
        assert admin.xlen("jobs") == 0
        command(admin, "ACL", "SETUSER", ROLES["producer"].user, *more[1].split())
        first = await app.produce("t", unique="k", unique_until="settled")
        again = await app.produce("t", unique="k", unique_until="settled")
    assert (again.id, again.created) == (first.id, False)


def everything(admin: redis.Redis) -> dict[str, object]:
    """All keys and what is in them."""
    keys: Any = admin.keys()
    return {key: command(admin, "DEBUG", "DIGEST-VALUE", key) for key in keys}


# -- nothing half done --------------------------------------------------------

SETTLING = ("+xack", "+xdel", "+xadd", "+xclaim", "+zadd", "+hset", "+del", "~{jobs}:group:*")


@pytest.mark.parametrize("token", SETTLING)
def test_a_worker_that_lacks_a_permission_does_not_start(
    token: str, server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    admin.xadd("jobs", {"type": "t", "data": "{}"})
    ROLES["worker"].create(admin, without=token)
    with stage_for(ROLES["worker"], server, admin, streamq):
        result = streamq("consume", "--burst", "--metrics-port", "0")
    assert (result.code, result.out) == (77, "")
    assert "Consuming" not in result.err
    assert "does not permit it" in result.err
    assert token.strip("+~*") in result.err
    assert admin.keys("*") == ["jobs"]
    assert admin.xinfo_groups("jobs") == []


@pytest.mark.parametrize("token", ["+xadd", "+xdel", "+xack", "+zrem", "+del"])
def test_an_operator_who_lacks_a_permission_leaves_nothing_half_done(
    token: str, server: RedisServer, admin: redis.Redis, streamq: Callable[..., Result]
) -> None:
    admin.xgroup_create("jobs", "g", "0", mkstream=True)
    ids = [str(admin.xadd("jobs", {"type": "t", "data": "{}"})) for _ in range(2)]
    command(admin, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "jobs", ">")
    ROLES["operator"].create(admin, without=token)
    with stage_for(ROLES["operator"], server, admin, streamq):
        result = streamq("pending", "dead-letter", *ids, "--group", "g")
    assert result.code == 77
    assert f"lacks {token[1:]}" in result.err
    assert admin.xlen("jobs") == 2
    assert admin.xpending("jobs", "g")["pending"] == 2
    assert not admin.exists("{jobs}:group:g:dlq")
