"""What a page's forms do: a module for each kind of thing that it is done to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from streamq.errors import ServerUnavailable, StreamqError
from streamq.ui.web import csrf
from streamq.ui.web.actions import dead_letters, groups, jobs, schedules
from streamq.ui.web.actions.asked import Asked, Confirm, Done, read_form
from streamq.ui.web.operations import Operation
from streamq.ui.web.places import NOWHERE
from streamq.ui.web.site import Urls, local, site_of

Answer = Confirm | Done | Operation

ACTIONS: Mapping[str, Callable[[Asked], Awaitable[Answer]]] = {
    **jobs.ACTIONS, **dead_letters.ACTIONS, **groups.ACTIONS, **schedules.ACTIONS
}  # fmt: skip
"""By name: what asks for a confirmation, goes on in the background, or says what it has done."""


async def act(request: Request) -> Response:
    """Do what a form asks for, or ask whether it is meant."""
    site = site_of(request)
    if site.read_only:
        raise HTTPException(403, "this dashboard is read-only: it shows, and changes nothing")
    form = await read_form(request)
    if not csrf.is_own(request, form.get(csrf.FIELD)):
        raise HTTPException(
            403, "this form is not one of this dashboard, or is too old: go back, load the page "
            "anew and try again"
        )  # fmt: skip
    action = ACTIONS.get(request.path_params["action"])
    if action is None:
        raise HTTPException(404)
    back = local(request, form.get("back"))
    try:
        done = await action(Asked(site, form, back))
    except ServerUnavailable:
        raise
    except StreamqError as error:
        return site.back(request, back, f"Not done: {error}", bad=True)
    if isinstance(done, Confirm):
        return site.page(
            request, "confirm.html", place=NOWHERE, ask=done, back=back, form=form,
            action=request.path_params["action"],
        )  # fmt: skip
    if isinstance(done, Operation):
        if done.running:
            return site.back(request, Urls(request)("operation", id=done.id), "")
        return site.back(request, back, done.told, bad=bool(done.error))
    if done.job is not None:
        stream, group, job_id = done.job
        back = Urls(request)("job", stream=stream, group=group, id=job_id)
    return site.back(request, back, done.text, bad=done.bad)
