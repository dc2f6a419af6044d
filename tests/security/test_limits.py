"""The limits of docs/security.md are those of the code, and hold."""

from __future__ import annotations

import re
import socket
import sys

import pytest
import redis

from streamq import App, Settings, limits
from streamq.observe.prometheus import Metrics
from streamq.programs.command import MAX_ARGUMENT
from streamq.programs.output import TAIL
from streamq.wire import entry
from tests.lua.support import command
from tests.markdown import ROOT, read
from tests.security.roles import documented
from tests.worker.support import Outcome, drain

PAGE = read(ROOT / "docs/security.md")


def limit(what: str) -> int:
    """The number that the page gives."""
    row = re.search(rf"^\| {re.escape(what)} \| ([\d,]+)", PAGE, re.MULTILINE)
    assert row is not None, what
    return int(row[1].replace(",", ""))


@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("data of a job, as JSON", limits.MAX_PAYLOAD),
        ("data of an emitted event", limits.MAX_PAYLOAD),
        ("type of a job", limits.MAX_TYPE),
        ("`unique=`, `key=`", limits.MAX_KEY),
        ("result that is kept", limits.MAX_RESULT),
        ("data that a record keeps", limits.KEEP_DATA),
        ("error that is kept", limits.MAX_ERROR),
        ("argument of a program", MAX_ARGUMENT),
        ("standard error of a program that is kept", TAIL),
    ],
)
def test_the_page_tells_the_limits_of_the_code(what: str, number: int) -> None:
    assert limit(what) == number


@pytest.mark.anyio
async def test_what_is_kept_of_a_result_and_of_the_data(app: App, client: redis.Redis) -> None:
    most, data = limit("result that is kept"), limit("data that a record keeps")

    @app.group("g").handler("t")
    async def handle(size: int, rest: str = "") -> str:
        return "x" * (size - 2)  # two are the quotes

    fits = (await app.produce("t", {"size": most})).id
    too_large = (await app.produce("t", {"size": most + 1})).id
    empty = len(entry.encode_data({"size": 9, "rest": ""}))
    short = (await app.produce("t", {"size": 9, "rest": "x" * (data - empty)})).id
    long = (await app.produce("t", {"size": 9, "rest": "x" * (data - empty + 1)})).id
    await drain(app, settings=Settings())

    def record(id: str, field: str) -> str | None:
        value: str | None = command(client, "HGET", f"{{jobs}}:group:g:job:{id}", field)
        return value

    assert len(record(fits, "result") or "") == most
    assert record(too_large, "result") is None
    assert record(too_large, "note") == (
        f"the result was not kept: {most + 1:,} bytes, the limit is {most:,}"
    )
    assert len(record(short, "data") or "") == data
    assert record(long, "data") == ""


@pytest.mark.anyio
async def test_what_is_kept_of_an_error(app: App, client: redis.Redis) -> None:
    @app.group("g").handler("t", retries=0)
    async def handle() -> None:
        raise ValueError("x" * 100_000)

    await app.produce("t")
    watch = await drain(app)
    assert watch.outcomes == [Outcome.DEAD]
    [letter] = [letter async for letter in app.admin.dead_letters("jobs", "g").list()]
    assert letter.error == f"ValueError: {'x' * (limit('error that is kept') - 1)}…"


@pytest.mark.anyio
@pytest.mark.parametrize(("fields", "kept"), [(2000, 2000), (2001, 1)])
async def test_what_is_kept_of_many_fields(
    app: App, client: redis.Redis, fields: int, kept: int
) -> None:
    assert limit("fields of an entry in a dead letter") == 2000
    app.group("g").handler("t")(lambda: None)
    own = [part for n in range(fields) for part in (f"f{n}", n)]
    command(client, "XADD", "jobs", "*", *own)
    await drain(app)
    [(_, letter)] = redis_entries(client, "{jobs}:group:g:dlq")
    assert len(letter) - 5 == kept


def redis_entries(client: redis.Redis, key: str) -> list[tuple[str, dict[str, str]]]:
    """All of a stream."""
    return client.xrange(key)  # type: ignore[return-value]  # redis-py's


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address")
def test_metrics_are_served_to_this_machine_alone() -> None:
    app = App("redis://127.0.0.1:1")
    app.handler("t")(lambda: None)
    metrics = Metrics(app.server, app.subscriptions())
    try:
        port = int(metrics.serve(port=0).rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))
    finally:
        metrics.close()


def test_the_page_shows_no_password_that_somebody_might_take() -> None:
    assert PAGE.count(">CHANGE-ME") == len(documented())
