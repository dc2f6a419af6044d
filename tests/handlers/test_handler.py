"""Handlers: what may be one, where it runs, and how its arguments are bound."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

import orjson
import pytest
from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import TypedDict

from streamq import Job
from streamq.errors import ConfigError, InvalidArguments, InvalidEntry
from streamq.handlers.binding import Arguments
from streamq.handlers.handler import Handler, Mode, make_handler
from streamq.wire.entry import decode

P = ParamSpec("P")
R = TypeVar("R")


def job_with(data: object) -> Job:
    raw = data if isinstance(data, bytes) else orjson.dumps(data)
    return Job("1-1", "jobs", "g", "c", 1, decode([b"type", b"t", b"data", raw]))


def bind(function: Callable[..., Any], data: object) -> Arguments:
    return make_handler("t", function).bind(job_with(data))


def bound(function: Callable[..., Any], data: object) -> dict[str, Any]:
    args, kwargs = bind(function, data)
    assert args == ()
    return kwargs


# -- where it runs ------------------------------------------------------------


async def an_async_function(file: str) -> str:
    return file


def a_function(file: str) -> str:
    return file


class Methods:
    async def an_async_method(self, file: str) -> str:
        return file

    def a_method(self, file: str) -> str:
        return file

    @classmethod
    async def a_class_method(cls, file: str) -> str:
        return file

    @staticmethod
    def a_static_method(file: str) -> str:
        return file


class AsyncCallable:
    async def __call__(self, file: str) -> str:
        return file


class PlainCallable:
    suffix: int = 7

    def __call__(self, file: str) -> str:
        return file


def transparent(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


def awaiting(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    @functools.wraps(function)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return await function(*args, **kwargs)

    return wrapper


def made_async(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    @functools.wraps(function)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


def twice(file: str, more: str) -> str:
    return file + more


async def twice_async(file: str, more: str) -> str:
    return file + more


@pytest.mark.parametrize(
    ("function", "mode"),
    [
        (an_async_function, Mode.ASYNC),
        (a_function, Mode.THREAD),
        (Methods().an_async_method, Mode.ASYNC),
        (Methods().a_method, Mode.THREAD),
        (Methods.a_class_method, Mode.ASYNC),
        (Methods.a_static_method, Mode.THREAD),
        (AsyncCallable(), Mode.ASYNC),
        (PlainCallable(), Mode.THREAD),
        (functools.partial(twice, more=""), Mode.THREAD),
        (functools.partial(twice_async, more=""), Mode.ASYNC),
        (functools.partial(functools.partial(twice_async, more="x"), more=""), Mode.ASYNC),
        (transparent(a_function), Mode.THREAD),
        (transparent(an_async_function), Mode.ASYNC),
        (awaiting(an_async_function), Mode.ASYNC),
        (made_async(a_function), Mode.ASYNC),
        (transparent(made_async(a_function)), Mode.ASYNC),
        (lambda file: file, Mode.THREAD),
    ],
)
def test_every_kind_of_callable(function: Callable[..., Any], mode: Mode) -> None:
    handler = make_handler("t", function)
    assert handler.mode is mode
    args, kwargs = handler.bind(job_with({"file": "a.png", "more": "", "other": 1}))
    result = handler.function(*args, **kwargs)
    if mode is Mode.ASYNC:
        assert asyncio.run(result) == "a.png"
    else:
        assert result == "a.png"


def test_what_a_partial_holds_does_not_come_from_the_data() -> None:
    def handler(file: str, more: object, **rest: Any) -> None: ...

    forged = {"file": "a", "more": "?", "b": 1}
    assert bound(functools.partial(twice, more="!"), forged) == {"file": "a"}
    assert bound(functools.partial(handler, more="!"), forged) == {"file": "a", "b": 1}


def test_a_partial_with_a_value_by_position() -> None:
    function = functools.partial(twice, "a")
    assert bound(function, {"more": "b", "file": "not asked for"}) == {"more": "b"}


def test_a_process_takes_plain_functions_only() -> None:
    assert make_handler("t", a_function, process=True).mode is Mode.PROCESS
    with pytest.raises(ConfigError, match="is async and cannot run in a process"):
        make_handler("t", an_async_function, process=True)


def a_generator(file: str) -> Iterator[str]:
    yield file


async def an_async_generator(file: str) -> AsyncIterator[str]:
    yield file


@pytest.mark.parametrize("function", [a_generator, an_async_generator])
def test_a_generator_would_never_run(function: Callable[..., Any]) -> None:
    for made in (function, functools.partial(function, file="a")):
        with pytest.raises(ConfigError, match="generator"):
            make_handler("t", made)


@pytest.mark.parametrize("thing", [None, 7, "name"])
def test_what_cannot_be_called(thing: Any) -> None:
    with pytest.raises(ConfigError, match="is not a function"):
        make_handler("t", thing)


# -- rules --------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        {"retries": -1}, {"timeout": 0}, {"timeout": -1}, {"timeout": float("inf")},
        {"timeout": float("nan")}, {"batch": -1},
    ],
)  # fmt: skip
def test_rules_that_cannot_work(rules: dict[str, Any]) -> None:
    [name] = rules
    with pytest.raises(ConfigError, match=f"a_function: {name}="):
        make_handler("t", a_function, **rules)


def test_the_rules_by_default() -> None:
    handler = make_handler("t", a_function)
    assert isinstance(handler, Handler)
    assert (handler.retries, handler.timeout, handler.batch) == (3, None, 0)
    assert handler.backoff.ceiling(1) == 1.0


# -- binding ------------------------------------------------------------------


def test_arguments_come_by_name() -> None:
    def handler(file: str, width: int = 256, *, quality: float = 0.5) -> None: ...

    assert bound(handler, {"file": "a"}) == {"file": "a"}
    assert bound(handler, {"file": "a", "width": 1, "quality": 1}) == {
        "file": "a", "width": 1, "quality": 1.0,
    }  # fmt: skip
    assert bound(handler, {"file": "a", "extra": [1], "for": "x"}) == {"file": "a"}


def test_strings_of_a_foreign_producer_fit_their_annotations() -> None:
    def handler(n: int, ratio: float, on: bool, when: date) -> None: ...

    assert bound(handler, {"n": "256", "ratio": "0.5", "on": "yes", "when": "2024-02-29"}) == {
        "n": 256, "ratio": 0.5, "on": True, "when": date(2024, 2, 29),
    }  # fmt: skip


def test_names_that_mean_something_elsewhere() -> None:
    def handler(
        self: int, cls: int, data: int, type: int, keys: int, model_config: int
    ) -> None: ...

    data = {"self": 1, "cls": 2, "data": 3, "type": 4, "keys": 5, "model_config": 6}
    assert bound(handler, data) == data


def test_the_job_on_request() -> None:
    def by_annotation(this: Job, file: str) -> None: ...
    def by_name(job, file): ...  # type: ignore[no-untyped-def]  # what is tested
    def alone(job: Job) -> None: ...
    def keyword(*, job: Job) -> None: ...

    job = job_with({"file": "a"})
    assert make_handler("t", by_annotation).bind(job) == ((), {"this": job, "file": "a"})
    assert make_handler("t", by_name).bind(job) == ((), {"job": job, "file": "a"})
    assert make_handler("t", alone).bind(job) == ((), {"job": job})
    assert make_handler("t", keyword).bind(job) == ((), {"job": job})


def test_a_positional_job() -> None:
    def alone(job: Job, /) -> None: ...
    def more(job: Job, /, file: str) -> None: ...

    job = job_with({"file": "a"})
    assert make_handler("t", alone).bind(job) == ((job,), {})
    assert make_handler("t", more).bind(job) == ((job,), {"file": "a"})


def test_a_field_may_be_called_job() -> None:
    def handler(job: str) -> None: ...

    assert bound(handler, {"job": "plumber"}) == {"job": "plumber"}


def test_the_job_does_not_come_from_the_data() -> None:
    def handler(job: Job, **rest: Any) -> None: ...

    job = job_with({"job": "forged", "n": 1})
    assert make_handler("t", handler).bind(job) == ((), {"job": job, "n": 1})


def test_rest_takes_what_is_left() -> None:
    def handler(file: str, **rest: Any) -> None: ...
    def everything(**rest: Any) -> None: ...

    assert bound(handler, {"file": "a", "b": 1}) == {"file": "a", "b": 1}
    assert bound(everything, {"b": 1}) == {"b": 1}


def test_no_parameters_need_no_data() -> None:
    def handler() -> None: ...

    assert bind(handler, b"not json") == ((), {})


@pytest.mark.parametrize("data", [[1], "text", 7, None, True])
def test_data_without_fields(data: object) -> None:
    def handler(file: str = "x") -> None: ...

    with pytest.raises(InvalidArguments, match="not an object with fields"):
        bind(handler, data)


def test_data_that_is_not_json() -> None:
    with pytest.raises(InvalidEntry, match="not JSON"):
        bind(a_function, b"{")


def test_positional_parameters_cannot_be_filled() -> None:
    def only(file: str, /) -> None: ...
    def rest(*files: str) -> None: ...

    for function in (only, rest):
        with pytest.raises(ConfigError, match=r"positional parameter 'files?'"):
            make_handler("t", function)


# -- annotations --------------------------------------------------------------


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(BaseModel):
    width: int
    height: int = 1


@dataclass
class Point:
    x: int
    y: int = 0


class Range(TypedDict):
    low: int
    high: int


class Pair(NamedTuple):
    left: int
    right: str


UUID_TEXT = "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize(
    ("annotation", "sent", "got"),
    [
        (Size, {"width": "3"}, Size(width=3)),
        (list[Size], [{"width": 3}], [Size(width=3)]),
        (Point, {"x": "3"}, Point(3)),
        (Range, {"low": 1, "high": "2"}, {"low": 1, "high": 2}),
        (Pair, [1, "b"], Pair(1, "b")),
        (Color, "red", Color.RED),
        (Literal["a", 1], 1, 1),
        (Annotated[int, Field(ge=3)], "3", 3),
        (Annotated[str, AfterValidator(str.upper)], "a", "A"),
        (datetime, "2024-02-29T12:00:00Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        (timedelta, 90, timedelta(seconds=90)),
        (Decimal, "1.10", Decimal("1.10")),
        (UUID, UUID_TEXT, UUID(UUID_TEXT)),
        (Path, "/a/b", Path("/a/b")),
        (bytes, "abc", b"abc"),
        (int | None, None, None),
        (int | str, "7", "7"),
        (dict[str, list[int]], {"a": ["1"]}, {"a": [1]}),
        (set[int], [1, 1], {1}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Any, {"x": [1]}, {"x": [1]}),
        (object, 5, 5),
    ],
)
def test_annotations(annotation: Any, sent: object, got: object) -> None:
    def handler(value: Any) -> None: ...

    handler.__annotations__["value"] = annotation
    assert bound(handler, {"value": sent}) == {"value": got}


@pytest.mark.parametrize(
    ("annotation", "sent", "message"),
    [
        (int, "x", r"value: .*integer.* \(got 'x'\)"),
        (Size, {}, "value.width is missing"),
        (Size, {"width": "x"}, "value.width: "),
        (Point, 7, "value: "),
        (Color, "green", "value: .*'red' or 'blue'"),
        (Literal["a"], "b", "value: "),
        (Annotated[int, Field(ge=3)], 2, "greater than or equal to 3"),
        (datetime, "soon", "value: "),
        (int | None, "x", "value"),
        (list[int], [1, "x"], "value.1: "),
        (str, "\x00\x1b" * 40, "never"),
    ],
)
def test_data_that_does_not_fit(annotation: Any, sent: object, message: str) -> None:
    def handler(value: Any, other: int) -> None: ...

    handler.__annotations__["value"] = annotation
    with pytest.raises(InvalidArguments) as caught:
        bind(handler, {"value": sent})
    text = str(caught.value)
    assert "other is missing" in text
    assert text.isprintable()
    if message != "never":
        with pytest.raises(InvalidArguments, match=message):
            bind(handler, {"value": sent})


def test_bad_values_are_shown_short_and_safe() -> None:
    with pytest.raises(InvalidArguments) as caught:
        bind(a_function, {"file": ["\x1b[2J\n" + "x" * 10_000] * 100})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_bad_field_names_are_shown_safely() -> None:
    def handler(value: dict[str, int]) -> None: ...

    with pytest.raises(InvalidArguments) as caught:
        bind(handler, {"value": {"\x1b[2J": "x"}})
    assert str(caught.value).isprintable()


def test_not_every_one_of_a_thousand_problems_is_told() -> None:
    def handler(value: list[int]) -> None: ...

    with pytest.raises(InvalidArguments, match=r"value\.9: .*; and 990 more$"):
        bind(handler, {"value": ["x"] * 1000})


def test_a_value_that_is_nested_too_deeply_to_be_shown() -> None:
    deep = b'{"file":' + b"[" * 1000 + b"]" * 1000 + b"}"
    with pytest.raises(InvalidArguments, match="file: "):
        bind(a_function, deep)
    with pytest.raises(InvalidArguments, match="not an object"):
        bind(a_function, b"[" * 1000 + b"]" * 1000)


def test_a_validator_may_break_in_its_own_way() -> None:
    """What it raises is the handler's failure, not a defect of the data."""

    def broken(value: int) -> int:
        raise RuntimeError("the database is down")

    def handler(value: Any) -> None: ...

    handler.__annotations__["value"] = Annotated[int, AfterValidator(broken)]
    with pytest.raises(RuntimeError, match="database"):
        bind(handler, {"value": 1})


