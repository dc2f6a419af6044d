"""From an ID to its job, wherever it is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from streamq.errors import ConfigError, JobNotFound, StreamNotFound
from streamq.text import printable
from streamq.ui.web.places import place_of
from streamq.ui.web.site import Urls, site_of

MOST = 100
"""Streams that are looked at."""


async def show(request: Request) -> Response:
    """Go to the job, or say that there is none."""
    site, place, url = site_of(request), place_of(request), Urls(request)
    job_id = request.query_params.get("id", "").strip()
    picture = await site.pictures.take()
    names = [stream.name for stream in picture.streams]
    names.sort(key=lambda name: name != place.stream)
    error = f"no stream has a job {printable(job_id, 60)}, nor a record of one"
    found = []
    for name in names[:MOST]:
        try:
            await site.admin.status(name, job_id)
            found.append(name)
        except (JobNotFound, StreamNotFound):
            continue
        except ConfigError as wrong:
            error = str(wrong)
            break
    if found:
        return RedirectResponse(url("job", stream=found[0], id=job_id), 303)
    return site.page(
        request, "find.html", place=place, picture=picture, job_id=job_id, error=error, status=404
    )
