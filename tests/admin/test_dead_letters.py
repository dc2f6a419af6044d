"""Dead letters: listed, found, redriven and purged."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson
import pytest
import redis

from streamq import App, Job
from streamq.admin import DeadLetters, Redriven, RedriveSummary
from streamq.admin.dead_letters import BATCH
from streamq.admin.reading import PAGE
from streamq.errors import ConfigError, GroupNotFound, JobNotFound, WrongKeyType
from streamq.wire.keys import group_keys
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, read, succeed

pytestmark = pytest.mark.anyio

DLQ = group_keys("jobs", GROUP).dlq


@pytest.fixture
def letters(app: App) -> DeadLetters:
    return app.admin.dead_letters("jobs", GROUP)


def write_letter(
    client: redis.Redis, letter_id: str, job_id: str, fields: dict[str, str] | None = None
) -> None:
    """A dead letter as ``dead_letter.lua`` writes it, at a time of one's own choice."""
    meta = {"id": job_id, "reason": "gave up", "error": "x", "attempts": "1", "consumer": "c"}
    own = {"type": "resize", "data": "{}"} if fields is None else fields
    parts = [part for pair in (*meta.items(), *own.items()) for part in pair]
    client.execute_command("XADD", DLQ, letter_id, *parts)  # type: ignore[no-untyped-call]  # redis-py's


async def dead(app: App, server: RedisServer, count: int, type: str = "resize") -> list[str]:
    ids = [str(job) for job in await app.produce_many((type, {"n": n}) for n in range(count))]
    await fail(server.unix_url, retries=0, jobs=count)
    return ids


async def test_a_letter_says_what_happened(
    app: App, server: RedisServer, letters: DeadLetters
) -> None:
    [job_id] = await dead(app, server, 1)
    [letter] = [letter async for letter in letters.list()]
    assert (letter.job_id, letter.type, letter.data) == (job_id, "resize", {"n": 0})
    assert (letter.reason, letter.attempts) == ("retries exhausted", 1)
    assert letter.error == "RuntimeError: no such\\x1b[31m file"
    assert letter.consumer
    assert letter.dead_since >= letter.created_at
    assert letter.origin is None
    plain = orjson.loads(orjson.dumps(letter.to_dict()))
    assert (plain["job_id"], plain["data"]) == (job_id, {"n": 0})


async def test_order_type_and_limit(app: App, server: RedisServer, letters: DeadLetters) -> None:
    first = await dead(app, server, 2)
    second = await dead(app, server, 2, "other")

    async def found(**filters: object) -> list[str]:
        return [letter.job_id async for letter in letters.list(**filters)]  # type: ignore[arg-type]  # typed where it is called

    assert await letters.count() == 4
    assert await found() == first + second
    assert await found(newest_first=True) == (first + second)[::-1]
    assert await found(type="other") == second
    assert await found(type="none") == []
    assert await found(limit=3) == [*first, second[0]]
    assert await found(limit=0) == []
    assert await found(type="other", newest_first=True, limit=1) == [second[1]]


async def test_age(app: App, client: redis.Redis, letters: DeadLetters) -> None:
    now = int(client.time()[0]) * 1000
    write_letter(client, f"{now - 7200_000}-0", "1-0")
    write_letter(client, f"{now - 1800_000}-0", "2-0")
    assert [x.job_id async for x in letters.list(older_than=3600)] == ["1-0"]
    assert [x.job_id async for x in letters.list(older_than=86400)] == []
    assert await letters.count(older_than=3600) == 1
    assert await letters.count(type="other") == 0
    assert await letters.count() == 2


async def test_no_letters(letters: DeadLetters) -> None:
    assert await letters.count() == 0
    assert [letter async for letter in letters.list()] == []


async def test_large_letters_come_in_pages_of_their_own(
    app: App, server: RedisServer, letters: DeadLetters
) -> None:
    data = {"blob": "x" * 300_000}
    ids = [str(job) for job in await app.produce_many(("resize", data) for _ in range(25))]
    await fail(server.unix_url, retries=0, jobs=25)
    found = [letter async for letter in letters.list()]
    assert [letter.job_id for letter in found] == ids
    assert all(letter.data == data for letter in found)


async def test_a_letter_is_found_by_its_job_and_by_its_own_id(
    app: App, server: RedisServer, letters: DeadLetters
) -> None:
    ids = await dead(app, server, 3)
    letter = await letters.get(ids[1])
    assert letter.job_id == ids[1]
    assert await letters.get(letter.id) == letter
    assert await letters.find(ids[1]) == letter
    with pytest.raises(JobNotFound, match="no dead letter 1-1"):
        await letters.get("1-1")
    with pytest.raises(ConfigError, match="not a job ID"):
        await letters.get("the last one")


