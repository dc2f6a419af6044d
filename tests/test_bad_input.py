"""Bad input: garbage in the stream, wrong keys, wrong servers. A message each, nothing lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from streamq import App, Job
from streamq.errors import (
    AuthenticationFailed,
    ConfigError,
    ServerUnavailable,
    ServerUnsupported,
    StreamqError,
    WrongKeyType,
)
from streamq.events import GroupCreated, Refused, ServerBack, ServerLost
from streamq.log import LogObserver
from streamq.server import Server
from streamq.server.version import read_info
from tests.scripts.support import command, ids_of, raw_entries, write
from tests.servers import RedisServer, free_port
from tests.worker.support import (
    QUIET,
    Outcome,
    Watch,
    drain,
    eventually,
    running,
    together,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("brisk")]

DLQ = "{jobs}:group:default:dlq"
ESCAPE = "\x1b]0;pwned\x07\x00\n\r\u202e\x9b2J"


def letters(server: RedisServer, group: str = "default") -> list[dict[bytes, bytes]]:
    """What streamq wrote into the dead letters, as bytes: there is garbage in them."""
    key = DLQ.replace("default", group)
    with server.client(decode_responses=False) as raw:
        found: Any = raw.eval("return redis.call('XRANGE', KEYS[1], '-', '+')", 1, key)
    return [dict(zip(fields[:10:2], fields[1:10:2], strict=True)) for _, fields in found]


def assert_safe(caplog: pytest.LogCaptureFixture) -> None:
    """The log has no control characters, and only the lines of a traceback beside its own."""
    assert caplog.records
    for record in caplog.records:
        first, *more = record.getMessage().split("\n")
        assert all(line.isprintable() for line in (first, *more)), record.getMessage()
        assert not more or more[0].lstrip(" +|").startswith("Traceback")


# -- garbage in the stream ----------------------------------------------------

GARBAGE: dict[str, tuple[list[str | bytes], str, str]] = {
    "not json": (["type", "t", "data", "not json"], "invalid entry", "not JSON"),
    "empty data": (["type", "t", "data", ""], "invalid entry", "not JSON"),
    "data not utf-8": (["type", "t", "data", b'"\xff"'], "invalid entry", "not JSON"),
    "data with nul": (["type", "t", "data", "\x00"], "invalid entry", "not JSON"),
    "nested data": (["type", "t", "data", "[" * 9000], "invalid entry", "not JSON"),
    "a list": (["type", "t", "data", "[1]"], "invalid arguments", "not an object"),
    "deep list": (
        ["type", "t", "data", "[" * 1000 + "]" * 1000], "invalid arguments", "not an object",
    ),
    "no type": (["data", "{}"], "no handler", "without a type"),
    "empty type": (["type", "", "data", "{}"], "no handler", "without a type"),
    "unknown type": (["type", "x", "data", "{}"], "no handler", "the type 'x'"),
    "foreign, no type": (["file", "a.png"], "no handler", "without a type"),
    "type not utf-8": (["type", b"\xff", "data", "{}"], "invalid entry", "not UTF-8"),
    "endless type": (["type", "x" * 100_000, "data", "{}"], "invalid entry", "longer than 128"),
    "control in type": (["type", ESCAPE, "data", "{}"], "no handler", r"\x1b"),
    "missing": (["type", "t", "data", "{}"], "invalid arguments", "file is missing"),
    "wrong": (["type", "t", "data", '{"file":1}'], "invalid arguments", "file: "),
    "wrong and evil": (
        ["type", "t", "data", '{"file":["\\u001b[2J\\u0000"]}'], "invalid arguments", "file: ",
    ),
    "foreign, missing": (["type", "t", "fil", "a"], "invalid arguments", "file is missing"),
    "foreign, not utf-8": (["type", "t", "file", b"\xff"], "invalid entry", "not UTF-8"),
    "field not utf-8": (["type", "t", b"\xff", "a"], "invalid entry", "not UTF-8"),
    "expires": (
        ["type", "t", "data", '{"file":"a"}', "expires", ESCAPE], "invalid entry", "'expires'",
    ),
    "for": (
        ["type", "t", "data", '{"file":"a"}', "for", ESCAPE], "no such group", "does not exist",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_becomes_a_dead_letter_and_hurts_nobody(
    app: App, server: RedisServer, client: redis.Redis, name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    fields, reason, error = GARBAGE[name]
    seen: list[str] = []

    @app.handler("t", retries=3)
    async def handle(file: str) -> None:
        seen.append(file)

    await app.produce("t", file="before.png")
    id = str(write(client, *fields))
    await app.produce("t", file="after.png")
    caplog.set_level(logging.DEBUG, "streamq")
    await drain(app, observers=[LogObserver()])

    assert sorted(seen) == ["after.png", "before.png"]
    assert client.xlen("jobs") == 0
    [letter] = letters(server)
    assert letter[b"id"] == id.encode()
    assert letter[b"reason"] == reason.encode()
    assert error in letter[b"error"].decode()
    assert letter[b"error"].decode().isprintable()
    assert letter[b"attempts"] == b"1"
    assert_safe(caplog)


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", ESCAPE.encode(), b"x" * 100_000])
@pytest.mark.parametrize("field", ["key", "trace", "origin", "unheard of"])
async def test_garbage_beside_the_data_is_no_reason_not_to_run(
    app: App, client: redis.Redis, field: str, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str | None, str | None, str | None]] = []

    @app.handler("t")
    async def handle(job: Job) -> None:
        seen.append((job.key, job.trace, job.origin))
        await job.emit("next")

    @app.handler("next")
    async def after() -> None: ...

    write(client, "type", "t", "data", "{}", field, garbage)
    caplog.set_level(logging.DEBUG, "streamq")
    watch = await drain(app, observers=[LogObserver()])
    assert watch.outcomes == [Outcome.SUCCEEDED] * 2
    assert len(seen) == 1
    assert client.xlen("jobs") == 0
    assert_safe(caplog)


async def test_a_huge_foreign_entry_is_a_job_like_others(app: App, client: redis.Redis) -> None:
    """With more fields than a script can pass on, in a batch with others."""
    for _ in range(3):
        own = [part for n in range(10_000) for part in (f"f{n}", n)]
        write(client, *own)
        await app.produce("t")
    app.handler("t")(lambda: None)
    watch = await drain(app)
    assert sorted(outcome.value for outcome in watch.outcomes) == ["dead"] * 3 + ["succeeded"] * 3
    assert client.xlen("jobs") == 0
    assert client.xlen(DLQ) == 3


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_what_a_handler_says_is_logged_safely(
    app: App, server: RedisServer, client: redis.Redis, kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    class Evil(Exception):
        def __str__(self) -> str:
            return ESCAPE

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def fail(n: int) -> None:
        raise [Evil(), Mute(), UnicodeError("\ud800"), KeyError(ESCAPE)][n]

    async def fail_async(n: int) -> None:
        fail(n)

    app.handler("t", retries=0)(fail if kind == "thread" else fail_async)
    await app.produce_many(("t", {"n": n}) for n in range(4))
    caplog.set_level(logging.DEBUG, "streamq")
    await drain(app, observers=[LogObserver()])
    errors = {letter[b"error"].decode() for letter in letters(server)}
    assert len(errors) == 4
    assert "Mute: <Mute>" in errors
    assert all(error.isprintable() for error in errors)
    assert client.xlen("jobs") == 0
    assert_safe(caplog)


@pytest.mark.parametrize("thief", [ESCAPE.encode(), b"\xff\xfe", b"!deleted", b"=", b"!emit"])
async def test_a_consumer_with_an_evil_name(
    app: App, client: redis.Redis, thief: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Who takes an entry away is named in the log, and cannot break the worker."""
    taken, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle(job: Job, n: int) -> None:
        if n == 0:
            taken.set()
            await together(go_on)

    id = await app.produce("t", n=0)
    caplog.set_level(logging.DEBUG, "streamq")
    watch = Watch()
    async with running(app, observers=[watch, LogObserver()]):
        await together(taken)
        command(client, "XCLAIM", "jobs", "default", thief, 0, id)
        go_on.set()
        await watch.until(lambda: watch.of(Refused))
        await app.produce("t", n=1)
        await watch.until(lambda: watch.outcomes == [Outcome.SUCCEEDED])
    assert ids_of(client) == [id]
    assert "came too late" in caplog.text
    assert_safe(caplog)


