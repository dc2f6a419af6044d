"""Consumers: who is alive, who is gone, and what each is doing."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streamq.ui.web.places import groups_at, place_of, the_group
from streamq.ui.web.site import site_of

JOBS = 3
"""Jobs that are shown of each."""

GROUPS = 12
"""Groups of which the consumers are shown where all groups are."""

SHOWN = 200
"""Consumers of a group that are shown."""


async def show(request: Request) -> Response:
    """Show those of a group, or of all."""
    site, place = site_of(request), place_of(request)
    picture = await site.pictures.take()
    if place.group:
        groups = [await the_group(site.admin, picture, place)]
    else:
        # Those in trouble first: without a live consumer, or with some that are gone.
        groups = sorted(
            groups_at(picture, place),
            key=lambda one: (one.backlog.consumers > 0, -one.backlog.gone, one.stream, one.name),
        )
    found = []
    for group in groups[:GROUPS]:
        known = await site.admin.consumers(group.stream, group.name, jobs=JOBS)
        found.append((group, known[:SHOWN], len(known) - SHOWN))
    return site.live_page(
        request, "consumers.html", picture, "groups", found=found, others=groups[GROUPS:]
    )
