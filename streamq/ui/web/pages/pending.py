"""Pending jobs: filtered, a page at a time, with their cures."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streamq.text import span
from streamq.ui.web.places import groups_at, place_of, the_group
from streamq.ui.web.site import site_of, some

STATES = ("running", "retrying", "held", "stalled")

SHOWN = 50

LOOKED_AT = {True: 2_500, False: 10_000}
"""Jobs that are looked at for a page, with a type to look for, which takes a look into each."""

FILTERS = ("state", "type", "consumer", "min_idle")


async def show(request: Request) -> Response:
    """Show the jobs of a group, or how many each group has."""
    site, place = site_of(request), place_of(request)
    picture = await site.pictures.take()
    if not place.group:
        groups = groups_at(picture, place)
        return site.live_page(request, "pending_groups.html", picture, "groups", groups=groups)
    query = dict(request.query_params)
    filters = some(query, FILTERS)
    group = await the_group(site.admin, picture, place)
    min_idle = span(filters.get("min_idle", "0"))
    page = await site.admin.pending_page(
        *place,
        states=[filters["state"]] if "state" in filters else (),
        consumer=filters.get("consumer"),
        type=filters.get("type"),
        min_idle=min_idle or 0.0,
        after=query.get("after"),
        limit=SHOWN,
        look_at=LOOKED_AT["type" in filters],
    )
    return site.live_page(
        request, "pending.html", picture, "groups", group=group, page_of=page,
        filters=dict.fromkeys(FILTERS, "") | filters, filtered=bool(filters),
        after=query.get("after"), bad_span=min_idle is None, states=STATES,
    )  # fmt: skip
