"""Jobs out of arguments and lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamq.cli.produce.jobs import from_fields, from_json
from streamq.errors import ConfigError


@pytest.mark.parametrize(
    ("fields", "job"),
    [
        (["file=image_1.png"], ("", {"file": "image_1.png"})),
        (["a=", "b==", "c=x=y", "d= 1 "], ("", {"a": "", "b": "=", "c": "x=y", "d": " 1 "})),
        (["url=http://h/?a:=1"], ("", {"url": "http://h/?a:=1"})),
        (["n:=1", "t:=[true, null]", 's:="x"'], ("", {"n": 1, "t": [True, None], "s": "x"})),
        (["a:b=c", "é=ü"], ("", {"a:b": "c", "é": "ü"})),
        (["type=resize", "file=a"], ("resize", {"file": "a"})),
        (['type:="a field"'], ("", {"type": "a field"})),
    ],
)
def test_fields(fields: list[str], job: tuple[str, Any]) -> None:
    assert from_fields(fields, "") == job


def test_fields_of_a_type() -> None:
    assert from_fields(["a=1"], "resize") == ("resize", {"a": "1"})


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("resize", "'resize' is no field: write KEY=VALUE, or --type"),
        ("=1", "has no key"),
        (":=1", "has no key"),
        ("n:=1x", "n:=1x: not JSON: .* for text write KEY=VALUE"),
        ("a=2", "'a' is given twice"),
        ("type=resize", "the type is given twice"),
        ("\x1b[31m", r"'\\x1b\[31m' is no field"),
    ],
)
def test_what_is_no_field(field: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        from_fields(["a=1", field], "t")


@pytest.mark.parametrize(
    ("line", "job"),
    [
        ({"type": "resize", "data": {"file": "a"}}, ("resize", {"file": "a"})),
        ({"data": {"file": "a"}}, ("default", {"file": "a"})),
        ({"type": "resize", "file": "a"}, ("resize", {"file": "a"})),
        ({"file": "a"}, ("default", {"file": "a"})),
        ({"type": "resize"}, ("resize", {})),
        ({"data": {"type": "a field"}}, ("default", {"type": "a field"})),
        ({}, ("default", {})),
    ],
)
def test_lines(line: object, job: tuple[str, Any]) -> None:
    assert from_json(json.dumps(line).encode(), "default") == job


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nonsense", "not JSON: .* at column 1"),
        (b'{"a": 1', "not JSON: "),
        (b'{"a": NaN}', "not JSON: "),
        (b'{"a": "\xff"}', "not JSON: "),
        (b"[1]", "not an object but a list"),
        (b"null", "not an object but null"),
        (b"1.5", "not an object but a number"),
        (b'{"data": "text"}', '"data" is not an object but text'),
        (b'{"data": {}, "delay": 5}', "'delay' cannot stand beside \"data\""),
        (b'{"type": true, "a": 1}', '"type" is not text but true or false'),
    ],
)
def test_lines_that_are_no_job(line: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        from_json(line, "")
