"""The schedules of periodic jobs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streamq.ui.web.places import place_of
from streamq.ui.web.site import site_of


async def show(request: Request) -> Response:
    """Show those of a stream, or of all."""
    site, place = site_of(request), place_of(request)
    picture = await site.pictures.take()
    names = [place.stream] if place.stream else [stream.name for stream in picture.streams]
    schedules = [one for name in names for one in await site.admin.schedules.list(name)]
    return site.page(
        request, "cron.html", place=place, picture=picture, schedules=schedules, now=picture.at
    )
