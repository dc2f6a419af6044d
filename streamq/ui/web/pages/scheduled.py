"""Jobs for later, those due first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streamq.ui.web.places import place_of
from streamq.ui.web.site import site_of

SHOWN = 50

OF_EACH = 5
"""Jobs of each stream that are shown where all streams are."""


async def show(request: Request) -> Response:
    """Show those of a stream, or the first ones of all."""
    site, place = site_of(request), place_of(request)
    picture = await site.pictures.take()
    after = request.query_params.get("after")
    if place.stream:
        page = await site.admin.scheduled_page(place.stream, after=after, limit=SHOWN)
        found = [(place.stream, page)]
    else:
        # The app's own stream may have nothing but jobs for later, and not exist yet.
        names = {site.app.stream, *(stream.name for stream in picture.streams)}
        counts = await site.admin.scheduled_counts(names)
        found = [
            (name, await site.admin.scheduled_page(name, limit=OF_EACH))
            for name, count in sorted(counts.items())
            if count
        ]
    counts = await site.admin.scheduled_counts([name for name, _ in found])
    return site.page(
        request, "scheduled.html", place=place, picture=picture, counts=counts, after=after,
        found=found, now=picture.at,
    )  # fmt: skip
