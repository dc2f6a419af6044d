"""The dashboard: what happens in all streams, and what to do about it, in a browser.

A page is a module in ``pages``, and a template; what its forms do is in ``actions``. All numbers
that change while one looks come from ``pictures``, which are taken once for all viewers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from streamq.limits import LEASE
from streamq.ui.http import need_extra

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from streamq.app import App
    from streamq.ui.http.access import Access

__all__ = ["dashboard"]


def dashboard(
    app: App,
    *,
    token: str | None = None,
    read_only: bool = False,
    mask: Iterable[str] = (),
    trace_url: str | None = None,
    title: str = "streamq",
    lease: float = LEASE,
) -> ASGIApp:
    """The dashboard as an ASGI app, to be mounted in one of yours::

        web = Starlette(routes=[Mount("/queues", dashboard(app, mask=["password", "*.token"]))])

    Who mounts it without a token has to see to it who may come in. The app is not closed.

    Args:
        token: what a visitor has to give as the password, whatever the name.
        read_only: it shows all, and changes nothing.
        mask: fields of data and results whose values are not shown: names (``password``), at
            any depth, or paths (``*.token``, ``user.card.number``), with ``*`` for any text.
        trace_url: where traces are seen, as ``https://traces.example/{trace_id}``.
        title: what the pages call themselves, for those who have several.
        lease: the workers' lease in seconds; see :class:`streamq.admin.Admin`.

    Raises:
        ConfigError: the token, the mask or the URL cannot be used, or the packages of the extra
            ``streamq[dashboard]`` are not installed.
    """
    need_extra()
    from streamq.ui.http.access import Access, access

    who = Access(read_only=read_only) if token is None else access(token, read_only=read_only)
    return guarded_dashboard(
        app, who, hosts=None, mask=mask, trace_url=trace_url, title=title, lease=lease
    )


def guarded_dashboard(
    app: App,
    access: Access,
    *,
    hosts: Iterable[str] | None,
    mask: Iterable[str] = (),
    trace_url: str | None = None,
    title: str = "streamq",
    lease: float = LEASE,
) -> ASGIApp:
    """The same for whom ``access`` admits.

    Args:
        hosts: see :class:`streamq.ui.http.access.Guard`.
    """
    from streamq.ui.http.access import Guard
    from streamq.ui.web.masking import Mask
    from streamq.ui.web.serving import starlette_of
    from streamq.ui.web.site import Site, check_trace_url

    site = Site(app, access.read_only, Mask(mask), check_trace_url(trace_url), title, lease)
    return Guard(starlette_of(site), access, hosts=hosts)
