"""Dead letters: by what they have in common, searched, and sent back or purged."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from streamq.admin import DeadLetter
from streamq.ui.web.places import groups_at, place_of, the_group
from streamq.ui.web.site import Site, site_of, some

SHOWN = 50

LOOKED_AT = 5_000
"""Dead letters that are looked at for a page."""

FILTERS = ("cause", "type", "q")

CAUSES_OF = 5_000
"""Dead letters of which the causes are shown, the newest."""

GROUPS = 20
"""Groups of which the causes are shown where all groups are."""

LETTERS = 1_000
"""Dead letters that are looked at for them."""


async def show(request: Request) -> Response:
    """Show those of a group, or what those of all groups have in common."""
    site, place = site_of(request), place_of(request)
    picture = await site.pictures.take()
    if not place.group:
        groups = [group for group in groups_at(picture, place) if group.backlog.dead_letters]
        groups.sort(key=lambda group: -(group.backlog.dead_letters or 0))
        causes = [
            (await site.admin.dead_letters(one.stream, one.name).causes(limit=LETTERS))
            for one in groups[:GROUPS]
        ]
        return site.live_page(
            request, "dead_groups.html", picture, "groups",
            found=list(zip(groups, causes, strict=False)), others=groups[GROUPS:],
        )  # fmt: skip
    query = dict(request.query_params)
    filters = some(query, FILTERS)
    group = await the_group(site.admin, picture, place)
    letters = site.admin.dead_letters(*place)
    page = await letters.page(
        type=filters.get("type"), cause=filters.get("cause"), where=matching(site, filters),
        after=query.get("after"), limit=SHOWN, look_at=LOOKED_AT,
    )  # fmt: skip
    return site.live_page(
        request, "dead.html", picture, "groups", group=group, page_of=page,
        filters=dict.fromkeys(FILTERS, "") | filters, filtered=bool(filters),
        after=query.get("after"), causes=await letters.causes(limit=CAUSES_OF),
        total=await letters.count(),
    )  # fmt: skip


def matching(site: Site, filters: Mapping[str, str]) -> Callable[[DeadLetter], bool] | None:
    """Whether a dead letter has the text that is searched for, where a page would show it.

    What is masked is not found: a search must not tell what may not be seen.
    """
    wanted = filters.get("q", "").strip().lower()
    if not wanted:
        return None

    without_blanks = "".join(wanted.split())

    def has(letter: DeadLetter) -> bool:
        parts = (
            letter.job_id, letter.id, letter.type, letter.reason, letter.error, letter.consumer,
            letter.origin or "",
        )  # fmt: skip
        return any(wanted in part.lower() for part in parts) or without_blanks in "".join(
            site.searched(letter).lower().split()
        )

    return has
