"""The primary of the moment, as three real Sentinels name it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from streamq import App, Settings
from streamq.errors import (
    AuthenticationFailed,
    OutcomeUnknown,
    ServerRefused,
    ServerUnavailable,
)
from streamq.server import Link, Server
from streamq.server.topology import sentinel as sentinel_topology
from tests.servers import RedisServer, free_port
from tests.topology.sentinels import NAME, Sentinel, SentinelServers
from tests.waiting import eventually
from tests.worker.support import drain, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(sentinels: SentinelServers) -> AsyncIterator[App]:
    """An app on the primary, without handlers."""
    async with App(sentinels.url) as app:
        yield app


async def port_of(link: Link | Server) -> int:
    """The port of the server that answers."""
    reply = await link.call("CONFIG", "GET", "port")
    return int(reply[1])


async def test_jobs(app: App, sentinels: SentinelServers) -> None:
    app.handler("t")(lambda n: n + 1)
    [job, *_] = await app.produce_many([("t", {"n": n}) for n in range(1200)])
    result = asyncio.ensure_future(job.result(group="default", timeout=60))
    assert len((await drain(app, settings=Settings())).outcomes) == 1200
    assert await result == 1
    about = await app.admin.info()
    assert about.where == f"{NAME} ({sentinels.hosts})"
    assert [one.name for one in about.streams] == ["jobs"]


async def test_database_and_options(sentinels: SentinelServers) -> None:
    async with App(f"{sentinels.url}/3?client_name=mine") as app:
        link = app.server.link()
        info = await link.call("CLIENT", "INFO")
        await link.close()
        assert b" db=3 " in info
        assert b" name=mine " in info
    async with App(f"{sentinels.url}?db=4") as app:
        assert b" db=4 " in await app.server.call("CLIENT", "INFO")


async def test_credentials_of_servers_and_of_sentinels(sentinels: SentinelServers) -> None:
    for server in sentinels.servers:
        with server.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "u", "reset", "on", ">p@:ss", "~*", "&*", "+@all"
            )
    for sentinel in sentinels.sentinels:
        with sentinel.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "s", "reset", "on", ">w@/d", "&*",
                "+sentinel|get-master-addr-by-name", "+subscribe", "+ping",
            )  # fmt: skip
    hosts = sentinels.url.removeprefix("redis+sentinel://")
    good = f"redis+sentinel://u:p%40%3Ass@{hosts}?sentinel_username=s&sentinel_password=w%40%2Fd"
    async with App(good) as app:
        assert await app.server.call("ACL", "WHOAMI") == b"u"
        for sentinel in sentinels.sentinels[:1]:
            await eventually(lambda sentinel=sentinel: " user=s " in _clients(sentinel))  # type: ignore[misc]
    for wrong in (good.replace("ss@", "x@"), good.replace("%2Fd", "x")):
        async with App(wrong) as app:
            with pytest.raises(AuthenticationFailed) as caught:
                await app.produce("t")
            assert "w@/" not in str(caught.value)


def _clients(server: RedisServer) -> str:
    with server.client() as client:
        return " ".join(
            " ".join(f"{name}={value}" for name, value in row.items()) + " "
            for row in client.client_list()
        )


# -- another server takes over ------------------------------------------------


@pytest.mark.slow
async def test_connections_to_the_old_primary_are_closed(
    app: App, sentinels: SentinelServers
) -> None:
    links = [app.server.link("a"), app.server.link("b")]
    before = [await port_of(link) for link in links]
    assert before == [sentinels.primary.port] * 2
    await eventually(lambda: _watchers(sentinels))
    blocked = asyncio.create_task(links[0].call("BLPOP", "nothing", 60, block=60))
    new = await asyncio.to_thread(sentinels.fail_over)
    with pytest.raises((OutcomeUnknown, ServerRefused)):
        await asyncio.wait_for(blocked, 10)
    await eventually(lambda: not links[1].is_open)
    assert [await port_of(link) for link in links] == [new.port] * 2
    for link in links:
        await link.close()


def _watchers(sentinels: SentinelServers) -> list[Sentinel]:
    """The Sentinels that are being listened to."""
    return [one for one in sentinels.running_sentinels if " sub=2 " in _clients(one)]


@pytest.mark.slow
async def test_a_worker_goes_along(app: App, sentinels: SentinelServers) -> None:
    handled = []

    @app.handler("t")
    async def handle(n: int) -> None:
        handled.append(n)

    async with running(app):
        for n in range(2):
            await app.produce("t", {"n": n}, unique=f"{n}")
            await eventually(lambda n=n: handled[-1:] == [n])  # type: ignore[misc]
            if n == 0:
                await asyncio.to_thread(sentinels.fail_over)


@pytest.mark.slow
async def test_a_worker_does_not_go_on_with_a_primary_that_slept(
    app: App, sentinels: SentinelServers
) -> None:
    handled = []

    @app.handler("t")
    async def handle(n: int) -> None:
        handled.append(n)

    async with running(app) as worker:
        await app.produce("t", {"n": 0})
        await eventually(lambda: handled == [0])
        old = sentinels.primary
        old.signal(signal.SIGSTOP)
        new = await asyncio.to_thread(sentinels.took_over, old)
        await app.produce("t", {"n": 1}, unique="1")
        await eventually(lambda: handled == [0, 1])
        old.signal(signal.SIGCONT)  # it takes itself for the primary still
        await eventually(lambda: f"name={worker.name} " not in _clients(old))
        assert f"name={worker.name} " in _clients(new)
        await app.produce("t", {"n": 2})
        await eventually(lambda: handled == [0, 1, 2])
        with new.client() as client:
            assert client.xlen("jobs") == 0


async def test_the_primary_is_made_a_replica_by_hand(
    app: App, sentinels: SentinelServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.produce("t")
    primary = sentinels.primary
    with primary.client() as client:
        client.replicaof("127.0.0.1", str(free_port()))
    monkeypatch.setattr(sentinel_topology, "PATIENCE", 0.1)
    with pytest.raises(ServerRefused, match="is a read-only replica"):
        await app.produce("t")
    with pytest.raises(ServerUnavailable, match="is a replica: a failover may be under way"):
        await app.produce("t")


async def test_a_user_with_few_rights_sees_that_it_is_a_replica(
    sentinels: SentinelServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in sentinels.servers:
        with server.client() as client:
            few = ("+ping", "+client|setname")
            client.execute_command("ACL", "SETUSER", "u", "reset", "on", ">pw", "~*", *few)
    with sentinels.primary.client() as client:
        client.replicaof("127.0.0.1", str(free_port()))
    monkeypatch.setattr(sentinel_topology, "PATIENCE", 0.1)
    async with App(sentinels.url.replace("://", "://u:pw@")) as limited:
        with pytest.raises(ServerUnavailable, match="is a replica"):
            await limited.server.call("PING")


@pytest.mark.slow
async def test_the_sentinel_that_tells_goes(app: App, sentinels: SentinelServers) -> None:
    await app.produce("t")
    await eventually(lambda: _watchers(sentinels))
    [watched] = _watchers(sentinels)
    watched.kill()
    await eventually(lambda: _watchers(sentinels))
    new = await asyncio.to_thread(sentinels.took_over_after_kill)
    assert (await app.produce("t", unique="k")).created
    assert await port_of(app.server) == new.port


async def test_nobody_watches_after_the_end(sentinels: SentinelServers) -> None:
    async with App(sentinels.url) as app:
        await app.produce("t")
        await eventually(lambda: _watchers(sentinels))
    await eventually(lambda: not _watchers(sentinels))


def test_several_event_loops(sentinels: SentinelServers) -> None:
    server = Server(sentinels.url)

    async def ask() -> None:
        assert await server.call("PING") == b"PONG"
        await server.close()

    asyncio.run(ask())
    asyncio.run(ask())


# -- finding it ---------------------------------------------------------------


async def test_sentinels_that_are_gone(sentinels: SentinelServers) -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinels.sentinels[2].port}/{NAME}"
    async with App(url) as app:
        assert (await app.produce("t")).created


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda url, s: f"{url}x", ServerRefused, "knows no primary called mymasterx"),
        (lambda url, s: s.sentinels[0].url, ServerRefused, "is a Sentinel: write redis+sentinel"),
        (
            lambda url, s: f"redis+sentinel://127.0.0.1:{s.primary.port}/{NAME}",
            ServerRefused, "is a server, not a Sentinel",
        ),
        (
            lambda url, s: f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/n",
            ServerUnavailable, "no Sentinel of n .* answers",
        ),
        (
            lambda url, s: f"redis+sentinel://127.0.0.1:{free_port()}/n",
            ServerUnavailable, "cannot connect",
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said(
    sentinels: SentinelServers,
    change: Callable[[str, SentinelServers], str],
    kind: type[Exception],
    message: str,
) -> None:
    async with App(change(sentinels.url, sentinels)) as app:
        with pytest.raises(kind, match=message.replace("+", r"\+")):
            await app.produce("t")


@pytest.fixture
def sentinels(shared_sentinels: SentinelServers) -> SentinelServers:
    """Running servers without any data; whoever is gone comes back."""
    shared_sentinels.restore()
    return shared_sentinels
