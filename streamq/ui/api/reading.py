"""Reading what a caller sent, and saying what is wrong with it."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, get_origin

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from streamq.text import printable, size
from streamq.ui.api.operation import Taken
from streamq.ui.http.problems import Problem, Refusal
from streamq.wire import json

Query = TypeVar("Query", bound=Taken)

ROOM = 64 * 1024
"""Bytes of a body beside the data of one job."""

MANY = 16 * 1024 * 1024
"""Bytes that a body may have in any case: many small jobs."""


def read_query(request: Request, kind: type[Query]) -> Query:
    """What came after the question mark.

    Raises:
        Refusal: it is not what the operation takes.
    """
    lists = {name for name, one in kind.model_fields.items() if get_origin(one.annotation) is list}
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise Refusal(_invalid(f"{printable(name, 60)} is given twice", []))
        else:
            given[name] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise Refusal(_not_as_asked("query", error)) from None


async def read_body(request: Request, kind: Any, largest_payload: int) -> Any:
    """The body as the operation takes it; ``None`` for one that takes none.

    Raises:
        Refusal: it is too large, no JSON, or not what the operation takes.
    """
    if kind is None:
        return None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refusal(
            Problem(
                415, "not_json", "Not JSON",
                f"the body comes as {printable(media_type, 100) or 'nothing that is named'}: send "
                "JSON with 'Content-Type: application/json' (curl --json '{…}')",
            )
        )  # fmt: skip
    raw = await _read(request, max(largest_payload + ROOM, MANY))
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        told = f"the body is not JSON: {printable(error, 200)}"
        raise Refusal(Problem(400, "not_json", "Not JSON", told)) from None
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise Refusal(_not_as_asked("body", error)) from None


async def _read(request: Request, most: int) -> bytes:
    too_large = Refusal(
        Problem(
            413, "too_large", "Too large",
            f"the body has more than {size(most)}: send fewer jobs at once, or less data",
        )
    )  # fmt: skip
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise too_large
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > most:
            raise too_large
    return bytes(raw)


def _not_as_asked(where: str, error: ValidationError) -> Problem:
    found = [
        {
            "where": ".".join([where, *(printable(part, 60) for part in one["loc"])]),
            "what": printable(_words(one), 300),
        }
        for one in error.errors(include_url=False, include_input=False)[:20]
    ]
    first = found[0]
    return _invalid(f"{first['where']}: {first['what']}", found)


def _words(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "nothing of this name is known here"
        case "missing":
            return "this is needed"
        case "value_error":
            return str(error["ctx"]["error"])
    text = str(error["msg"])
    return text[:1].lower() + text[1:]


def _invalid(detail: str, errors: list[dict[str, str]]) -> Problem:
    more = {"errors": errors} if errors else {}
    return Problem(400, "invalid_request", "Cannot work as given", detail, more)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
