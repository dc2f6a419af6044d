"""Nobody changes anything who should not, and nothing that a job carries is run."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
import redis
from starlette.applications import Starlette
from starlette.routing import Mount

from streamq import App
from streamq.errors import ConfigError
from streamq.ui.web import dashboard
from tests.servers import RedisServer
from tests.situations import GROUP, add, fail, read, succeed
from tests.ui.web.conftest import Visit
from tests.ui.web.visitor import Visitor, told

pytestmark = pytest.mark.anyio

AT: dict[str, Any] = {"stream": "jobs", "group": GROUP}

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"

PAGES = ("", "group", "pending", "dead", "consumers", "scheduled", "cron", "limits")


async def pages(visitor: Visitor, **query: Any) -> list[str]:
    return [await visitor.get(page, **query) for page in PAGES]


# -- who may change --------------------------------------------------------------


@pytest.fixture
def group(client: redis.Redis) -> None:
    client.xgroup_create("jobs", GROUP, "0", mkstream=True)


FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.usefixtures("group")
async def test_only_forms_of_its_own_change_anything(app: App, visitor: Visitor) -> None:
    body = "stream=jobs&group=images"
    own = await visitor.csrf()
    attempts: list[tuple[dict[str, str], str]] = [
        ({}, body),
        ({}, f"{body}&csrf="),
        ({}, f"{body}&csrf={'x' * 43}"),
        ({}, f"{body}&csrf={own}x"),
        ({"sec-fetch-site": "cross-site"}, f"{body}&csrf={own}"),
        ({"sec-fetch-site": "same-site"}, f"{body}&csrf={own}"),
        ({"origin": "https://evil.example"}, f"{body}&csrf={own}"),
        ({"origin": "null"}, f"{body}&csrf={own}"),
    ]
    for headers, content in attempts:
        answer = await visitor.client.post("/do/pause", content=content, headers=FORM | headers)
        assert answer.status_code == 403, (headers, content)
    bare = httpx.AsyncClient(transport=visitor.client._transport, base_url="http://localhost")
    answer = await bare.post("/do/pause", content=f"{body}&csrf={own}", headers=FORM)
    assert answer.status_code == 403  # without the cookie
    assert (await app.admin.group_state("jobs", GROUP)).paused_since is None
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": "http://localhost"}):
        answer = await visitor.client.post(
            "/do/pause", content=f"{body}&csrf={own}", headers=FORM | headers
        )
        assert answer.status_code == 303
    assert (await app.admin.group_state("jobs", GROUP)).paused_since is not None


@pytest.mark.usefixtures("group")
async def test_a_get_changes_nothing(app: App, visitor: Visitor) -> None:
    answer = await visitor.client.get("/do/pause", params=AT)
    assert answer.status_code == 405
    assert (await app.admin.group_state("jobs", GROUP)).paused_since is None


async def test_the_cookies_are_not_for_scripts_nor_for_other_sites(visitor: Visitor) -> None:
    answer = await visitor.client.get("/")
    [cookie] = answer.headers.get_list("set-cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.usefixtures("group")
async def test_read_only_shows_all_and_changes_nothing(
    app: App, client: redis.Redis, visit: Visit
) -> None:
    add(client, {"n": "1"})
    read(client, "c", 1)
    visitor = visit(read_only=True)
    for page in await pages(visitor, **AT):
        assert "<form method=" not in page.replace('<form method="dialog"', "")
        assert "read-only" in page
    token = await visitor.csrf()
    answer = await visitor.client.post(
        "/do/pause", content=f"stream=jobs&group=images&csrf={token}", headers=FORM
    )
    assert answer.status_code == 403
    assert (await app.admin.group_state("jobs", GROUP)).paused_since is None


@pytest.mark.parametrize(
    "back",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", ""],
)
@pytest.mark.usefixtures("group")
async def test_a_form_leads_nowhere_else(visitor: Visitor, back: str) -> None:
    answer = await visitor.send("pause", **AT, back=back)
    assert answer.headers["location"] == "/"


async def test_what_is_no_form_is_refused(visitor: Visitor) -> None:
    answer = await visitor.client.post("/do/pause", json={"stream": "jobs"})
    assert answer.status_code == 415
    answer = await visitor.client.post("/do/pause", content="a=" + "x" * 1_100_000, headers=FORM)
    assert answer.status_code == 413
    assert (await visitor.send("no-such-thing")).status_code == 404


async def test_a_token(app: App) -> None:
    transport = httpx.ASGITransport(dashboard(app, token="s3cret"))
    async with httpx.AsyncClient(transport=transport, base_url="http://anywhere") as client:
        answer = await client.get("/")
        assert answer.status_code == 401
        assert 'Basic realm="streamq"' in answer.headers["www-authenticate"]
        assert (await client.get("/static/style.css")).status_code == 401
        assert (await client.get("/", auth=("anybody", "s3cret"))).status_code == 200


# -- what is run -----------------------------------------------------------------------


async def test_nothing_inline_is_run_and_nothing_from_elsewhere(
    app: App, server: RedisServer, visitor: Visitor
) -> None:
    await app.produce("t")
    await fail(server.unix_url, retries=0)
    for page in PAGES:
        answer = await visitor.client.get(f"/{page}", params=AT)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)", answer.text)
        assert not re.search(r"(src|href|action)=\"(?!/|#)", answer.text)


async def test_errors_have_the_headers_too(
    app: App, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("streamq.ui.web.pictures.Pictures.take", broken)
    answer = await visitor.client.get("/")
    assert answer.status_code == 500
    assert "This should not happen" in answer.text
    assert "secret detail" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_what_a_job_carries_is_text(
    app: App, server: RedisServer, client: redis.Redis, visitor: Visitor
) -> None:
    job_id = add(client, {"type": EVIL[:100], "data": f'{{"a":"{EVIL.replace(chr(34), "")}"}}'})
    await fail(server.unix_url, retries=0)
    add(client, {EVIL: EVIL})
    read(client, EVIL, 1)
    await app.produce(EVIL[:100], {"x": EVIL}, delay=60, unique=EVIL[:60])
    await app.produce("t", {"x": EVIL}, stream=EVIL)
    client.xgroup_create(EVIL, "g", "0")
    await app.admin.pause("jobs", GROUP, type=EVIL[:100])
    shown = await pages(visitor, **AT)
    shown += await pages(visitor, stream=EVIL, group="g")
    shown += [
        await visitor.get(),
        await visitor.get("job", stream="jobs", id=job_id),
        await visitor.get("dead", **AT, q=EVIL, cause=EVIL, type=EVIL),
        await visitor.get("pending", **AT, type=EVIL, consumer=EVIL, min_idle=EVIL),
        await visitor.get("find", id=EVIL, status=404),
        await visitor.get("pending", stream=EVIL, group=EVIL, status=400),
        (await visitor.send("release", **AT, consumer=EVIL)).text,
        (await visitor.send("purge-all", **AT, type=EVIL[:100])).text,
    ]
    assert any("alert(1)" in page for page in shown)
    for page in shown:
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "49" not in re.findall(r"onerror=alert\(1\)&gt;(.{2})", page)
        assert not re.search(r'="[^"]*"\'>', page)
    answer = await visitor.send("cron-run", stream="jobs", name=EVIL[:90])
    page = (await visitor.client.get(answer.headers["location"])).text
    assert "alert(1)" in page
    assert "<script>alert" not in page


# -- what is shown ---------------------------------------------------------------------


async def test_masked_fields_are_shown_nowhere(
    app: App, server: RedisServer, client: redis.Redis, visit: Visit
) -> None:
    visitor = visit(mask=["password", "*.token"])
    data = {"user": "ann", "password": "hunter2", "card": {"token": "hunter2"}, "token": "open"}
    ids = [(await app.produce("t", data)).id]
    await fail(server.unix_url, retries=0)
    await app.produce("t", data, delay=3600)
    ids += [(await app.produce("t", data)).id]
    await succeed(server.unix_url, {"password": "hunter2", "ok": "yes"})
    long = {**data, "text": "x" * 500}
    ids += [(await app.produce("t", long)).id, (await app.produce("t", data)).id]
    ids += [add(client, {"type": "t", "data": "{not json hunter2"})]
    read(client, "c", 3)
    shown = await pages(visitor, **AT)
    shown += [await visitor.get("job", stream="jobs", id=id) for id in ids]
    shown += [await visitor.get("scheduled", stream="jobs")]
    for page in shown:
        assert "hunter2" not in page
    text = "".join(shown)
    for seen in ("ann", "open", "yes", "••••••", "some fields are masked", "cannot be masked"):
        assert seen in text, seen
    assert "No dead letter matches" in await visitor.get("dead", **AT, q="hunter2")
    assert "hunter2" in "".join(await pages(visit(), **AT))


@pytest.mark.parametrize("url", ["javascript:alert({trace_id})", "https://traces.example/"])
async def test_an_address_of_traces_that_cannot_be(app: App, url: str) -> None:
    with pytest.raises(ConfigError, match="address of traces"):
        dashboard(app, trace_url=url)


# -- where it is ------------------------------------------------------------------------


async def test_mounted_below_another_app(app: App, server: RedisServer) -> None:
    job = await app.produce("t")
    await fail(server.unix_url, retries=0)
    outer = Starlette(routes=[Mount("/a/queues", dashboard(app))])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(outer), base_url="https://shop.example"
    ) as client:
        visitor = Visitor(client, "/a/queues")
        for page in await pages(visitor, **AT):
            addresses = re.findall(r'(?:href|src|action|data-events|data-root)="([^"#]*)"', page)
            assert addresses
            assert all(address.startswith("/a/queues/") for address in addresses), addresses
        for name in ("style.css", "dashboard.js", "icon.svg"):
            assert (await client.get(f"/a/queues/static/{name}")).status_code == 200
        cookies = [c for c in client.cookies.jar if c.name == "streamq_csrf"]
        assert [(c.path, c.secure) for c in cookies] == [("/a/queues", True)]
        answer = await visitor.send("purge", **AT, id=job.id, back="/a/queues/dead?stream=jobs")
        assert 'value="/a/queues/dead?stream=jobs"' in answer.text
        answer = await visitor.send(
            "purge", **AT, id=job.id, back="/a/queues/dead?stream=jobs", confirmed="yes"
        )
        assert answer.headers["location"] == "/a/queues/dead?stream=jobs"
        assert told(await client.get(answer.headers["location"])) == "Purged 1 dead letter."
        answer = await visitor.send("pause", **AT, back="/elsewhere")
        assert answer.headers["location"] == "/a/queues/"
