"""Waiting goes on when the connection is lost, the server starts anew, or a process is another."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import redis

from streamq import App, Settings
from streamq.errors import AuthenticationFailed, ResultTimeout
from tests.lua.support import command
from tests.results.support import PATIENCE, heard, images, running, waited_for
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.worker.proxy import proxied
from tests.worker.support import drain

pytestmark = pytest.mark.anyio

KEPT = Settings()


async def test_a_connection_that_is_lost_while_waiting(app: App, client: redis.Redis) -> None:
    images(app)
    jobs = await app.produce_many([("ok", {"n": n}) for n in range(150)])
    waiters = [asyncio.ensure_future(job.result(timeout=60)) for job in jobs]
    await eventually(lambda: heard(client) == 150)
    command(client, "CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: heard(client) == 150)
    await drain(app, settings=KEPT)
    assert await asyncio.gather(*waiters) == [{"n": n} for n in range(150)]


async def test_a_job_that_ends_while_the_connection_is_down(server: RedisServer) -> None:
    with server.client() as client:
        async with (
            proxied(server.socket) as proxy,
            App(proxy.url) as waits,
            App(server.unix_url) as works,
        ):
            images(works)
            job = await waits.produce("ok", {"n": 1})
            held = proxy.hold_reply(b"SSUBSCRIBE")
            result = asyncio.ensure_future(job.result(group="images", timeout=60))
            await held.reached.wait()  # subscribed, and not known to be
            await drain(works, settings=KEPT)
            command(client, "CLIENT", "KILL", "TYPE", "pubsub")
            held.release()
            assert await result == {"n": 1}


async def test_a_server_that_starts_anew(make_server: Callable[..., RedisServer]) -> None:
    server = make_server("--appendonly", "yes", "--appendfsync", "always")
    async with App(server.unix_url) as app:
        images(app)
        job = await app.produce("ok", {"n": 1})
        with server.client() as client:
            await eventually(lambda: True)
            result = asyncio.ensure_future(job.result(timeout=60))
            await eventually(lambda: heard(client) == 1)
        server.kill()
        with pytest.raises(ResultTimeout, match="the server cannot be asked now"):
            await job.result(timeout=0.1)
        assert not result.done()
        server.start()
        async with running(app, settings=KEPT):
            assert await result == {"n": 1}


async def test_a_user_who_may_not_listen(app: App, client: redis.Redis, server: Any) -> None:
    job = await app.produce("ok")
    command(client, "ACL", "SETUSER", "deaf", "reset", "on", ">pw", "~*", "+@all", "resetchannels")
    try:
        async with App(f"unix://deaf:pw@{server.socket}") as deaf:
            with pytest.raises(AuthenticationFailed, match=r"add it to the user's ACL with &"):
                await deaf.job(job.id).result(group="images", timeout=PATIENCE)
    finally:
        command(client, "ACL", "DELUSER", "deaf")


async def test_a_worker_that_may_not_tell_settles_all_the_same(
    app: App, client: redis.Redis, server: RedisServer
) -> None:
    command(client, "ACL", "SETUSER", "mute", "reset", "on", ">pw", "~*", "+@all", "resetchannels")
    try:
        job = await app.produce("ok", {"n": 1})
        async with App(f"unix://mute:pw@{server.socket}") as mute:
            images(mute)
            async with waited_for(client, job.result(group="images", timeout=1)) as result:
                await drain(mute, settings=KEPT)
                assert client.xlen("jobs") == 0
                assert await result == {"n": 1}, "found by the last look"
    finally:
        command(client, "ACL", "DELUSER", "mute")


WORKER = """
import asyncio, sys
from streamq import App

app = App(sys.argv[1])

@app.group("images").handler("ok")
async def handle(n: int) -> int:
    return n + 1

asyncio.run(app.worker(burst=True).run())
"""


async def test_a_worker_in_another_process(app: App, client: redis.Redis) -> None:
    jobs = await app.produce_many([("ok", {"n": n}) for n in range(3)])
    waiters = [asyncio.ensure_future(j.result(group="images", timeout=60)) for j in jobs]
    await eventually(lambda: heard(client) == 3)
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(app.url))
    assert await asyncio.gather(*waiters) == [1, 2, 3]
    assert await worker.wait() == 0


WAITER = """
import asyncio, json, sys
from streamq import App

async def main() -> None:
    async with App(sys.argv[1]) as app:
        print(json.dumps(await app.job(sys.argv[2]).result(group="images", timeout=60)))

asyncio.run(main())
"""


async def test_a_waiter_in_another_process(app: App, client: redis.Redis) -> None:
    images(app)
    job = await app.produce("ok", {"n": 1})
    waiter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WAITER, str(app.url), job.id, stdout=asyncio.subprocess.PIPE
    )
    try:
        await eventually(lambda: heard(client) == 1)
        await drain(app, settings=KEPT)
        out, _ = await waiter.communicate()
        assert json.loads(out) == {"n": 1}
    finally:
        with suppress(ProcessLookupError):
            waiter.kill()
