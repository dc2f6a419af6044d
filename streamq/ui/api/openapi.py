"""The OpenAPI document of the operations."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter

from streamq.ui.api.operation import NoQuery, Operation
from streamq.ui.api.table import EVERYWHERE, OPERATIONS, PATH
from streamq.ui.http.problems import MEDIA_TYPE
from streamq.version import __version__

REFUSALS = {
    400: "The request cannot be understood, or cannot work as given.",
    401: "The token is missing or wrong.",
    403: "Not permitted here: read-only, or a stream that is not served.",
    404: "There is no such job, group or stream.",
    409: "It cannot be done as things are.",
    413: "Too large.",
    415: "The body is no JSON.",
    421: "Not a name of this server.",
    502: "The Redis server has refused it.",
    503: "The Redis server is away, or the stream is full; try again later.",
    504: "Written, but not replicated in time.",
}

_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:streamq:problem:job_not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {
            "type": "string",
            "description": "What happened, to what, and what to do next.",
        },
        "errors": {
            "type": "array",
            "description": "Each fault of the request.",
            "items": {
                "type": "object",
                "required": ["where", "what"],
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}


def document(root: str, *, exact: bool = False) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        root: where the API is mounted: ``/`` or ``/api``.
        exact: whether answers have no other fields than those that are named. They have none,
            but a program that read so would break when a new version has more.
    """
    return {**_document(exact), "servers": [{"url": root}]}


@cache
def _document(exact: bool) -> dict[str, Any]:
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    if not exact:
        for name in {name for one in OPERATIONS for name in _told(one)}:
            schemas[name].pop("additionalProperties", None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "streamq",
            "version": __version__,
            "description": "Jobs on Redis Streams over HTTP: write them, see what becomes of "
            "them, and cure what is stuck.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "login": {"type": "http", "scheme": "basic"},
            },
        },
        "security": [{"token": []}, {"login": []}, {}],
    }


def _operation(one: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.section],
        "summary": one.summary,
        "parameters": [*_path(one), *_query(one), *_headers(one)],
        "responses": _answers(one, schemas)
        | {str(status): _refusal(status) for status in sorted({*EVERYWHERE, *one.refuses})},
    }
    if one.description:
        told["description"] = one.description
    if one.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _schema(one.body, schemas, "validation")}},
        }
    return told


def _path(one: Operation) -> list[dict[str, Any]]:
    found = []
    for name in re.findall(r"{(\w+)}", one.path):
        words, schema = PATH[name]
        schema = {"type": "string", **schema}
        found.append(
            {"name": name, "in": "path", "required": True, "description": words, "schema": schema}
        )
    return found


def _query(one: Operation) -> list[dict[str, Any]]:
    if one.query is NoQuery:
        return []
    found = []
    for name, schema in _tidy(one.query.model_json_schema())["properties"].items():
        words = schema.pop("description", "").replace("\n", " ")
        options = schema.get("anyOf", [])
        if {"type": "null"} in options:  # it may be left out; there is no null in a query
            [schema] = [option for option in options if option != {"type": "null"}]
        found.append({"name": name, "in": "query", "description": words, "schema": schema})
    return found


def _headers(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}
        for name, words in one.headers.items()
    ]


def _answers(one: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for status, (words, kind) in one.answers.items():
        content = {"application/json": {"schema": _schema(kind, schemas, "serialization")}}
        found[str(status)] = {"description": words, "content": content}
    return found


def _told(one: Operation) -> set[str]:
    """The names of what its answers are made of."""
    schemas: dict[str, Any] = {}
    _answers(one, schemas)
    return {name for name, schema in schemas.items() if schema.get("type") == "object"}


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": REFUSALS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def _schema(kind: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    """The schema of a type; what it is made of goes into ``schemas``."""
    adapter = TypeAdapter[Any](kind)
    made = _tidy(adapter.json_schema(mode=mode, ref_template="#/components/schemas/{model}"))
    schemas.update(made.pop("$defs", {}))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schemas[kind.__name__] = made
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    return dict(made)


def _tidy(schema: Any) -> Any:
    """A schema without what only repeats: titles made of names, and defaults."""
    match schema:
        case dict():
            return {
                name: _tidy(part)
                for name, part in schema.items()
                if not (name in ("title", "default") and not isinstance(part, dict))
            }
        case list():
            return [_tidy(part) for part in schema]
    return schema
