"""Under load a second settling call leaves before the first is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from streamq import App, Settings, scripts
from streamq.events import LeaseLost, Refused, ServerLost, Vanished
from streamq.worker.settle import FULL
from tests.servers import RedisServer
from tests.worker.proxy import Held, Proxy, proxied
from tests.worker.support import Watch, eventually, running

pytestmark = pytest.mark.anyio

SETTLE = scripts.load("settle").sha.encode()
EXTEND = scripts.load("extend").sha.encode()


ROOMY = Settings(concurrency=2 * FULL)
"""All that is produced here is in hand at once."""


def make_app(proxy: Proxy, server: RedisServer) -> App:
    """An app behind the proxy, on a server that knows the scripts."""
    app = App(proxy.url)

    @app.handler("t")
    async def handle(n: int) -> None:
        pass

    with server.client() as client:
        for name in ("settle", "extend"):
            client.script_load(scripts.load(name).source)
    return app


async def busy_with_one(app: App, proxy: Proxy) -> Held:
    """A job whose settlement is under way, until the reply is passed on."""
    first = proxy.hold_reply(SETTLE)
    await app.produce("t", n=0)
    await first.reached.wait()
    return first


async def produce_many(app: App, count: int) -> None:
    await app.produce_many(("t", {"n": n + 1}) for n in range(count))


async def test_it_does_not_wait_for_the_first(server: RedisServer) -> None:
    watch = Watch()
    async with (
        proxied(server.socket) as proxy,
        make_app(proxy, server) as app,
        running(app, observers=[watch], settings=ROOMY),
    ):
        first = await busy_with_one(app, proxy)
        await produce_many(app, FULL)
        await watch.until(lambda: len(watch.verdicts) == FULL)
        first.release()
        await watch.until(lambda: len(watch.verdicts) == FULL + 1)


async def test_a_few_wait_for_the_first(server: RedisServer) -> None:
    watch = Watch()
    async with (
        proxied(server.socket) as proxy,
        make_app(proxy, server) as app,
        running(app, observers=[watch], settings=ROOMY) as worker,
    ):
        first = await busy_with_one(app, proxy)
        await produce_many(app, FULL - 1)
        [consumer] = worker.consumers
        await eventually(lambda: len(consumer.hand.held) == FULL)
        await eventually(lambda: not consumer.hand.buffer and not consumer.runners.running)
        assert watch.verdicts == []
        first.release()
        await watch.until(lambda: len(watch.verdicts) == FULL)


async def test_without_records_there_is_none(server: RedisServer) -> None:
    watch = Watch()
    async with (
        proxied(server.socket) as proxy,
        make_app(proxy, server) as app,
        running(app, observers=[watch], settings=replace(ROOMY, result_ttl=0)),
    ):
        first = await busy_with_one(app, proxy)
        second = proxy.hold_reply(SETTLE)
        await produce_many(app, FULL)
        first.release()
        await second.reached.wait()
        assert len(watch.verdicts) == 1
        second.release()
        await watch.until(lambda: len(watch.verdicts) == FULL + 1)


async def test_the_heartbeat_meanwhile_calls_nothing_lost(server: RedisServer) -> None:
    """It finds what the server has settled, and what the worker does not know of yet."""
    watch = Watch()
    async with (
        proxied(server.socket) as proxy,
        make_app(proxy, server) as app,
        running(app, observers=[watch], settings=replace(ROOMY, lease=0.6)),
    ):
        first = await busy_with_one(app, proxy)
        second = proxy.hold_reply(SETTLE)
        await produce_many(app, FULL)
        await second.reached.wait()
        beats = [proxy.hold_reply(EXTEND) for _ in range(3)]
        first.release()
        for beat in beats:
            beat.release()
            await beat.reached.wait()
        second.release()
        await watch.until(lambda: len(watch.verdicts) == FULL + 1)
    for kind in (LeaseLost, Vanished, Refused):
        assert watch.of(kind) == []


async def test_its_reply_is_lost(server: RedisServer) -> None:
    watch = Watch()
    async with (
        proxied(server.socket) as proxy,
        make_app(proxy, server) as app,
        running(app, observers=[watch], settings=ROOMY),
    ):
        first = await busy_with_one(app, proxy)
        proxy.lose_reply(SETTLE)
        await produce_many(app, FULL)
        await proxy.lost.wait()
        first.release()
        await watch.until(lambda: len(watch.verdicts) == FULL + 1)
    assert len({verdict.job.id for verdict in watch.verdicts}) == FULL + 1
    for kind in (LeaseLost, Vanished, Refused):
        assert watch.of(kind) == []


async def test_there_is_no_room_for_its_connection(
    make_server: Callable[..., RedisServer],
) -> None:
    """The first one does as well, and nobody calls the server lost."""
    watch, server = Watch(), make_server()
    async with (
        proxied(server.socket) as proxy,
        make_app(proxy, server) as app,
        running(app, observers=[watch], settings=ROOMY),
    ):
        first = await busy_with_one(app, proxy)
        with server.client() as client:
            client.config_set("maxclients", len(client.client_list()))
            await produce_many(app, FULL)
            first.release()
            await watch.until(lambda: len(watch.verdicts) == FULL + 1)
            client.config_set("maxclients", 1000)
    assert watch.of(ServerLost) == []
