"""``POST /jobs``."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import orjson
import pytest
import redis

from streamq import App
from tests.servers import RedisServer
from tests.situations import entries
from tests.ui.api.conftest import asking

pytestmark = pytest.mark.anyio


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and detail of an answer that refuses."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    return answer.status_code, told["detail"]


async def test_a_job_is_written(http: httpx.AsyncClient, client: redis.Redis) -> None:
    answer = await http.post("/jobs", json={"type": "resize", "data": {"file": "ä.png"}})

    assert answer.status_code == 201
    told = answer.json()
    [(id, fields)] = entries(client).items()
    assert told == {
        "id": id, "stream": "jobs", "created": True, "replaced": False, "scheduled_for": None,
    }  # fmt: skip
    assert fields == {"type": "resize", "data": '{"file":"ä.png"}'}
    assert answer.headers["location"] == f"/jobs/{id}"
    assert (await http.get(answer.headers["location"])).json()["id"] == id


async def test_numbers_are_what_they_were(http: httpx.AsyncClient, client: redis.Redis) -> None:
    raw = b'{"type":"t","data":{"n":123456789012345678901234567890,"x":0.1}}'
    answer = await http.post("/jobs", content=raw, headers={"content-type": "application/json"})

    [fields] = entries(client).values()
    assert fields["data"] == '{"n":123456789012345678901234567890,"x":0.1}'
    told = await http.get(f"/jobs/{answer.json()['id']}")
    assert b'"n":123456789012345678901234567890' in told.content


async def test_all_options(app: App, client: redis.Redis) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with asking(app, streams=["*"]) as http:
        answer = await http.post(
            "/jobs",
            json={
                "type": "remind", "stream": "mail/today", "key": "user-7", "unique": "u7",
                "unique_for": "2h", "unique_until": "settled", "delay": 60, "expires": "1h",
            },
            headers={"traceparent": trace},
        )  # fmt: skip
        told = answer.json()
        assert (answer.status_code, told["stream"]) == (201, "mail/today")
        assert told["scheduled_for"].endswith("+00:00")
        place = answer.headers["location"]
        assert place == f"/jobs/{told['id']}?stream=mail%2Ftoday"
        found = (await http.get(place)).json()
        assert (found["state"], found["type"]) == ("scheduled", "remind")
        assert (await http.get("/streams/mail%2Ftoday")).status_code == 404  # nothing is in it
        page = (await http.get("/scheduled", params={"stream": "mail/today"})).json()
    [job] = page["items"]
    assert (job["key"], job["unique"], job["expires"]) == ("user-7", "u7", 3600.0)
    assert job["trace"] == trace


async def test_at_a_time(http: httpx.AsyncClient) -> None:
    later = {"type": "t", "at": "2090-01-31T07:00:00+01:00"}
    told = (await http.post("/jobs", json=later)).json()
    assert told["scheduled_for"] == "2090-01-31T06:00:00+00:00"


async def test_by_priority(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, priorities={"high": "urgent"}) as app, asking(app) as http:
        told = (await http.post("/jobs", json={"type": "t", "priority": "high"})).json()
        assert (told["stream"], client.xlen("urgent")) == ("urgent", 1)
        unknown = await http.post("/jobs", json={"type": "t", "priority": "low"})
        assert problem(unknown)[0] == 400


async def test_known_already(http: httpx.AsyncClient, client: redis.Redis) -> None:
    job = {"type": "t", "unique": "a"}
    first, second = [await http.post("/jobs", json=job) for _ in range(2)]

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json() | {"created": False}
    assert client.xlen("jobs") == 1
    refused = await http.post("/jobs", json=job | {"on_conflict": "error"})
    assert problem(refused)[0] == 409
    assert refused.json()["id"] == first.json()["id"]


async def test_a_job_for_later_is_replaced(http: httpx.AsyncClient) -> None:
    job = {"type": "t", "unique": "a", "delay": 3600, "on_conflict": "replace"}
    first = (await http.post("/jobs", json=job)).json()
    again = await http.post("/jobs", json=job | {"data": {"n": 2}})

    told = again.json()
    assert (again.status_code, told["id"], told["replaced"]) == (200, first["id"], True)
    assert (await http.get(f"/jobs/{first['id']}")).json()["data"] == {"n": 2}


@pytest.mark.parametrize("key", ["abc", '"abc"', " abc "])
async def test_the_key_in_the_header_is_the_idempotency_key(
    http: httpx.AsyncClient, client: redis.Redis, key: str
) -> None:
    await http.post("/jobs", json={"type": "t", "unique": "abc"})
    answer = await http.post("/jobs", json={"type": "t"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, client.xlen("jobs")) == (200, 1)


async def test_many_requests_at_once_with_one_key_write_one_job(
    http: httpx.AsyncClient, client: redis.Redis
) -> None:
    answers: list[httpx.Response] = []

    async def send() -> None:
        headers = {"Idempotency-Key": "order-7"}
        answers.append(await http.post("/jobs", json={"type": "t"}, headers=headers))

    async with anyio.create_task_group() as background:
        for _ in range(50):
            background.start_soon(send)

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert {answer.json()["id"] for answer in answers} == set(entries(client))


async def test_two_keys_contradict_each_other(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "a"}
    refused = await http.post("/jobs", json={"type": "t", "unique": "b"}, headers=headers)
    assert problem(refused) == (
        400, "the header Idempotency-Key and unique name different keys: leave one out",
    )  # fmt: skip
    for key in ("", '""', "x" * 513):
        refused = await http.post("/jobs", json={"type": "t"}, headers={"Idempotency-Key": key})
        assert problem(refused)[0] == 400


async def test_several_at_once(app: App, client: redis.Redis) -> None:
    jobs = [{"type": "t", "data": {"n": n}, "stream": f"s{n % 2}"} for n in range(5)]
    async with asking(app, streams=["s?"]) as http:
        answer = await http.post("/jobs", json=jobs, headers={"Idempotency-Key": "k"})
        again = await http.post("/jobs", json=jobs, headers={"Idempotency-Key": "k"})

    assert (answer.status_code, again.status_code) == (201, 200)
    told = answer.json()
    assert [one["stream"] for one in told] == ["s0", "s1", "s0", "s1", "s0"]
    assert again.json() == [one | {"created": False} for one in told]
    for stream in ("s0", "s1"):
        found: Any = client.xrange(stream)
        for id, fields in found:
            [n] = [n for n, one in enumerate(told) if (one["stream"], one["id"]) == (stream, id)]
            assert orjson.loads(fields["data"]) == {"n": n}


async def test_nothing_is_written_when_one_of_several_is_wrong(
    http: httpx.AsyncClient, client: redis.Redis
) -> None:
    fine = {"type": "t"}
    for wrong, place in (
        ({"data": {}}, "body.jobs.1.type"),
        ({"type": "t", "delay": -1}, "body.jobs.1.delay"),
        ({"type": "t", "delay": 1, "at": "2090-01-31T07:00Z"}, "at"),
        ({"type": "t", "unique_for": 5}, "unique_for"),
        ({"type": "t\n"}, "job type"),
    ):
        status, detail = problem(await http.post("/jobs", json=[fine, wrong]))
        assert status == 400
        assert place in detail
        assert client.keys() == [], wrong
    large = {"type": "t", "data": {"x": "x" * 1_100_000}}
    assert problem(await http.post("/jobs", json=[fine, large]))[0] == 413
    elsewhere = {"type": "t", "stream": "other"}
    assert problem(await http.post("/jobs", json=[fine, elsewhere]))[0] == 403
    assert client.keys() == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"type": "t", "data": {"x": NaN}}', "not JSON"),
        (b'{"type": "\\ud800"}', "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"null", "body.job"),
        (b"7", "body.job"),
        (b"[]", "body.jobs"),
        (b"[1]", "body.jobs.0"),
        (b"{}", "body.job.type: this is needed"),
        (b'{"type": 7}', "body.job.type"),
        (b'{"type": ""}', "body.job.type"),
        (b'{"type": "t", "data": []}', "body.job.data"),
        (b'{"type": "t", "data": "{}"}', "body.job.data"),
        (b'{"type": "t", "dta": {}}', "body.job.dta: nothing of this name is known here"),
        (b'{"type": "t", "delay": "soon"}', "give seconds as a number, or a text such as 30s"),
        (b'{"type": "t", "delay": true}', "body.job.delay"),
        (b'{"type": "t", "at": "2090-01-31T07:00"}', "has no time zone"),
        (b'{"type": "t", "at": "tomorrow"}', "give a time such as 2030-01-31T07:00:00Z"),
        (b'{"type": "t", "at": 7}', "give a time as text"),
        (b'{"type": "t", "on_conflict": "x"}', "body.job.on_conflict"),
        (b'{"type": "t", "stream": ""}', "stream"),
    ],
)
async def test_what_is_wrong_is_said(
    app: App, client: redis.Redis, body: bytes, words: str
) -> None:
    headers = {"content-type": "application/json"}
    async with asking(app, streams=["*"]) as http:
        status, detail = problem(await http.post("/jobs", content=body, headers=headers))
    assert status == 400
    assert words in detail
    assert client.keys() == []


async def test_the_body_is_json(http: httpx.AsyncClient) -> None:
    for headers in ({}, {"content-type": "text/plain"}):
        status, detail = problem(await http.post("/jobs", content=b"{}", headers=headers))
        assert (status, "curl --json" in detail) == (415, True)
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await http.post("/jobs", content=b'{"type":"t"}', headers=headers)).is_success


async def test_a_body_is_bounded_whether_or_not_it_says_its_length(
    http: httpx.AsyncClient, client: redis.Redis
) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield b" " * 1024 * 1024

    headers = {"content-type": "application/json"}
    status, detail = problem(await http.post("/jobs", content=endless(), headers=headers))
    assert (status, detail) == (
        413, "the body has more than 16.0 MiB: send fewer jobs at once, or less data",
    )  # fmt: skip
    assert read == 17
    declared = headers | {"content-length": str(1 << 40)}
    assert problem(await http.post("/jobs", content=endless(), headers=declared))[0] == 413
    assert read <= 18


async def test_a_full_stream(server: RedisServer, client: redis.Redis) -> None:
    async with App(server.unix_url, max_backlog=2) as app, asking(app, streams=["*"]) as http:
        refused = await http.post(
            "/jobs", json=[{"type": "t", "stream": "a"}] + [{"type": "t"}] * 3
        )
    assert problem(refused)[0] == 503
    assert refused.headers["retry-after"] == "1"
    told = refused.json()
    assert (told["backlog"], told["max_backlog"]) == (2, 2)
    assert len(told["job_ids"]) == 3
    assert (client.xlen("a"), client.xlen("jobs")) == (1, 2)


async def test_a_key_that_is_no_stream(http: httpx.AsyncClient, client: redis.Redis) -> None:
    client.set("jobs", "x")
    assert problem(await http.post("/jobs", json={"type": "t"}))[0] == 409


async def test_a_server_that_is_away(tmp_path: Any) -> None:
    async with App(f"unix://{tmp_path}/none.sock") as app, asking(app) as http:
        for method, path in (("POST", "/jobs"), ("GET", "/jobs/1-0"), ("GET", "/healthz")):
            refused = await http.request(method, path, json={"type": "t"})
            assert problem(refused)[0] == 503
            assert refused.headers["retry-after"] == "1"
