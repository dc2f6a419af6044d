"""Streams, groups and schedules over HTTP; and which streams are reached at all."""

from __future__ import annotations

import httpx
import pytest
import redis
from starlette.applications import Starlette
from starlette.routing import Mount

from streamq import App, Group, Job
from streamq.errors import ConfigError
from streamq.ui.api import api
from tests.servers import RedisServer
from tests.situations import GROUP, read
from tests.ui.api.conftest import asking
from tests.ui.api.test_producing import problem

pytestmark = pytest.mark.anyio


async def test_groups(app: App, http: httpx.AsyncClient, client: redis.Redis) -> None:
    await app.produce_many(("t", {}) for _ in range(3))
    read(client, "web-1", 2)

    [listed] = (await http.get("/groups")).json()["items"]
    told = (await http.get(f"/groups/{GROUP}")).json()
    for one in (listed, told):
        assert (one["name"], one["queued"], one["running"]) == (GROUP, 1, 2)
        [consumer] = one["consumers"]
        assert (consumer["name"], consumer["pending"], consumer["alive"]) == ("web-1", 2, True)
    assert problem(await http.get("/groups/none"))[0] == 404
    assert problem(await http.get("/groups?stream=none"))[0] == 403


async def test_pausing(app: App, http: httpx.AsyncClient) -> None:
    await app.admin.create_group("jobs", GROUP)
    path = f"/groups/{GROUP}"
    assert (await http.post(f"{path}/pause")).json() == {"changed": True, "paused": True}
    assert (await http.post(f"{path}/pause")).json() == {"changed": False, "paused": True}
    assert (await http.get(path)).json()["state"]["paused_since"] > 0
    assert (await http.post(f"{path}/resume")).json() == {"changed": True, "paused": False}
    assert (await http.post(f"{path}/pause?type=mail")).json()["changed"]
    state = (await http.get(path)).json()["state"]
    assert (state["paused_since"], [*state["paused_types"]]) == (None, ["mail"])
    assert (await http.post(f"{path}/resume?type=mail")).json()["changed"]
    assert problem(await http.post("/groups/none/pause"))[0] == 404


async def test_schedules(app: App, http: httpx.AsyncClient) -> None:
    assert (await http.get("/schedules")).json() == {"items": []}
    await app.admin.schedules.create("jobs", "report", "weekly", {"for": "ann"}, every=3600)
    [one] = (await http.get("/schedules")).json()["items"]
    assert (one["name"], one["type"], one["every"]) == ("report", "weekly", 3600.0)
    assert one["data"] == {"for": "ann"}


async def test_the_app_s_own_streams_are_reached(server: RedisServer) -> None:
    other = Group("audit")

    @other.handler("*", stream="orders")
    async def note(job: Job) -> None: ...

    async with App(server.unix_url, stream="main", priorities={"high": "urgent"}) as app:
        app.include(other)
        async with asking(app) as http:
            for stream, status in (
                ("main", 201), ("urgent", 201), ("orders", 201), ("jobs", 403), ("mainx", 403),
            ):  # fmt: skip
                answer = await http.post("/jobs", json={"type": "t", "stream": stream})
                assert answer.status_code == status
            assert (await http.post("/jobs", json={"type": "t"})).json()["stream"] == "main"
            listed = (await http.get("/streams")).json()["items"]
            assert [one["name"] for one in listed] == ["main", "orders", "urgent"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/1-0?stream=other"),
        ("GET", "/jobs/1-0/result?stream=other"),
        ("POST", "/jobs/1-0/cancel?stream=other"),
        ("POST", "/jobs/1-0/retry?stream=other"),
        ("GET", "/pending?stream=other"),
        ("GET", "/scheduled?stream=other"),
        ("GET", "/groups?stream=other"),
        ("GET", "/groups/g?stream=other"),
        ("POST", "/groups/g/pause?stream=other"),
        ("POST", "/groups/g/resume?stream=other"),
        ("GET", "/groups/g/dead-letters?stream=other"),
        ("GET", "/groups/g/dead-letters/1-0?stream=other"),
        ("DELETE", "/groups/g/dead-letters/1-0?stream=other"),
        ("POST", "/groups/g/dead-letters/1-0/redrive?stream=other"),
        ("POST", "/groups/g/redrive?stream=other"),
        ("POST", "/groups/g/purge?stream=other"),
        ("GET", "/streams/other"),
        ("GET", "/schedules?stream=other"),
    ],
)
async def test_no_other_stream_is_reached(
    app: App, http: httpx.AsyncClient, method: str, path: str
) -> None:
    await app.produce("t", stream="other")
    answer = await http.request(method, path, json={"all": True})
    status, detail = problem(answer)
    assert (status, "start the server with --stream" in detail) == (403, True)


async def test_streams_by_pattern(app: App) -> None:
    for stream in ("orders-eu", "orders-us", "mail", "a/b"):
        await app.produce("t", stream=stream)
    async with asking(app, streams=["orders-*", "a/b"]) as http:
        page = (await http.get("/streams")).json()
        assert [one["name"] for one in page["items"]] == ["a/b", "orders-eu", "orders-us"]
        assert not page["more"]
        assert (await http.get("/streams?limit=2")).json()["more"]
        assert (await http.get("/streams/orders-eu")).json()["length"] == 1
        assert (await http.get("/streams/a%2Fb")).json()["name"] == "a/b"
        assert problem(await http.get("/streams/mail"))[0] == 403
        assert problem(await http.get("/groups"))[0] == 403  # the app's own is not among them
    async with asking(app, streams=["*"]) as http:
        assert len((await http.get("/streams")).json()["items"]) == 4
    with pytest.raises(ConfigError, match="no name"):
        api(app, streams=[""])


async def test_read_only(app: App, client: redis.Redis) -> None:
    async with asking(app, read_only=True) as http:
        assert (await http.get("/streams")).is_success
        for method, path in (("POST", "/jobs"), ("DELETE", "/groups/g/dead-letters/1-0")):
            status, detail = problem(await http.request(method, path, json={"type": "t"}))
            assert (status, "read-only" in detail) == (403, True)
    assert client.dbsize() == 0


async def test_a_token(app: App) -> None:
    async with asking(app, token="s3cret") as http:
        for path in ("/streams", "/docs", "/openapi.json", "/", "/nothing"):
            assert problem(await http.get(path))[0] == 401
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        headers = {"authorization": "Bearer s3cret"}
        assert (await http.get("/streams", headers=headers)).is_success
    with pytest.raises(ConfigError):
        api(app, token="")


async def test_mounted_in_another_app(app: App) -> None:
    web = Starlette(routes=[Mount("/queue", api(app, token="s3cret"))])
    transport = httpx.ASGITransport(web)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as http:
        assert (await http.get("/queue/healthz")).is_success
        http.headers["authorization"] = "Bearer s3cret"
        written = await http.post("/queue/jobs", json={"type": "t"})
        assert written.headers["location"] == f"/queue/jobs/{written.json()['id']}"
        assert (await http.get(written.headers["location"])).is_success
        assert (await http.get("/queue/openapi.json")).json()["servers"] == [{"url": "/queue"}]
        assert (await http.get("/queue/")).headers["location"] == "/queue/docs"
