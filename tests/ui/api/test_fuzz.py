"""Whatever the OpenAPI document permits, and what it does not: schemathesis asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import hypothesis
import pytest

from streamq import App
from streamq.ui.api import api
from streamq.ui.api.openapi import document
from streamq.ui.http.serving import HTTPServer
from tests.servers import RedisServer
from tests.situations import GROUP, fail, read

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

EXAMPLES = 20
"""Requests of each kind that each operation gets."""


@pytest.fixture(scope="module")
def known(shared_server: RedisServer) -> dict[str, list[str]]:
    """What there is to ask for: a job in each state, in two groups."""
    with shared_server.client() as client:
        client.flushall()
        client.xgroup_create("jobs", "audit", "0", mkstream=True)
    anyio.run(_fill, shared_server.unix_url)
    with shared_server.client() as client:
        read(client, "web-1", 2)
        jobs: Any = client.xrange("jobs")
        letters: Any = client.xrange(f"{{jobs}}:group:{GROUP}:dlq")
        ids = [id for id, _ in [*jobs, *letters]]
    return {"id": ids, "letter": ids, "group": [GROUP, "audit"], "stream": ["jobs"]}


async def _fill(url: str) -> None:
    async with App(url) as app:
        await app.produce_many(("resize", {"n": n}) for n in range(3))
        await fail(url, retries=0, jobs=3)
        await app.produce_many(("resize", {"n": n}) for n in range(3))
        await fail(url, retries=3)
        await app.produce("later", delay=3600)


@pytest.fixture(scope="module")
def url(shared_server: RedisServer, known: dict[str, list[str]]) -> Iterator[str]:
    """Where the API is, over real HTTP."""
    ready, end = threading.Event(), threading.Event()
    found: list[HTTPServer] = []

    async def serve() -> None:
        async with App(shared_server.unix_url) as app:
            found.append(HTTPServer(api(app), "127.0.0.1", 0))
            ready.set()
            async with anyio.create_task_group() as background:
                background.start_soon(found[0].run)
                await anyio.to_thread.run_sync(end.wait)
                found[0].stop()

    thread = threading.Thread(target=anyio.run, args=(serve,))
    thread.start()
    ready.wait()
    yield found[0].url
    end.set()
    thread.join()


SCHEMA = schemathesis.openapi.from_dict(document("/", exact=True))
ALL = [
    (operation, mode)
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
    for mode in schemathesis.GenerationMode
    if mode.is_positive or operation.query or operation.body  # nothing else can be got wrong
]

LOOSE = ("POST /jobs", "GET /jobs/{id}/result")
"""Where a schema does not say all: options that contradict each other, such as delay and at; that
of several groups one has to be named."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "mode"), ALL, ids=[f"{one.label} {mode.value}" for one, mode in ALL]
)
def test_it_does_as_it_says(
    operation: Any, mode: Any, url: str, known: dict[str, list[str]]
) -> None:
    """No answer that the document does not have, none that looks otherwise, and no 500."""

    excluded = [checks.positive_data_acceptance] if operation.label in LOOSE else []

    @hypothesis.given(operation.as_strategy(generation_mode=mode), hypothesis.strategies.data())
    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    def ask(case: Any, data: hypothesis.strategies.DataObject) -> None:
        for name in case.path_parameters if mode.is_positive and case.method != "DELETE" else ():
            # Of what is there, as often as not.
            value = data.draw(hypothesis.strategies.sampled_from([None, *known[name]]))
            case.path_parameters[name] = value or case.path_parameters[name]
        if "timeout" in case.query:
            case.query["timeout"] = "1ms"
        case.call_and_validate(base_url=url, excluded_checks=excluded)

    ask()