# -- wrong keys ---------------------------------------------------------------


async def test_a_stream_of_another_type_at_the_start(app: App, client: redis.Redis) -> None:
    client.set("jobs", "x")
    app.handler("t")(lambda: None)
    with pytest.raises(WrongKeyType, match="another type") as caught:
        await app.worker().run()
    assert "\n" not in str(caught.value)
    assert client.get("jobs") == "x"


async def test_a_group_that_is_deleted_while_consuming(app: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await app.produce("t", n=1)
        await watch.until(lambda: seen == [1])
        client.xgroup_destroy("jobs", "default")
        await app.produce("t", n=2)
        await watch.until(lambda: seen == [1, 2])
    assert [(event.group, event.again) for event in watch.of(GroupCreated)] == [
        ("default", False), ("default", True),
    ]  # fmt: skip


async def test_a_stream_that_is_deleted_while_consuming(app: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @app.handler("t")
    async def handle(n: int) -> None:
        seen.append(n)

    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        for n in range(3):
            client.delete("jobs")
            await app.produce("t", n=n)
            await watch.until(lambda n=n: n in seen)  # type: ignore[misc]  # mypy on defaults of a lambda
    assert seen == [0, 1, 2]
    assert watch.of(Refused) == []


async def test_a_stream_that_is_deleted_while_jobs_run(app: App, client: redis.Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.handler("t")
    async def handle(n: int) -> None:
        if n == 0:
            begun.set()
            await together(go_on)

    watch = Watch()
    async with running(app, observers=[watch], settings=QUIET):
        await app.produce("t", n=0)
        await together(begun)
        client.delete("jobs")
        go_on.set()
        await watch.until(lambda: watch.of(Refused))
        await app.produce("t", n=1)
        await watch.until(lambda: watch.verdicts)
    assert [verdict.job.data for verdict in watch.verdicts] == [{"n": 1}]


@pytest.mark.parametrize("key", ["jobs", "{jobs}:group:default:retry", DLQ])
async def test_a_key_that_is_replaced_by_another_type_while_consuming(
    app: App, client: redis.Redis, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker says so once, loses nothing, and goes on when the key is right again."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    @app.handler("t", retries=0)
    async def handle(n: int) -> None:
        seen.append(n)
        if n == 0:
            begun.set()
            await together(go_on)
            raise ValueError("no")

    caplog.set_level(logging.DEBUG, "streamq")
    watch = Watch()
    async with running(app, observers=[watch, LogObserver()], settings=QUIET):
        id = await app.produce("t", n=0)
        await together(begun)
        if key == "jobs":
            client.rename(key, "kept")
        client.set(key, "x")
        go_on.set()
        await watch.until(lambda: watch.of(ServerLost))
        client.delete(key)
        if key == "jobs":
            client.rename("kept", key)
        await watch.until(lambda: watch.verdicts and watch.of(ServerBack))
        await app.produce("t", n=1)
        await watch.until(lambda: len(watch.verdicts) == 2)
    assert watch.outcomes == [Outcome.DEAD, Outcome.SUCCEEDED]
    assert [fields[0] for _, fields in raw_entries(client, DLQ)] == [("id", id)]
    assert len(watch.of(ServerLost)) == 1
    error = str(watch.of(ServerLost)[0].error)
    assert "another type" in error
    assert key == "jobs" or key in error
    assert_safe(caplog)


async def test_a_worker_can_be_stopped_while_the_stream_is_wrong(
    app: App, client: redis.Redis
) -> None:
    app.handler("t")(lambda: None)
    watch = Watch()
    async with running(app, observers=[watch]):
        await eventually(lambda: client.exists("jobs"))
        client.delete("jobs")
        client.set("jobs", "x")
        await watch.until(lambda: watch.of(ServerLost))
    assert client.get("jobs") == "x"


# -- wrong servers ------------------------------------------------------------


@asynccontextmanager
async def fake_server(info: str) -> AsyncIterator[str]:
    """Something that speaks the protocol and says of itself what a test wants."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2].upper())
            if words[0] == b"INFO":
                body = info.encode()
                writer.write(b"$%d\r\n%s\r\n" % (len(body), body))
            elif words[0] == b"TIME":
                writer.write(b"*2\r\n$1\r\n0\r\n$1\r\n0\r\n")
            else:
                writer.write(b"+OK\r\n")
        writer.close()
        served.set()

    served = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await together(served)


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ("redis_version:6.2.14", "Redis 6.2.14"),
        ("redis_version:5.0.0", "Redis 5.0.0"),
        ("redis_version:7.2.4\r\nvalkey_version:7.1.0", "Valkey 7.1.0"),
        ("", "Redis 0"),
        ("redis_version:garbage", "Redis garbage"),
    ],
)
async def test_a_server_that_is_too_old(info: str, name: str) -> None:
    async with fake_server(info) as url, App(url) as app:
        app.handler("t")(lambda: None)
        with pytest.raises(
            ServerUnsupported, match=f"is {name}: streamq needs Redis 7.0"
        ) as caught:
            await app.worker().run()
        assert not caught.value.passing


@pytest.mark.parametrize(
    ("info", "name", "version"),
    [
        ("redis_version:7.0.0", "redis", "7.0.0"),
        ("redis_version:10.0.1", "redis", "10.0.1"),
        ("redis_version:7.2.4\r\nvalkey_version:7.2.5", "valkey", "7.2.5"),
        ("redis_version:7.2.4\r\nvalkey_version:9.1.0-rc1", "valkey", "9.1.0-rc1"),
    ],
)
async def test_a_server_that_is_new_enough(info: str, name: str, version: str) -> None:
    async with fake_server(info) as url:
        link = Server(url).link()
        found = await read_info(link, "here")
        await link.close()
    assert (found.name, found.version, found.warnings) == (name, version, [])


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_may_evict_jobs(
    make_server: Callable[..., RedisServer], policy: str
) -> None:
    async with App(make_server("--maxmemory-policy", policy).url) as app:
        [warning] = (await app.server.info()).warnings
    assert policy in warning
    assert "noeviction" in warning


async def test_a_server_that_keeps_its_jobs(app: App) -> None:
    assert (await app.server.info()).warnings == []


@pytest.mark.parametrize("credentials", [":wrong@", "nobody:wrong@", ""])
async def test_a_wrong_password(
    make_server: Callable[..., RedisServer], credentials: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server("--requirepass", "secret")
    async with App(server.url.replace("//", f"//{credentials}")) as app:
        app.handler("t")(lambda: None)
        calls: list[Callable[[], Any]] = [lambda: app.produce("t"), lambda: app.worker().run()]
        for call in calls:
            with pytest.raises(AuthenticationFailed, match=r"does not (accept|permit)") as caught:
                await call()
            assert "wrong" not in str(caught.value)
            assert "\n" not in str(caught.value)
    assert "secret" not in caplog.text


async def test_the_right_password(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--requirepass", "p@ss/word")
    async with App(server.url.replace("//", "//:p%40ss%2Fword@")) as app:
        await app.produce("t")
        assert "p@ss" not in app.server.where


async def test_nobody_listens_there() -> None:
    port = free_port()
    async with App(f"redis://user:secret@127.0.0.1:{port}") as app:
        app.handler("t")(lambda: None)
        calls: list[Callable[[], Any]] = [lambda: app.produce("t"), lambda: app.worker().run()]
        for call in calls:
            with pytest.raises(ServerUnavailable, match=f"connect to 127.0.0.1:{port}: check"):
                await call()


async def test_a_socket_that_is_not_there() -> None:
    async with App("unix:///nowhere/at/all.sock") as app:
        with pytest.raises(ServerUnavailable, match=r"connect to /nowhere/at/all.sock: check"):
            await app.produce("t")


async def test_a_host_that_does_not_exist() -> None:
    async with App("redis://nowhere.invalid") as app:
        with pytest.raises(ServerUnavailable, match=r"nowhere.invalid:6379"):
            await app.produce("t")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost", "localhost:6379", "redis://localhost:port", "redis://:pw@[::1",
        "redis://localhost/zero", "redis://localhost/-1", "redis://localhost/0/1",
        "redis://localhost?nonsense=1", "redis://localhost:99999",
        "rediss://localhost?ssl_cert_reqs=perhaps",
    ],
)  # fmt: skip
async def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = App(url).server
    assert str(caught.value).isprintable()
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("host", ["\x00", "a..b", "x" * 70, "h\x1bst"])
async def test_what_is_no_host(host: str) -> None:
    async with App(f"redis://{host}") as app:
        with pytest.raises(ServerUnavailable, match="cannot connect") as caught:
            await app.produce("t")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["", "/", "/0", "/15"])
async def test_what_follows_the_host_is_a_database(server: RedisServer, path: str) -> None:
    async with App(server.url + path) as app:
        id = await app.produce("t")
    with server.client(db=int(path[1:] or 0)) as client:
        assert ids_of(client) == [id]


async def test_something_else_listens_there() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, App(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as app:
        with pytest.raises(StreamqError) as caught:
            await app.produce("t")
    assert str(caught.value).isprintable()
