"""How scripts are put together, and how they get to the server."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files

import pytest
import redis
from redis.crc import key_slot

from streamq import App, lua
from streamq.wire.keys import group_keys, stream_keys
from tests.servers import RedisServer

NAMES = sorted(
    path.name.removesuffix(".lua")
    for path in files("streamq.lua").iterdir()
    if path.name.endswith(".lua")
)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_whole_and_known_by_its_digest(name: str, client: redis.Redis) -> None:
    script = lua.load(name)
    assert "--@include" not in script.source
    assert script.source.startswith("#!lua")
    assert client.script_load(script.source) == script.sha


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_it_takes_and_returns(name: str) -> None:
    source = lua.load(name).source
    header = source[: re.search(r"^(?!#|--)", source, re.MULTILINE).start()]  # type: ignore[union-attr]  # a script has code
    assert "-- KEYS[1]" in header
    assert "-- ARGV[1" in header
    assert re.search(r"^-- Returns ", header, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_fragment_is_put_in_once(name: str) -> None:
    source = lua.load(name).source
    functions = re.findall(r"^local function (\w+)", source, re.MULTILINE)
    assert len(functions) == len(set(functions))


def test_scripts_that_free_memory_may_run_without_any() -> None:
    freeing = {
        "settle",
        "extend",
        "claim_due",
        "reclaim",
        "release",
        "retire",
        "retry_now",
        "to_dead_letters",
        "trim",
        "abandon",
        "configure",
        "rewind",
        "promote",
    }
    for name in freeing:
        assert lua.load(name).source.startswith("#!lua flags=allow-oom\n"), name
    refusing = ("produce_once", "produce_unique", "produce_within", "schedule", "redrive", "replay")
    for name in refusing:
        assert lua.load(name).source.startswith("#!lua\n"), name


def test_every_key_of_a_script_lies_in_one_slot() -> None:
    keys = group_keys("jobs", "g")
    calls = [
        lua.settle(keys, "c", 0, 0, [keys.job("1-1")], [], []),
        lua.reclaim(keys, "c", 1, lease=1, pause=1, silence=1, deliveries=1, deliveries_by_type={}),
        lua.to_dead_letters(keys, "e", 0, ["1-1"]),
        lua.redrive(keys, ["1-1"]),
        lua.retire(keys, "c"),
        lua.promote(stream_keys("jobs"), [(b"s", b"key"), (b"t", b"")], 1),
        lua.produce_unique(
            stream_keys("jobs"), "s", ("now", 0), "key", 1, 1, "settled", "replace", []
        ),
        lua.find_scheduled(stream_keys("jobs"), "s"),
        lua.reschedule(stream_keys("jobs"), "s", ("in", 0), "key"),
        lua.schedule(stream_keys("jobs"), "s", ("in", 0), "key", 0, []),
    ]
    for call in calls:
        assert len({key_slot(key.encode()) for key in call.keys}) == 1, call.keys


@pytest.mark.anyio
async def test_a_script_that_the_server_forgot_is_loaded_again(
    app: App, client: redis.Redis
) -> None:
    call = lua.promote(stream_keys("jobs"), [], 1)
    for _ in range(2):
        client.script_flush()
        assert await app.server.run(call) == [0]
    link = app.server.link()
    client.script_flush()
    assert await asyncio.gather(*(link.run(call) for _ in range(5))) == [[0]] * 5
    await link.close()


@pytest.mark.anyio
async def test_jobs_are_settled_although_the_scripts_are_flushed(
    app: App, client: redis.Redis, server: RedisServer
) -> None:
    seen: list[int] = []

    @app.handler("step")
    async def step(n: int) -> None:
        client.script_flush()
        seen.append(n)

    await app.produce_many(("step", {"n": n}) for n in range(20))
    await app.worker(burst=True).run()
    assert sorted(seen) == list(range(20))
    assert client.xlen("jobs") == 0
