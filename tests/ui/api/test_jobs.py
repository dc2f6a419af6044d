"""Jobs over HTTP: what has become of one, its result, its cures, and those that wait."""

from __future__ import annotations

import socket

import anyio
import httpx
import pytest
import redis

from streamq import App, Job
from streamq.ui.api import api
from streamq.ui.http.serving import HTTPServer
from tests.servers import RedisServer
from tests.situations import GROUP, fail, make_idle, read, succeed
from tests.ui.api.conftest import asking
from tests.ui.api.test_producing import problem
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def produced(http: httpx.AsyncClient, **job: object) -> str:
    """Write a job; its ID."""
    answer = await http.post("/jobs", json={"type": "resize", **job})
    return str(answer.json()["id"])


async def test_what_has_become_of_a_job(http: httpx.AsyncClient, server: RedisServer) -> None:
    id = await produced(http, data={"n": 1})
    await succeed(server.unix_url, {"size": 7})
    await succeed(server.unix_url, group="audit")

    told = (await http.get(f"/jobs/{id}")).json()
    assert (told["type"], told["stream"], told["data"]) == ("resize", "jobs", {"n": 1})
    states = {one["group"]: (one["state"], one["result"]) for one in told["groups"]}
    assert states[GROUP] == ("succeeded", {"size": 7})
    [one] = (await http.get(f"/jobs/{id}", params={"group": GROUP})).json()["groups"]
    assert (one["state"], one["attempts"]) == ("succeeded", 1)


async def test_a_job_without_a_trace(http: httpx.AsyncClient, client: redis.Redis) -> None:
    assert problem(await http.get("/jobs/7-0"))[0] == 404  # no stream
    client.xadd("jobs", {"type": "t"})
    status, detail = problem(await http.get("/jobs/7-0"))
    assert (status, "no trace of the job 7-0" in detail) == (404, True)
    assert problem(await http.get("/jobs/x"))[0] == 400
    assert problem(await http.get("/jobs/7-0?group=none"))[0] == 404
    assert problem(await http.get("/jobs/s-0123456789abcdef"))[0] == 404


# -- results ------------------------------------------------------------------


async def test_a_result_that_is_there(http: httpx.AsyncClient, server: RedisServer) -> None:
    id = await produced(http)
    await succeed(server.unix_url, {"size": 7})

    answer = await http.get(f"/jobs/{id}/result")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": id, "stream": "jobs", "group": GROUP, "state": "succeeded", "result": {"size": 7},
        "error": None, "dead_letter": None,
    }  # fmt: skip


async def test_a_result_is_waited_for(
    app: App, http: httpx.AsyncClient, server: RedisServer
) -> None:
    await app.admin.create_group("jobs", GROUP)
    id = await produced(http)
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await http.get(f"/jobs/{id}/result", params={"timeout": "30s"}))

    async with anyio.create_task_group() as background:
        background.start_soon(ask)
        await succeed(server.unix_url, 7)
    [answer] = answers
    assert (answer.status_code, answer.json()["result"]) == (200, 7)


async def test_a_result_that_is_not_there_yet(app: App, http: httpx.AsyncClient) -> None:
    await app.admin.create_group("jobs", GROUP)
    id = await produced(http)
    for timeout in ("0", "10ms"):
        answer = await http.get(f"/jobs/{id}/result", params={"timeout": timeout})
        assert (answer.status_code, answer.json()["state"]) == (202, "unfinished")
        assert answer.headers["retry-after"] == "1"


async def test_other_ends_are_told_as_well(http: httpx.AsyncClient, server: RedisServer) -> None:
    id = await produced(http)
    await fail(server.unix_url, retries=0)

    told = (await http.get(f"/jobs/{id}/result")).json()
    assert (told["state"], told["result"]) == ("dead", None)
    assert "no such\\x1b[31m file" in told["error"]
    letter = (await http.get(f"/groups/{GROUP}/dead-letters/{told['dead_letter']}")).json()
    assert letter["job_id"] == id


async def test_whose_result(app: App, http: httpx.AsyncClient, client: redis.Redis) -> None:
    id = await produced(http)
    for group in ("a", "b"):
        await app.admin.create_group("jobs", group)
    status, detail = problem(await http.get(f"/jobs/{id}/result"))
    assert (status, "a, b" in detail) == (400, True)
    assert problem(await http.get("/jobs/7-0/result?group=a"))[0] == 404


