"""It stays until the last who has it lets it go: groups, dead letters."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from streamq import App, Dead, Job, Retry
from tests.lua.support import raw_entries
from tests.offload.support import BIG, count_of, data_keys, nothing_left
from tests.worker.support import AT_ONCE, Outcome, drain

pytestmark = pytest.mark.anyio


async def test_it_stays_until_the_last_group_has_settled(
    anywhere: App, client: redis.Redis
) -> None:
    seen: list[str] = []

    @anywhere.group("one").handler("a")
    async def one(text: str) -> None:
        seen.append("one")

    @anywhere.group("two").handler("a")
    async def two(text: str) -> None:
        seen.append("two")

    await anywhere.admin.create_group("jobs", "two")
    await anywhere.produce("a", {"text": BIG})
    await drain(anywhere, groups=["one"])
    assert count_of(anywhere, client) == 1
    await drain(anywhere, groups=["two"])
    assert seen == ["one", "two"]
    assert count_of(anywhere, client) == 0
    assert nothing_left(client)


async def test_a_dead_letter_has_it_redriven_too(anywhere: App, client: redis.Redis) -> None:
    """While another group is done with the entry, and after a purge that leaves nothing."""
    well = False
    seen: list[str] = []

    @anywhere.group("one").handler("a")
    async def one(text: str) -> None:
        if not well:
            raise Dead("not yet")
        seen.append(text)

    @anywhere.group("two").handler("a")
    async def two(text: str) -> None: ...

    await anywhere.admin.create_group("jobs", "one")
    await anywhere.admin.create_group("jobs", "two")
    job = await anywhere.produce("a", {"text": BIG})
    await drain(anywhere, groups=["one"])
    await drain(anywhere, groups=["two"])
    assert client.xlen("jobs") == 0
    assert count_of(anywhere, client) == 1
    letters = anywhere.admin.dead_letters("jobs", "one")
    letter = await letters.get(job.id)
    assert (letter.raw, letter.offloaded, letter.to_dict()["offloaded"]) == (None, 5011, 5011)

    await letters.redrive([job.id])
    await drain(anywhere)
    assert count_of(anywhere, client) == 1, "dead again"
    well = True
    await letters.redrive_all()
    await drain(anywhere)
    assert seen == [BIG]
    assert count_of(anywhere, client) == 0
    assert nothing_left(client)


@pytest.mark.parametrize("how", ["ids", "all", "with the group"])
async def test_a_purge_lets_it_go(how: str, anywhere: App, client: redis.Redis) -> None:
    for name in ("one", "two"):

        @anywhere.group(name).handler("a")
        async def handle(**data: Any) -> None:
            raise Dead("no")

    jobs = [await anywhere.produce("a", {"text": BIG}) for _ in range(3)]
    await anywhere.produce("a", {"text": ""})
    await drain(anywhere)
    assert count_of(anywhere, client) == 3
    assert client.hgetall("{jobs}:data:holders") != {}
    for name in ("one", "two"):
        letters = anywhere.admin.dead_letters("jobs", name)
        if how == "ids":
            assert all((await letters.purge([job.id for job in jobs])).values())
        elif how == "all":
            assert await letters.purge_all() == 4
        else:
            deleted = await anywhere.admin.delete_group("jobs", name, force=True, dead_letters=True)
            assert deleted.dead_letters == 4
        assert count_of(anywhere, client) == (3 if name == "one" else 0)
    assert data_keys(client) == []


async def test_what_only_a_deleted_group_had_kept(anywhere: App, client: redis.Redis) -> None:
    @anywhere.group("one").handler("a")
    async def handle(text: str) -> None: ...

    await anywhere.admin.create_group("jobs", "idle")
    await anywhere.produce("a", {"text": BIG})
    await drain(anywhere)
    assert count_of(anywhere, client) == 1
    deleted = await anywhere.admin.delete_group("jobs", "idle")
    assert deleted.entries == 1
    assert data_keys(client) == []
    assert count_of(anywhere, client) == 0


async def test_made_dead_by_hand_or_by_a_lost_worker(big: App, client: redis.Redis) -> None:
    for name in ("one", "two"):
        await big.admin.create_group("jobs", name)
    first = await big.produce("a", {"text": BIG})
    second = await big.produce("a", {"text": BIG})
    for name in ("one", "two"):
        client.xreadgroup(name, "gone", {"jobs": ">"})
    await big.admin.dead_letter("jobs", "one", [first.id, second.id])
    await big.admin.dead_letter("jobs", "two", [first.id])
    client.xclaim("jobs", "two", "gone", 0, [second.id], retrycount=9, idle=10**6, justid=True)

    @big.group("two").handler("a")
    async def handle(text: str) -> None: ...

    await drain(big)
    assert client.xlen("jobs") == 0
    assert count_of(big, client) == 2
    for name in ("one", "two"):
        assert await big.admin.dead_letters("jobs", name).purge_all() == 2
    assert data_keys(client) == []


async def test_an_entry_for_a_group_that_does_not_exist(big: App, client: redis.Redis) -> None:
    @big.group("one").handler("a")
    async def handle(text: str) -> None: ...

    await big.produce("a", {"text": BIG})
    [(_, fields)] = raw_entries(client, "jobs")
    client.delete("jobs")
    client.xadd("jobs", dict([*fields, ("for", "nobody")]))
    await drain(big)
    assert count_of(big, client) == 1
    [letter] = [letter async for letter in big.admin.dead_letters("jobs", "one").list()]
    assert (letter.reason, letter.offloaded) == ("no such group", 5011)
    await big.admin.dead_letters("jobs", "one").purge_all()
    assert data_keys(client) == []


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.SKIPPED])
async def test_a_job_that_is_not_run(outcome: Outcome, big: App, client: redis.Redis) -> None:
    @big.group("one", ignore=["b"]).handler("a")
    async def handle(text: str) -> None: ...

    if outcome is Outcome.EXPIRED:
        await big.produce("a", {"text": BIG}, expires=0)
    else:
        await big.produce("b", {"text": BIG})
    assert (await drain(big)).outcomes == [outcome]
    assert nothing_left(client)


async def test_attempts_read_it_again(big: App, client: redis.Redis) -> None:
    seen: list[int] = []

    @big.handler("a", retries=3, backoff=AT_ONCE)
    async def handle(job: Job, text: str) -> None:
        seen.append(len(text))
        if job.attempt < 3:
            raise Retry("again", delay=0)

    await big.produce("a", {"text": BIG})
    await drain(big)
    assert seen == [5000] * 3
    assert nothing_left(client)
