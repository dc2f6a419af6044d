"""What takes longer than a request: how far it is."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from streamq.ui.web.places import NOWHERE
from streamq.ui.web.site import site_of


async def show(request: Request) -> Response:
    """Show it."""
    site = site_of(request)
    operation = site.operations.get(request.query_params.get("id", ""))
    if operation is None:
        raise HTTPException(404)
    return site.page(request, "operation.html", place=NOWHERE, operation=operation)