async def test_who_waits_and_goes_is_forgotten(
    app: App, server: RedisServer, client: redis.Redis
) -> None:
    """Over a real connection, which is closed while the answer is waited for."""
    await app.admin.create_group("jobs", GROUP)
    id = (await app.produce("resize")).id
    web = HTTPServer(api(app), "127.0.0.1", 0)

    def waiting() -> int:
        found = client.execute_command("PUBSUB", "SHARDCHANNELS")  # type: ignore[no-untyped-call]  # redis-py's
        return len(found)

    async with anyio.create_task_group() as background:
        background.start_soon(web.run)
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            connection.sendall(
                f"GET /jobs/{id}/result?timeout=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            await eventually(lambda: waiting() > 0)
        await eventually(lambda: waiting() == 0)
        web.stop()


# -- cures --------------------------------------------------------------------


async def test_cancelling(app: App, http: httpx.AsyncClient, client: redis.Redis) -> None:
    await app.admin.create_group("jobs", GROUP)
    id = await produced(http)

    answer = await http.post(f"/jobs/{id}/cancel")
    assert answer.status_code == 200
    assert answer.json() == {
        "job_id": id, "cancelled": True, "taken_back": False, "groups": {GROUP: "cancelled"},
    }  # fmt: skip
    [one] = (await http.get(f"/jobs/{id}")).json()["groups"]
    assert one["state"] == "cancelled"


async def test_cancelling_what_has_ended_or_never_was(
    http: httpx.AsyncClient, server: RedisServer
) -> None:
    id = await produced(http)
    await succeed(server.unix_url)
    done = (await http.post(f"/jobs/{id}/cancel")).json()
    assert (done["cancelled"], done["groups"]) == (False, {GROUP: "unknown"})
    assert problem(await http.post("/jobs/7-0/cancel"))[0] == 404
    assert problem(await http.post("/jobs/s-0123456789abcdef/cancel"))[0] == 404
    assert problem(await http.post(f"/jobs/{id}/cancel?group=none"))[0] == 404


async def test_cancelling_a_job_for_later(http: httpx.AsyncClient) -> None:
    id = await produced(http, delay="1h")
    assert (await http.post(f"/jobs/{id}/cancel")).json()["taken_back"]
    assert problem(await http.get(f"/jobs/{id}"))[0] == 404


async def test_retrying_now(http: httpx.AsyncClient, server: RedisServer) -> None:
    id = await produced(http)
    await fail(server.unix_url, retries=3)

    answer = await http.post(f"/jobs/{id}/retry")
    assert answer.json() == {"id": id, "due": True, "groups": {GROUP: "due"}}
    await succeed(server.unix_url)
    again = await http.post(f"/jobs/{id}/retry")
    assert again.json() == {"id": id, "due": False, "groups": {GROUP: "not_pending"}}
    assert problem(await http.post("/jobs/7-0/retry"))[0] == 404
    assert problem(await http.post("/jobs/x/retry"))[0] == 400


async def test_a_job_for_later_may_run_now(
    app: App, http: httpx.AsyncClient, server: RedisServer
) -> None:
    await app.admin.create_group("jobs", GROUP)
    id = await produced(http, delay="1h")
    assert (await http.post(f"/jobs/{id}/retry")).json() == {"id": id, "due": True, "groups": {}}
    await succeed(server.unix_url)
    done = (await http.post(f"/jobs/{id}/retry")).json()
    assert (done["due"], done["groups"]) == (False, {GROUP: "not_pending"})
    assert done["id"] != id  # that of its entry


# -- those that wait ----------------------------------------------------------


async def test_pending_jobs_and_filters(
    http: httpx.AsyncClient, server: RedisServer, client: redis.Redis
) -> None:
    failed = await produced(http, data={"n": 1})
    await fail(server.unix_url, retries=3)
    stalled = await produced(http)
    assert read(client, "web-1") == [stalled]
    make_idle(client, stalled, 100)
    await produced(http)
    read(client, "web-2")

    async def found(**query: object) -> list[str]:
        answer = await http.get("/pending", params=query)  # type: ignore[arg-type]  # of one kind
        return [job["state"] for job in answer.json()["items"]]

    assert await found() == ["retrying", "stalled", "running"]
    assert await found(state=["stalled", "running"]) == ["stalled", "running"]
    assert await found(consumer="web-2") == ["running"]
    assert await found(min_idle="1m") == ["stalled"]
    assert await found(min_idle="99.5") == ["stalled"]
    assert await found(group=GROUP, limit=1) == ["retrying"]
    [job] = (await http.get("/pending?state=retrying")).json()["items"]
    assert (job["id"], job["error"], job["preview"]) == (failed, "disk full", '{"n":1}')
    for wrong in ("state=lost", "limit=0", "limit=1001", "min_idle=soon", "limit=1&limit=2", "x=1"):
        assert problem(await http.get(f"/pending?{wrong}"))[0] == 400
    assert problem(await http.get("/pending?group=none"))[0] == 404


async def test_pending_jobs_page_by_page(
    app: App, http: httpx.AsyncClient, client: redis.Redis
) -> None:
    jobs = await app.produce_many(("t", {}) for _ in range(5))
    wanted = []
    for group in ("b", "a"):
        read(client, "web-1", 5, group)
    wanted = [(group, job.id) for group in ("a", "b") for job in jobs]

    found: list[tuple[str, str]] = []
    query: dict[str, str | int] = {"limit": 3}
    while True:
        page = (await http.get("/pending", params=query)).json()
        found += [(job["group"], job["id"]) for job in page["items"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert found == wanted
    for after in ("a/x", "1-0", ""):
        assert problem(await http.get(f"/pending?after={after}"))[0] == 400


async def test_jobs_for_later(http: httpx.AsyncClient) -> None:
    ids = [await produced(http, delay=delay) for delay in (300, 100, 200)]
    page = (await http.get("/scheduled?limit=2")).json()
    assert [job["name"] for job in page["items"]] == [ids[1], ids[2]]
    assert page["more"]
    assert not (await http.get("/scheduled?limit=3")).json()["more"]


async def test_how_many_attempts_there_may_be_is_known_by_the_app(
    server: RedisServer, client: redis.Redis
) -> None:
    async with App(server.unix_url) as app, asking(app) as http:

        @app.group(GROUP).handler("resize", retries=6)
        async def resize(job: Job) -> None: ...

        id = await produced(http)
        read(client, "web-1")
        [job] = (await http.get("/pending")).json()["items"]
        assert (job["id"], job["max_attempts"]) == (id, 7)
