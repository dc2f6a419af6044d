"""JSON that is exact, and other types as pydantic writes them."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import re
import uuid
from pathlib import Path
from typing import Any

import orjson
import pydantic
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from streamq import App, Job, Settings
from streamq.wire.json import dumps, loads
from tests.lua.support import raw_entries
from tests.markdown import ROOT, read
from tests.worker.support import Outcome, drain

PAGE = read(ROOT / "docs/handlers.md")


class Colour(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    width: int = 256
    share: float = 0.5


@dataclasses.dataclass
class Point:
    x: int
    file: Path


UTC = datetime.UTC
WRITTEN: list[tuple[str, Any, str]] = [
    ("whole numbers of any size", 12345678901234567890123, "12345678901234567890123"),
    ("`Decimal`", decimal.Decimal("1.10"), '"1.10"'),
    ("`datetime`", datetime.datetime(2030, 1, 31, 7, tzinfo=UTC), '"2030-01-31T07:00:00Z"'),
    ("`date`", datetime.date(2030, 1, 31), '"2030-01-31"'),
    ("`timedelta`", datetime.timedelta(seconds=90), '"PT1M30S"'),
    ("`UUID`", uuid.UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
    ("`Path`", Path("a/b.png"), '"a/b.png"'),
    ("an enum", Colour.RED, '"red"'),
    ("a set", {1}, "[1]"),
    ("a tuple", (1, "a"), '[1,"a"]'),
    ("`bytes`", b"text", '"text"'),
    ("a pydantic model", Model(), '{"width":256,"share":0.5}'),
    ("a dataclass", Point(1, Path("a")), '{"x":1,"file":"a"}'),
    ("keys that are no text", {1: 2}, '{"1":2}'),
]


@pytest.mark.parametrize(("name", "value", "written"), WRITTEN)
def test_how_each_type_is_written(name: str, value: Any, written: str) -> None:
    assert dumps(value).decode() == written
    assert dumps({"in": [value]}).decode() == f'{{"in":[{written}]}}'
    row = re.search(rf"^\| {re.escape(name)} \| `([^\n]*)` \|$", PAGE, re.MULTILINE)
    assert row is not None, name
    assert row[1] == written


numbers = (
    st.integers() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab9"), inner),
)


@given(values)
def test_what_is_written_is_read_again(value: Any) -> None:
    again = loads(dumps(value))
    assert again == value
    assert repr(again) == repr(value)  # 1 is not 1.0


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"n":12345678901234567890123}', {"n": 12345678901234567890123}),
        (b"-18446744073709551617", -18446744073709551617),
        (b"18446744073709551615", 18446744073709551615),
        (b'["1234567890123456789012345"]', ["1234567890123456789012345"]),
        (b"0.1234567890123456789012", 0.1234567890123456789012),
    ],
)
def test_numbers_are_exact(raw: bytes, value: Any) -> None:
    assert loads(raw) == value
    assert type(loads(raw)) is type(value)


@pytest.mark.parametrize(
    "raw",
    [
        b"1e999", b'{"n":1e999}', b'{"n":1e999,"m":1234567890123456789012}', b"NaN", b"",
        b"[1234567890123456789012", b'{"a":Infinity,"m":1234567890123456789012}', b"[1]x",
        b"1" * 400 + b".5", b"\xff",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each says it in its own words
        loads(raw)
    assert str(caught.value)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.nan, "nan"),
        ({"a": {"b": [1.0, math.inf]}}, r"inf is not a number of JSON \(a\.b\.1\)"),
        ([2**70, -math.inf], r"-inf .*\(1\)"),
        (Model(share=math.nan), r"\(share\)"),
        ({"a": None, "b": (math.nan,)}, r"\(b\.0\)"),
    ],
)
def test_a_number_that_is_none_is_refused(value: Any, where: str) -> None:
    with pytest.raises(ValueError, match=where):
        dumps(value)


def test_plain_data_is_written_as_orjson_does() -> None:
    value = {"a": [1, 2.5, "x", None, True], "b": {}}
    assert dumps(value) == orjson.dumps(value)


@pytest.mark.anyio
async def test_a_number_goes_all_the_way(app: App, client: redis.Redis) -> None:
    """From a foreign producer through a handler, its emit and its result."""
    seen: list[Any] = []
    number = 12345678901234567890123

    @app.handler("t")
    async def handle(job: Job, n: int) -> int:
        seen.append((n, job.data["n"]))
        job.emit("next", {"n": n}, stream="out")
        return n

    client.xadd("jobs", {"type": "t", "data": f'{{"n":{number}}}'})
    id = (await app.produce("t", {"n": number})).id
    assert (await drain(app, settings=Settings())).outcomes == [Outcome.SUCCEEDED] * 2
    assert seen == [(number, number)] * 2
    assert client.hget(f"{{jobs}}:group:default:job:{id}", "result") == str(number)
    assert raw_entries(client, "out")[0][1][1] == ("data", f'{{"n":{number}}}')
    [group] = (await app.admin.status("jobs", id)).groups
    assert group.result == number
