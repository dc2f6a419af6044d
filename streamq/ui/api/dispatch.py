"""From a request to an operation, and from its reply to an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from streamq.ui.api.docs_page import POLICY, docs_page
from streamq.ui.api.openapi import document
from streamq.ui.api.operation import Call, Operation
from streamq.ui.api.reading import read_body, read_query
from streamq.ui.api.served import Served
from streamq.ui.api.table import OPERATIONS
from streamq.ui.http.problems import HANDLERS
from streamq.wire import json

Endpoint = Callable[[Request], Awaitable[Response]]

HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def starlette_of(served: Served) -> Starlette:
    """All operations as a Starlette app."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for one in OPERATIONS:
        by_path.setdefault(one.path, {})[one.method] = _endpoint(one, served)
    routes = [
        Route(_starlette_path(path), _by_method(endpoints), methods=[*endpoints])
        for path, endpoints in by_path.items()
    ]
    routes += [Route("/", _to_docs), Route("/docs", _docs), Route("/openapi.json", _openapi)]
    made = Starlette(routes=routes, exception_handlers=dict(HANDLERS))
    made.router.redirect_slashes = False
    return made


def _starlette_path(path: str) -> str:
    # The name of a stream may have slashes in it.
    return path.replace("{stream}", "{stream:path}")


def _by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    """One route a path, so that what is refused there can name all methods that are not."""

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await endpoints[method](request)

    return answer


def _endpoint(operation: Operation, served: Served) -> Endpoint:
    async def answer(request: Request) -> Response:
        query = read_query(request, operation.query)
        try:
            body = await read_body(request, operation.body, served.largest_payload)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        reply = await operation.run(Call(request, served, query, body))
        return _json(reply.value, reply.status, dict(reply.headers))

    return answer


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps(value), status, HEADERS | (headers or {}), media_type="application/json"
    )


async def _openapi(request: Request) -> Response:
    return _json(document(request.scope.get("root_path", "") or "/"))


async def _docs(request: Request) -> Response:
    headers = HEADERS | {"content-security-policy": POLICY}
    return Response(docs_page(), 200, headers, media_type="text/html")


async def _to_docs(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")
