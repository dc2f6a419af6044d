"""Dead letters over HTTP."""

from __future__ import annotations

import httpx
import pytest

from streamq import App
from tests.servers import RedisServer
from tests.situations import GROUP, fail
from tests.ui.api.test_producing import problem

pytestmark = pytest.mark.anyio

LETTERS = f"/groups/{GROUP}/dead-letters"


@pytest.fixture
async def dead(app: App, server: RedisServer) -> list[str]:
    """The IDs of five jobs that are dead: three of one type, two of another."""
    types = ("resize", "resize", "resize", "mail", "mail")
    jobs = await app.produce_many((type, {"n": n}) for n, type in enumerate(types))
    await fail(server.unix_url, retries=0, jobs=5)
    return [job.id for job in jobs]


async def jobs_of(http: httpx.AsyncClient, **query: str | int) -> list[str]:
    return [letter["job_id"] for letter in (await http.get(LETTERS, params=query)).json()["items"]]


async def test_listing(http: httpx.AsyncClient, dead: list[str]) -> None:
    assert await jobs_of(http) == dead
    assert await jobs_of(http, newest_first="true", limit=2) == [dead[4], dead[3]]
    assert await jobs_of(http, type="mail") == dead[3:]
    assert await jobs_of(http, older_than="1h") == []
    for wrong in ("newest_first=1", "older_than=x", "after=x", "limit=x"):
        assert problem(await http.get(f"{LETTERS}?{wrong}"))[0] == 400


@pytest.mark.parametrize("newest_first", ["false", "true"])
async def test_page_by_page(http: httpx.AsyncClient, dead: list[str], newest_first: str) -> None:
    found: list[str] = []
    query: dict[str, str | int] = {"limit": 2, "newest_first": newest_first}
    while True:
        page = (await http.get(LETTERS, params=query)).json()
        found += [letter["job_id"] for letter in page["items"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert found == (dead[::-1] if newest_first == "true" else dead)


async def test_one(http: httpx.AsyncClient, dead: list[str]) -> None:
    letter = (await http.get(f"{LETTERS}/{dead[0]}")).json()
    assert (letter["job_id"], letter["type"], letter["data"]) == (dead[0], "resize", {"n": 0})
    assert (letter["reason"], letter["attempts"]) == ("retries exhausted", 1)
    assert (await http.get(f"{LETTERS}/{letter['id']}")).json() == letter
    assert problem(await http.get(f"{LETTERS}/7-0"))[0] == 404
    assert problem(await http.get(f"{LETTERS}/x"))[0] == 400


async def test_redriving_one(http: httpx.AsyncClient, dead: list[str]) -> None:
    done = (await http.post(f"{LETTERS}/{dead[0]}/redrive")).json()
    assert (done["id"], done["error"]) == (dead[0], "")
    job = (await http.get(f"/jobs/{done['new_id']}")).json()
    assert (job["origin"], job["for"], job["data"]) == (dead[0], GROUP, {"n": 0})
    assert await jobs_of(http) == dead[1:]
    assert problem(await http.post(f"{LETTERS}/{dead[0]}/redrive"))[0] == 404


async def test_purging_one(http: httpx.AsyncClient, dead: list[str]) -> None:
    assert (await http.delete(f"{LETTERS}/{dead[0]}")).json() == {"id": dead[0], "purged": True}
    assert await jobs_of(http) == dead[1:]
    assert problem(await http.delete(f"{LETTERS}/{dead[0]}"))[0] == 404


async def test_redriving_many(http: httpx.AsyncClient, dead: list[str]) -> None:
    async def redrive(**which: object) -> dict[str, object]:
        answer = await http.post(f"/groups/{GROUP}/redrive", json=which)
        assert answer.status_code == 200
        return dict(answer.json())

    done = await redrive(ids=[dead[0], "7-0"])
    assert (done["redriven"], done["failed"]) == (1, 1)
    assert done["errors"] == {"7-0": f"the group {GROUP} of jobs has no dead letter 7-0"}
    assert await redrive(type="mail") == {"redriven": 2, "failed": 0, "errors": {}}
    assert await redrive(older_than="1h") == {"redriven": 0, "failed": 0, "errors": {}}
    assert await jobs_of(http) == dead[1:3]
    assert await redrive(all=True) == {"redriven": 2, "failed": 0, "errors": {}}
    assert await jobs_of(http) == []


async def test_purging_many(http: httpx.AsyncClient, dead: list[str]) -> None:
    async def purge(**which: object) -> object:
        answer = await http.post(f"/groups/{GROUP}/purge", json=which)
        assert answer.status_code == 200
        return answer.json()

    assert await purge(ids=[dead[0], "7-0"]) == {"purged": 1, "unknown": ["7-0"]}
    assert await purge(type="mail", older_than=0) == {"purged": 2, "unknown": []}
    assert await purge(all=True) == {"purged": 2, "unknown": []}
    assert await jobs_of(http) == []


@pytest.mark.parametrize("doing", ["redrive", "purge"])
async def test_which_are_meant_must_be_said(
    http: httpx.AsyncClient, dead: list[str], doing: str
) -> None:
    wrong: list[object] = [
        {}, [], {"all": False}, {"all": True, "type": "mail"}, {"ids": []},
        {"ids": dead, "type": "mail"}, {"everything": True},
    ]  # fmt: skip
    for which in wrong:
        status, _ = problem(await http.post(f"/groups/{GROUP}/{doing}", json=which))
        assert status == 400
    assert await jobs_of(http) == dead


async def test_a_group_that_is_gone(app: App, http: httpx.AsyncClient, dead: list[str]) -> None:
    await app.admin.delete_group("jobs", GROUP, force=True)
    assert await jobs_of(http) == dead
    assert problem(await http.post(f"{LETTERS}/{dead[0]}/redrive"))[0] == 404
    assert problem(await http.post(f"/groups/{GROUP}/redrive", json={"all": True}))[0] == 404
    assert (await http.post(f"/groups/{GROUP}/purge", json={"all": True})).json()["purged"] == 5
