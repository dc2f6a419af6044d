"""Under load a second settling call leaves before the first is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from streamq import App, Settings, Worker, lua
from streamq.signals import LeaseLost, Refused, ServerLost, Vanished
from streamq.worker.settle import FULL
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.worker.proxy import Held, Proxy, proxied
from tests.worker.support import Watch, running, together

pytestmark = pytest.mark.anyio

SETTLE = lua.load("settle").sha.encode()
EXTEND = lua.load("extend").sha.encode()

ROOMY = Settings(concurrency=2 * FULL)
"""All that is produced here is in hand at once."""


@dataclass
class Busy:
    """A worker with one settlement under way, until the reply to it is passed on."""

    proxy: Proxy
    app: App
    worker: Worker
    watch: Watch
    first: Held

    async def produce(self, count: int) -> None:
        """So many jobs more."""
        await self.app.produce_many(("t", {"n": n}) for n in range(count))

    async def until_handled(self, count: int) -> None:
        """Until so many have their verdicts, those that wait for the first call."""
        [consumer] = self.worker.consumers
        await eventually(lambda: len(consumer.in_flight) == count + 1)
        await eventually(lambda: not consumer.in_flight.waiting and not consumer.runners.running)

    async def until_settled(self, count: int) -> None:
        await self.watch.until(lambda: len(self.watch.verdicts) == count)

    def nothing_went_wrong(self) -> bool:
        return not any(self.watch.of(kind) for kind in (LeaseLost, Refused, Vanished))


@asynccontextmanager
async def busy(server: RedisServer, settings: Settings = ROOMY) -> AsyncIterator[Busy]:
    with server.client() as client:
        for name in ("settle", "extend"):
            client.script_load(lua.load(name).source)
    watch = Watch()
    async with proxied(server.socket) as proxy, App(proxy.url) as app:

        @app.handler("t")
        async def handle() -> None:
            pass

        async with running(app, observers=[watch], settings=settings) as worker:
            first = proxy.hold_reply(SETTLE)
            await app.produce("t")
            await together(first.reached)
            yield Busy(proxy, app, worker, watch, first)


async def test_it_does_not_wait_for_the_first(server: RedisServer) -> None:
    async with busy(server) as it:
        await it.produce(FULL)
        await it.until_settled(FULL)
        it.first.release()
        await it.until_settled(FULL + 1)


async def test_a_few_wait_for_the_first(server: RedisServer) -> None:
    async with busy(server) as it:
        await it.produce(FULL - 1)
        await it.until_handled(FULL - 1)
        assert it.watch.verdicts == []
        it.first.release()
        await it.until_settled(FULL)


async def test_without_records_there_is_none(server: RedisServer) -> None:
    async with busy(server, replace(ROOMY, result_ttl=0)) as it:
        second = it.proxy.hold_reply(SETTLE)
        await it.produce(FULL)
        await it.until_handled(FULL)
        assert not second.reached.is_set()
        it.first.release()
        await together(second.reached)
        assert len(it.watch.verdicts) == 1
        second.release()
        await it.until_settled(FULL + 1)


async def test_the_heartbeat_meanwhile_calls_nothing_lost(server: RedisServer) -> None:
    """It finds what the server has settled, and what the worker does not know of yet."""
    async with busy(server, replace(ROOMY, lease=0.6)) as it:
        second = it.proxy.hold_reply(SETTLE)
        await it.produce(FULL)
        await together(second.reached)
        beats = [it.proxy.hold_reply(EXTEND) for _ in range(3)]
        it.first.release()
        for beat in beats:
            beat.release()
            await together(beat.reached)
        second.release()
        await it.until_settled(FULL + 1)
        assert it.nothing_went_wrong()


async def test_its_reply_is_lost(server: RedisServer) -> None:
    async with busy(server) as it:
        it.proxy.lose_reply(SETTLE)
        await it.produce(FULL)
        await together(it.proxy.lost)
        it.first.release()
        await it.until_settled(FULL + 1)
        assert len({verdict.job.id for verdict in it.watch.verdicts}) == FULL + 1
        assert it.nothing_went_wrong()


async def test_there_is_no_room_for_its_connection(
    make_server: Callable[..., RedisServer],
) -> None:
    """The first one does as well, and nobody calls the server lost."""
    server = make_server()
    async with busy(server) as it:
        with server.client() as client:
            client.config_set("maxclients", 1)  # those that are there may stay
            await it.produce(FULL)
            await eventually(lambda: client.info("stats")["rejected_connections"])
            it.first.release()
            await it.until_settled(FULL + 1)
            client.config_set("maxclients", 1000)
        assert it.watch.of(ServerLost) == []