async def test_an_id_that_means_two_letters_means_the_jobs(
    client: redis.Redis, letters: DeadLetters
) -> None:
    write_letter(client, "5-0", "4-0")
    write_letter(client, "6-0", "5-0")
    assert (await letters.get("5-0")).id == "6-0"
    assert await letters.find("6-0") is None


async def test_what_somebody_wrote_there_by_hand_is_shown(
    client: redis.Redis, letters: DeadLetters
) -> None:
    client.xadd(DLQ, {"a": "b"}, id="5-0")
    [letter] = [letter async for letter in letters.list()]
    assert (letter.job_id, letter.data) == ("5-0", {"a": "b"})
    assert letter.error == "not written by streamq"


# -- redrive ------------------------------------------------------------------


async def test_a_redriven_job_reaches_only_the_group_that_failed_it(
    app: App, server: RedisServer, client: redis.Redis, letters: DeadLetters
) -> None:
    client.xgroup_create("jobs", "audit", "0", mkstream=True)
    [job_id] = await dead(app, server, 1)
    [redriven] = await letters.redrive([job_id])
    assert (redriven.id, redriven.error) == (job_id, "")
    seen: list[tuple[str, str, object, str | None]] = []

    @app.handler("*")
    async def see(job: Job) -> None:
        seen.append((job.group, job.id, job.data, job.origin))

    await app.worker(groups=["images", "audit"], burst=True).run()
    assert sorted(seen) == [
        ("audit", job_id, {"n": 0}, None),
        ("images", redriven.new_id, {"n": 0}, job_id),
    ]
    assert await letters.count() == 0
    assert not client.exists(DLQ)
    assert client.xlen("jobs") == 0


async def test_redrive_by_any_id_in_the_order_asked_for(
    app: App, server: RedisServer, letters: DeadLetters
) -> None:
    ids = await dead(app, server, 3)
    own = (await letters.get(ids[0])).id
    results = await letters.redrive([ids[2], "1-1", own])
    assert [result.id for result in results] == [ids[2], "1-1", own]
    assert [result.new_id is None for result in results] == [False, True, False]
    assert results[1].error == "the group images of jobs has no dead letter 1-1"
    assert [letter.job_id async for letter in letters.list()] == [ids[1]]
    assert (await letters.redrive([ids[2]]))[0].new_id is None
    assert await letters.redrive([]) == []


async def test_redrive_all_in_batches(
    app: App, server: RedisServer, client: redis.Redis, letters: DeadLetters
) -> None:
    ids = await dead(app, server, 2 * BATCH + 1)
    batches: list[Sequence[Redriven]] = []
    summary = await letters.redrive_all(progress=batches.append)
    assert summary == RedriveSummary(redriven=2 * BATCH + 1, failed=0)
    assert [len(batch) for batch in batches] == [BATCH, BATCH, 1]
    assert [result.id for batch in batches for result in batch] == ids
    assert await letters.count() == 0
    assert client.xlen("jobs") == len(ids)
    assert await letters.redrive_all() == RedriveSummary(0, 0)


async def test_redrive_all_leaves_what_dies_meanwhile(
    app: App, client: redis.Redis, letters: DeadLetters
) -> None:
    client.xgroup_create("jobs", GROUP, mkstream=True)
    for n in range(1, PAGE + 2):  # so that a second page has to be read
        write_letter(client, f"{n}-0", f"{n}-0")
    done: list[Redriven] = []

    def another(batch: Sequence[Redriven]) -> None:
        done.extend(batch)
        write_letter(client, f"{1000 + len(done)}-0", f"{900 + len(done)}-0")

    assert (await letters.redrive_all(progress=another)).redriven == PAGE + 1
    assert len(done) == PAGE + 1
    assert await letters.count() == 3


async def test_redrive_all_with_filters(
    app: App, server: RedisServer, client: redis.Redis, letters: DeadLetters
) -> None:
    await dead(app, server, 1)
    [other] = await dead(app, server, 1, "other")
    done: list[Redriven] = []
    await letters.redrive_all(type="other", progress=done.extend)
    assert [result.id for result in done] == [other]
    assert (await letters.redrive_all(older_than=3600)).redriven == 0
    assert await letters.count() == 1


async def test_a_letter_without_data_cannot_be_redriven_and_stays(
    app: App, client: redis.Redis, letters: DeadLetters
) -> None:
    client.xgroup_create("jobs", GROUP, mkstream=True)
    write_letter(client, "5-0", "4-0", {})
    [result] = await letters.redrive(["4-0"])
    assert result.new_id is None
    assert result.error == "the data of 4-0 had been deleted before it became a dead letter"
    assert await letters.redrive_all() == RedriveSummary(redriven=0, failed=1)
    letter = await letters.get("4-0")
    assert letter.raw is None
    assert letter.to_dict()["data"] is None


