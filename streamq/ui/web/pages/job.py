"""A job: what has become of it in every group, and how."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streamq.errors import ConfigError
from streamq.ui.web.places import place_of
from streamq.ui.web.site import site_of
from streamq.ui.web.timeline import timeline


async def show(request: Request) -> Response:
    """Show it."""
    site, place = site_of(request), place_of(request)
    job_id = request.query_params.get("id", "")
    if not (place.stream and job_id):
        raise ConfigError("say which job: its stream and its ID")
    status = await site.admin.status(place.stream, job_id)
    groups = sorted(status.groups, key=lambda one: (one.group != place.group, one.group))
    return site.page(
        request, "job.html", place=place, picture=await site.pictures.take(), job=status,
        groups=[(one, timeline(status, one)) for one in groups],
        content=site.content(status.to_dict()), trace=site.trace_link(status.trace),
    )  # fmt: skip
