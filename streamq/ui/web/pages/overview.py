"""The first page: charts, what needs a look, all streams and groups."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streamq.ui.web.attention import MOST, needs
from streamq.ui.web.site import site_of


async def show(request: Request) -> Response:
    """Show it."""
    site = site_of(request)
    picture = await site.pictures.take()
    found = needs(picture)
    return site.live_page(
        request, "overview.html", picture, "overview", needs=found[:MOST],
        more_needs=len(found) - MOST,
    )  # fmt: skip
