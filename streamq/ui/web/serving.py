"""Which address is which page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from streamq.errors import StreamqError
from streamq.ui.http.problems import UNEXPECTED, of_starlette, problem_of
from streamq.ui.web.actions import act
from streamq.ui.web.headers import SafeHeaders
from streamq.ui.web.pages import (
    consumers,
    cron,
    dead_letters,
    events,
    find,
    group,
    job,
    limits,
    operation,
    overview,
    pending,
    scheduled,
)
from streamq.ui.web.site import HERE, Site, site_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from streamq.ui.http.problems import Problem


def starlette_of(site: Site) -> ASGIApp:
    """The ASGI app of a dashboard."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await site.pictures.close()

    made = Starlette(
        routes=[
            Route("/", overview.show),
            Route("/group", group.show),
            Route("/pending", pending.show),
            Route("/dead", dead_letters.show),
            Route("/job", job.show),
            Route("/consumers", consumers.show),
            Route("/scheduled", scheduled.show),
            Route("/cron", cron.show),
            Route("/limits", limits.show),
            Route("/find", find.show),
            Route("/operation", operation.show),
            Route("/events", events.stream),
            Route("/do/{action}", act, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={
            StreamqError: _tell, HTTPException: _tell, Exception: _tell_unexpected
        },
        lifespan=lifespan,
    )  # fmt: skip
    made.state.site = site
    return SafeHeaders(made)  # around all: also what answers errors of our own


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, StreamqError | HTTPException)
    problem = problem_of(error) if isinstance(error, StreamqError) else of_starlette(error)
    return _page_of(request, problem)


async def _tell_unexpected(request: Request, error: Exception) -> Response:
    return _page_of(request, UNEXPECTED)  # Starlette hands it on, and it comes into the log


def _page_of(request: Request, problem: Problem) -> Response:
    response = site_of(request).page(
        request, "problem.html", status=problem.status, problem=problem, place=None
    )
    for name, value in problem.headers:
        response.headers[name] = value
    return response
