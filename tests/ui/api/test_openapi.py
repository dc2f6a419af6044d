"""The OpenAPI document and the page at /docs say what the API does, and all of it."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from streamq.ui.api.openapi import document
from streamq.ui.api.operation import NoQuery, StreamQuery
from streamq.ui.api.table import OPERATIONS, PATH
from tests.ui.api.test_producing import problem

pytestmark = pytest.mark.anyio


async def test_the_document_is_served(http: httpx.AsyncClient) -> None:
    answer = await http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told == document("/")
    assert told["openapi"] == "3.1.0"
    assert told["servers"] == [{"url": "/"}]


def test_every_reference_leads_somewhere() -> None:
    told = document("/")
    known = told["components"]["schemas"]

    def references(part: Any) -> set[str]:
        match part:
            case {"$ref": str(name)}:
                return {name}
            case dict():
                return set().union(*map(references, part.values()))
            case list():
                return set().union(*map(references, part))
        return set()

    assert references(told) == {f"#/components/schemas/{name}" for name in known}


def test_a_program_may_be_told_more_than_it_knows() -> None:
    """Answers may get new fields; what is sent may not have any."""
    known, exact = (document("/", exact=exact)["components"]["schemas"] for exact in (False, True))
    for name in ("Written", "JobStatus", "JobInGroup", "DeadLetter"):
        assert "additionalProperties" not in known[name]
        assert exact[name]["additionalProperties"] is False
    for name in ("JobToWrite", "TheseLetters"):
        assert known[name] == exact[name]
        assert known[name]["additionalProperties"] is False


def test_everything_is_named_once_and_described() -> None:
    names = [one.name for one in OPERATIONS]
    assert len(set(names)) == len(names)
    for one in OPERATIONS:
        assert one.summary, one.name
        assert one.summary[0].isupper(), one.name
        assert set(re.findall(r"{(\w+)}", one.path)) <= set(PATH), one.name
        if one.query is not NoQuery and "stream" in one.query.model_fields:
            assert issubclass(one.query, StreamQuery), one.name
    for methods in document("/")["paths"].values():
        for told in methods.values():
            for parameter in told["parameters"]:
                assert parameter["description"], (told["operationId"], parameter["name"])


async def test_each_path_takes_its_methods_only(http: httpx.AsyncClient) -> None:
    known: dict[str, set[str]] = {}
    for one in OPERATIONS:
        known.setdefault(one.path, set()).add(one.method)
    for path, methods in known.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
            refused = await http.request(method, path.replace("{", "").replace("}", ""))
            assert problem(refused)[0] == 405, (method, path)
            assert methods <= set(refused.headers["allow"].split(", "))


async def test_a_path_that_there_is_not(http: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/jobs/", "/jobs/1-0/none"):
        assert problem(await http.get(path)) == (404, "there is nothing at this address")


async def test_the_page_for_people(http: httpx.AsyncClient) -> None:
    answer = await http.get("/", follow_redirects=True)
    assert str(answer.url).endswith("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for one in OPERATIONS:
        assert f"{one.method} {one.path}</code>" in answer.text
    for foreign in ("http://", "https://", "<script", "src="):
        assert foreign not in answer.text


async def test_answers_are_not_kept_by_caches(http: httpx.AsyncClient) -> None:
    for path in ("/streams", "/docs", "/openapi.json"):
        assert (await http.get(path)).headers["cache-control"] == "no-store"
