"""Changes only from forms of our own pages.

A form carries what a cookie says as well; another site's page can send the cookie, but not read
it. Browsers that say where a request comes from are believed too.
"""

from __future__ import annotations

import hmac
import re
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "streamq_csrf"
FIELD = "csrf"

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def token_of(request: Request) -> str:
    """The visitor's token: the one in the cookie, or else a new one."""
    given = request.cookies.get(COOKIE, "")
    if not _TOKEN.fullmatch(given):
        given = getattr(request.state, "csrf", "") or secrets.token_urlsafe(32)
    request.state.csrf = given
    return given


def remember(request: Request, response: Response) -> None:
    """Give the visitor the cookie, where it was given a form and has none."""
    given = getattr(request.state, "csrf", "")
    if given and request.cookies.get(COOKIE) != given:
        response.set_cookie(
            COOKIE, given, path=request.scope.get("root_path", "") or "/", httponly=True,
            samesite="strict", secure=request.url.scheme == "https",
        )  # fmt: skip


def is_own(request: Request, given: str) -> bool:
    """Whether a change was asked for by a form of ours.

    Args:
        given: the token in the form.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
    known = request.cookies.get(COOKIE, "")
    return (
        ours
        and bool(_TOKEN.fullmatch(known))
        and hmac.compare_digest(known.encode(), given.encode())
    )