class Opaque:
    """A class that nothing in JSON can be."""


def test_a_class_that_json_cannot_make() -> None:
    def handler(value: Opaque) -> None: ...

    with pytest.raises(InvalidArguments, match=r"value: .*Opaque"):
        bind(handler, {"value": {}})


def test_annotations_that_name_nothing() -> None:
    def handler(value: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - what is tested

    with pytest.raises(ConfigError, match=r"annotations of .*handler cannot be read.*Nowhere"):
        make_handler("t", handler)


def test_annotations_that_name_something_local() -> None:
    """They are strings here, and what they name is out of sight."""

    class Local(BaseModel):
        n: int

    def handler(value: Local) -> None: ...

    with pytest.raises(ConfigError, match="import what they name at module level"):
        make_handler("t", handler)


class Unfinished(BaseModel):
    other: "Missing"  # type: ignore[name-defined]  # noqa: F821, UP037 - what is tested


@pytest.mark.parametrize("annotation", [Unfinished, Generic])
def test_annotations_that_cannot_be_checked(annotation: Any) -> None:
    def handler(value: Any) -> None: ...

    handler.__annotations__["value"] = annotation
    with pytest.raises(ConfigError, match=r"annotations of .*handler cannot be checked"):
        make_handler("t", handler)


def test_an_annotation_that_only_contains_the_job_is_a_mistake() -> None:
    def optional(job: Job | None = None) -> None: ...
    def many(job: list[Job]) -> None: ...

    for function in (optional, many):
        with pytest.raises(ConfigError, match="write job: Job"):
            make_handler("t", function)


# -- batches ------------------------------------------------------------------


def test_a_batch_handler_gets_jobs_and_binds_nothing() -> None:
    def handler(jobs: list[Job]) -> None: ...

    made = make_handler("t", handler, batch=10)
    assert made.batch == 10
    job = job_with(b"not json")
    assert made.bind(job) == ((job,), {})


def test_the_rules_of_a_batch() -> None:
    def handler(jobs: list[Job]) -> None: ...

    plain = make_handler("t", handler, batch=10)
    assert (plain.batch_wait, plain.batch_by_key, plain.gathers) == (0.0, False, False)
    assert make_handler("t", handler, batch=10, batch_wait=2.0).gathers
    assert make_handler("t", handler, batch=10, batch_by_key=True).gathers


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"batch_wait": 2.0}, r"batch_wait=2\.0 is for batches: give batch="),
        ({"batch_by_key": True}, "batch_by_key=True is for batches: give batch="),
        ({"batch": 5, "batch_wait": -1}, "batch_wait=-1: give seconds, zero or more"),
        ({"batch": 5, "batch_wait": float("inf")}, "batch_wait=inf: give seconds"),
        ({"batch": 5, "batch_wait": float("nan")}, "batch_wait=nan: give seconds"),
    ],
)
def test_rules_of_a_batch_that_cannot_be(rules: dict[str, Any], said: str) -> None:
    def handler(jobs: list[Job]) -> None: ...

    with pytest.raises(ConfigError, match=said):
        make_handler("t", handler, **rules)
