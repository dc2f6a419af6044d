"""Who may come in over HTTP, what they may do, and what a browser may not be made to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from streamq.errors import ConfigError
from streamq.ui.http.access import Access, Guard, access, check_binding

pytestmark = pytest.mark.anyio

TOKEN = "s3cret-token"
LOGIN = ("ann", "pass:word")


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("in")


async def ask(
    access: Access,
    method: str = "GET",
    path: str = "/",
    *,
    headers: Mapping[Any, Any] | None = None,
    auth: tuple[str, str] | None = None,
    host: str = "localhost",
    hosts: tuple[str, ...] | None = (),
) -> httpx.Response:
    """Ask a guarded app."""
    routes = [Route(path, answer, methods=["GET", "POST"]) for path in ("/", "/healthz")]
    guarded = Guard(Starlette(routes=routes), access, hosts=hosts, open_paths=["/healthz"])
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.request(method, path, headers=headers, auth=auth)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer", 401),
        ("Bearer ä", 401),
        (f"Token {TOKEN}", 401),
        ("Basic !!!", 401),
        ("Basic w7/Dvw==", 401),
    ],
)
async def test_a_token_is_asked_for(header: str | None, status: int) -> None:
    headers = {} if header is None else {b"authorization": header.encode()}
    given = await ask(Access(TOKEN), headers=headers)

    assert given.status_code == status
    if status == 401:
        assert given.headers.get_list("www-authenticate") == [
            'Bearer realm="streamq"', 'Basic realm="streamq", charset="UTF-8"',
        ]  # fmt: skip
        assert given.headers["content-type"] == "application/problem+json"
        assert given.json()["type"] == "urn:streamq:problem:not_authenticated"


@pytest.mark.parametrize(
    ("access", "auth", "status"),
    [
        (Access(TOKEN), ("", TOKEN), 200),
        (Access(TOKEN), ("whoever", TOKEN), 200),
        (Access(TOKEN), (TOKEN, ""), 401),
        (Access(None, LOGIN), LOGIN, 200),
        (Access(None, LOGIN), ("ann", "pass"), 401),
        (Access(None, LOGIN), ("bob", "pass:word"), 401),
        (Access(TOKEN, LOGIN), LOGIN, 200),
        (Access(TOKEN, LOGIN), ("ann", TOKEN), 200),
        (Access(TOKEN, LOGIN), ("ann", "x"), 401),
    ],
)
async def test_a_browser_logs_in(access: Access, auth: tuple[str, str], status: int) -> None:
    assert (await ask(access, auth=auth)).status_code == status


async def test_a_bearer_does_not_come_in_with_the_password_of_a_login() -> None:
    given = await ask(Access(None, LOGIN), headers={"authorization": "Bearer pass:word"})
    assert given.status_code == 401


async def test_anybody_may_look_at_what_is_open() -> None:
    assert (await ask(Access(TOKEN), path="/healthz")).status_code == 200
    assert (await ask(Access(TOKEN), "POST", "/healthz")).status_code == 401


async def test_read_only_changes_nothing() -> None:
    assert (await ask(Access(read_only=True))).status_code == 200
    refused = await ask(Access(read_only=True), "POST")
    assert (refused.status_code, refused.json()["title"]) == (403, "Read-only")


@pytest.mark.parametrize(
    "host", ["localhost", "queues.localhost", "127.0.0.1", "[::1]", "10.0.0.7"]
)
async def test_it_answers_to_this_machine_and_to_addresses(host: str) -> None:
    assert (await ask(Access(), host=f"{host}:8080")).status_code == 200


async def test_another_name_may_not_lead_here() -> None:
    """As a site's own name does that an attacker points to 127.0.0.1 (DNS rebinding)."""
    refused = await ask(Access(), host="evil.example")
    assert refused.status_code == 421
    assert "--allow-host" in refused.json()["detail"]
    assert (await ask(Access(), host="evil.example.localhost.evil.example")).status_code == 421
    assert (await ask(Access(), headers={"host": ""})).status_code == 421

    assert (await ask(Access(), host="Queues.Example", hosts=("queues.example",))).is_success
    assert (await ask(Access(), host="any.example", hosts=None)).is_success
    guarded = await ask(Access(TOKEN), host="any.example", auth=("", TOKEN))
    assert guarded.is_success  # a browser sends the login of one name to no other


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:1234"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://behind-a-proxy.example"}, 200),
    ],
)
async def test_another_site_may_not_change_anything(headers: dict[str, str], status: int) -> None:
    for who, auth in ((Access(), None), (Access(TOKEN), ("", TOKEN))):
        assert (await ask(who, "POST", headers=headers, auth=auth)).status_code == status
        assert (await ask(who, "GET", headers=headers, auth=auth)).status_code == 200


async def test_a_program_with_a_token_may_come_from_anywhere() -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "origin": "https://n8n.example"}
    assert (await ask(Access(TOKEN), "POST", headers=headers)).is_success


async def test_a_web_socket_is_closed() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": []}
    await Guard(Starlette(), Access(), hosts=None)(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_from_the_options_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STREAMQ_TOKEN", "STREAMQ_BASIC_AUTH"):
        monkeypatch.delenv(name, raising=False)
    assert access() == Access()
    assert access(TOKEN, read_only=True) == Access(TOKEN, None, True)
    assert access(basic_auth="ann:pass:word") == Access(None, LOGIN)

    monkeypatch.setenv("STREAMQ_TOKEN", TOKEN)
    monkeypatch.setenv("STREAMQ_BASIC_AUTH", "ann:pass:word")
    assert access() == Access(TOKEN, LOGIN)
    assert access("other") == Access("other")
    monkeypatch.setenv("STREAMQ_TOKEN", "")
    assert access() == Access(None, LOGIN)


@pytest.mark.parametrize("token", ["", "a b", "ä", "a\n", "a=b"])
def test_a_token_that_no_header_can_carry(token: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand"):
        access(token)


@pytest.mark.parametrize("login", ["ann", "ann:", ":x", ""])
def test_a_login_that_is_none(login: str) -> None:
    with pytest.raises(ConfigError, match="NAME:PASSWORD"):
        access(basic_auth=login)


def test_what_a_token_looks_like_is_not_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        access("my secret")
    assert "my secret" not in str(refused.value)
    assert TOKEN not in repr(Access(TOKEN, LOGIN))
    assert "word" not in repr(Access(TOKEN, LOGIN))


def test_where_others_come_somebody_must_be_asked() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        check_binding(host, Access())
    for host in ("0.0.0.0", "::", ""):
        with pytest.raises(ConfigError, match="STREAMQ_TOKEN"):
            check_binding(host, Access())
        check_binding(host, Access(TOKEN))
        check_binding(host, Access(None, LOGIN))
    with pytest.raises(ConfigError, match="no such address"):
        check_binding("no such host", Access())