async def test_a_group_that_is_gone_gets_nothing_redriven(
    app: App, client: redis.Redis, letters: DeadLetters
) -> None:
    write_letter(client, "5-0", "4-0")
    client.xgroup_create("jobs", "audit", mkstream=True)
    with pytest.raises(GroupNotFound, match="no group images"):
        await letters.redrive(["4-0"])
    with pytest.raises(GroupNotFound):
        await letters.redrive_all()
    assert await letters.count() == 1


async def test_a_redriven_job_that_dies_again_keeps_its_first_id_as_origin(
    app: App, server: RedisServer, letters: DeadLetters
) -> None:
    [job_id] = await dead(app, server, 1)
    [redriven] = await letters.redrive([job_id])
    await fail(server.unix_url, retries=0)
    [letter] = [letter async for letter in letters.list()]
    assert (letter.job_id, letter.origin) == (redriven.new_id, job_id)
    [again] = await letters.redrive([letter.job_id])
    await succeed(server.unix_url)
    assert await letters.count() == 0
    assert again.new_id != redriven.new_id


# -- purge --------------------------------------------------------------------


async def test_purge_by_id(app: App, server: RedisServer, letters: DeadLetters) -> None:
    ids = await dead(app, server, 3)
    own = (await letters.get(ids[0])).id
    assert await letters.purge([own, "1-1", ids[1]]) == {own: True, "1-1": False, ids[1]: True}
    assert [letter.job_id async for letter in letters.list()] == [ids[2]]


async def test_purge_all_leaves_no_key(
    app: App, server: RedisServer, client: redis.Redis, letters: DeadLetters
) -> None:
    await dead(app, server, BATCH + 1)
    batches: list[int] = []
    assert await letters.purge_all(progress=batches.append) == BATCH + 1
    assert batches == [BATCH, 1]
    assert await letters.purge_all() == 0
    assert not client.exists(DLQ)


async def test_purge_all_with_filters(
    app: App, server: RedisServer, client: redis.Redis, letters: DeadLetters
) -> None:
    now = int(client.time()[0]) * 1000
    write_letter(client, f"{now - 7200_000}-0", "1-0", {"type": "old", "data": "{}"})
    write_letter(client, f"{now - 7200_000}-1", "2-0", {"type": "other", "data": "{}"})
    write_letter(client, f"{now - 60_000}-0", "3-0", {"type": "old", "data": "{}"})
    assert await letters.purge_all(type="old", older_than=3600) == 1
    assert [letter.job_id async for letter in letters.list()] == ["2-0", "3-0"]


async def test_the_key_holds_something_else(client: redis.Redis, letters: DeadLetters) -> None:
    client.set(DLQ, "x")
    with pytest.raises(WrongKeyType, match=f"the key {re.escape(DLQ)} holds another type"):
        [letter async for letter in letters.list()]
    with pytest.raises(WrongKeyType, match=f"the key {re.escape(DLQ)} holds another type"):
        await letters.count()
    with pytest.raises(WrongKeyType):
        await letters.purge(["1-1"])
    assert client.get(DLQ) == "x"


async def test_a_foreign_jobs_fields_are_its_data(
    app: App, client: redis.Redis, server: RedisServer, letters: DeadLetters
) -> None:
    job_id = add(client, {"file": "a.png", "for": "me"})
    await fail(server.unix_url, retries=0)
    assert (await letters.get(job_id)).data == {"file": "a.png", "for": "me"}
    await letters.redrive([job_id])
    assert read(client, "a")


@pytest.mark.parametrize("newest_first", [False, True])
async def test_page_after_page(
    app: App, server: RedisServer, letters: DeadLetters, newest_first: bool
) -> None:
    ids = await dead(app, server, 5)
    found: list[str] = []
    after = None
    while True:
        page = [
            letter async for letter in letters.list(limit=2, after=after, newest_first=newest_first)
        ]
        if not page:
            break
        found += [letter.job_id for letter in page]
        after = page[-1].id
    assert found == (ids[::-1] if newest_first else ids)
    with pytest.raises(ConfigError, match="not a job ID"):
        _ = [letter async for letter in letters.list(after="x")]


async def test_a_page_of_old_ones_stays_among_the_old_ones(
    client: redis.Redis, letters: DeadLetters
) -> None:
    write_letter(client, "1-1", "1-0")
    write_letter(client, "*", "2-0")
    [new] = [letter.id async for letter in letters.list(limit=1, newest_first=True)]
    old = letters.list(older_than=3600, newest_first=True, after=new)
    assert [letter.id async for letter in old] == ["1-1"]
