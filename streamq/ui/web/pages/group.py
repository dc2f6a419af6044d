"""A group: its charts and numbers, what its consumers do, what its dead letters have in common."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from streamq.ui.web.places import place_of, the_group
from streamq.ui.web.site import Urls, site_of

CAUSES = 5
"""Causes of dead letters that are shown."""

LETTERS = 1_000
"""Dead letters that are looked at for them."""

CONSUMERS = 12
"""Consumers that are shown."""


async def show(request: Request) -> Response:
    """Show it."""
    site, place = site_of(request), place_of(request)
    if not place.group:
        return RedirectResponse(Urls(request)(""), 303)
    picture = await site.pictures.take()
    group = await the_group(site.admin, picture, place)
    consumers = await site.admin.consumers(*place, jobs=1)
    causes = await site.admin.dead_letters(*place).causes(limit=LETTERS)
    return site.live_page(
        request, "group.html", picture, "group", group=group,
        consumers=consumers[:CONSUMERS], more_consumers=len(consumers) - CONSUMERS,
        causes=causes.found[:CAUSES], more_causes=len(causes.found) - CAUSES,
        complete=causes.complete, looked_at=causes.looked_at,
        state=await site.admin.group_state(*place),
    )  # fmt: skip
