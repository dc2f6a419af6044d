"""Limits and held jobs: the rules of groups, those an operator has changed, and who waits."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from streamq.admin import GroupState
from streamq.errors import ConfigError
from streamq.ui.web.places import Place, groups_at, place_of, the_group
from streamq.ui.web.site import Site, site_of

RULES = (
    ("rate", "Rate", "such as 100/s or 5/min, over all workers"),
    ("rate_per_key", "Rate per key", "the same for each key"),
    ("max_in_flight", "In flight", "jobs of the group at once, over all workers"),
    ("limit_per_key", "Per key", "jobs of one key at once"),
    ("max_held", "Held at most", "the group reads no more beyond that"),
)
"""The rules that an operator changes: name, what it is called, what to give."""

HELD = 20


async def show(request: Request) -> Response:
    """Show those of a group, or which groups have any."""
    site, place = site_of(request), place_of(request)
    picture = await site.pictures.take()
    groups = groups_at(picture, place)
    if not place.group:
        places = [Place(one.stream, one.name) for one in groups]
        states = await site.admin.group_states(places)
        found = [
            (group, states.get(its, GroupState()), declared(site, its))
            for group, its in zip(groups, places, strict=True)
        ]
        return site.live_page(
            request, "limits_groups.html", picture, "groups", rules=RULES,
            found=[
                row for row in found
                if row[0].backlog.held or row[1] != GroupState() or any(row[2].values())
            ],
        )  # fmt: skip
    group = await the_group(site.admin, picture, place)
    held = await site.admin.pending_page(*place, states=["held"], limit=HELD)
    return site.live_page(
        request, "limits.html", picture, "groups", group=group, held=held, rules=RULES,
        state=await site.admin.group_state(*place), declared=declared(site, place),
    )  # fmt: skip


def declared(site: Site, place: Place) -> dict[str, Any]:
    """The rules in the program, as far as this dashboard's App knows it."""
    try:
        subscriptions = site.app.subscriptions([place.group], [place.stream])
    except ConfigError:
        return {}
    rules = subscriptions[0].rules
    return {name: getattr(rules, name) for name, *_ in RULES if name != "max_held"}
