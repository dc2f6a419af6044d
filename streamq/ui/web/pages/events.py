"""What has changed, pushed to a page as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from streamq.ui.http.serving import stopping
from streamq.ui.web import live
from streamq.ui.web.pictures import Away
from streamq.ui.web.places import Place, place_of
from streamq.ui.web.site import Site, site_of

MOST = 200
"""Viewers at once."""


async def stream(request: Request) -> Response:
    """Push what changes on a page, until it is left."""
    site = site_of(request)
    if site.pictures.viewers >= MOST:
        return Response("too many look at once", 503, headers={"retry-after": "10"})
    events = _events(
        site, place_of(request), request.query_params.get("show", ""), stopping(request.scope)
    )
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


async def _events(
    site: Site, place: Place, show: str, ends: asyncio.Event
) -> AsyncGenerator[bytes]:
    known: live.Values = {}
    shape = ""
    with site.pictures.viewing() as news:
        yield b"retry: 2000\n\n"
        while not ends.is_set():
            try:
                told = await asyncio.wait_for(news.get(), 1)
            except TimeoutError:
                continue
            if isinstance(told, Away):
                yield _event("away", told.why)
                continue
            values = live.values_of(told, site.pictures.history, place, show)
            yield _event("values", {k: text for k, text in values.items() if known.get(k) != text})
            known = values
            if shape != (shape := live.shape(told, place, show)):
                yield _event("shape", shape)


def _event(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
