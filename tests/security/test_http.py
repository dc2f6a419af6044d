"""What ``streamq serve`` may do as the users of docs/security.md."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import redis

from streamq import App
from tests.security.roles import Role, documented
from tests.servers import RedisServer
from tests.situations import GROUP, fail, succeed
from tests.ui.api.conftest import asking

pytestmark = pytest.mark.anyio

ROLES = documented()


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    """May do anything."""
    with server.client() as client:
        yield client
        client.acl_deluser("streamq-http", ROLES["inspector"].user)


async def test_all_of_it_as_a_caller_and_an_operator(
    server: RedisServer, admin: redis.Redis
) -> None:
    tokens = dict.fromkeys((*ROLES["caller"].tokens, *ROLES["operator"].tokens))
    role = Role("streamq-http", tuple(tokens))
    role.create(admin)
    async with App(role.url(server)) as app, asking(app) as http:
        assert (await http.get("/healthz")).is_success
        ids = []
        for unique, then in (
            ("a", partial(succeed, server.unix_url, 7)),
            ("b", partial(fail, server.unix_url, retries=0)),
            ("c", partial(fail, server.unix_url, retries=3)),
        ):
            answer = await http.post("/jobs", json={"type": "t", "unique": unique})
            ids.append(answer.json()["id"])
            await then()
        done, dead, waiting = ids
        await http.post("/jobs", json={"type": "t", "delay": 60})
        letters = f"/groups/{GROUP}/dead-letters"
        for method, path, body in (
            ("GET", f"/jobs/{done}", None),
            ("GET", f"/jobs/{done}/result?timeout=1", None),
            ("GET", "/pending", None),
            ("GET", "/scheduled", None),
            ("GET", "/schedules", None),
            ("GET", "/groups", None),
            ("GET", "/streams", None),
            ("POST", f"/groups/{GROUP}/pause", None),
            ("POST", f"/groups/{GROUP}/resume", None),
            ("POST", f"/jobs/{waiting}/retry", None),
            ("POST", f"/jobs/{waiting}/cancel", None),
            ("GET", letters, None),
            ("POST", f"{letters}/{dead}/redrive", None),
            ("POST", f"/groups/{GROUP}/purge", {"all": True}),
        ):
            answer = await http.request(method, path, json=body)
            assert answer.status_code == 200, (path, answer.text)


async def test_looking_as_an_inspector(server: RedisServer, admin: redis.Redis) -> None:
    async with App(server.unix_url) as producer:
        id = (await producer.produce("t")).id
    await fail(server.unix_url, retries=0)
    role = ROLES["inspector"]
    role.create(admin)
    async with App(role.url(server)) as app:
        async with asking(app, read_only=True) as http:
            for path in (
                f"/jobs/{id}", "/pending", "/scheduled", "/schedules", "/groups", "/streams",
                f"/groups/{GROUP}/dead-letters", "/healthz",
            ):  # fmt: skip
                answer = await http.get(path)
                assert answer.status_code == 200, (path, answer.text)
        async with asking(app) as http:
            refused = await http.post("/jobs", json={"type": "t"})
            assert (refused.status_code, refused.json()["title"]) == (
                502, "The Redis server has refused it",
            )  # fmt: skip
            assert "does not permit" in refused.json()["detail"]
