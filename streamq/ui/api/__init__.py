"""The HTTP API: jobs, groups and dead letters for programs without a Redis client.

``table`` lists all operations; routes, OpenAPI and the page at ``/docs`` are made of it, so none
can say what another does not. ``dispatch`` turns a request into a call of one and its reply into
an answer. The operations themselves are in a module a section.
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

__all__ = ["api"]


def api(
    app: App,
    *,
    token: str | None = None,
    read_only: bool = False,
    streams: Iterable[str] = (),
    lease: float = LEASE,
) -> ASGIApp:
    """The HTTP API as an ASGI app, to be mounted in one of yours::

        web = Starlette(routes=[Mount("/queue", api(app, token=os.environ["QUEUE_TOKEN"]))])

    Who mounts it without a token has to see to it who may come in. The app is not closed.

    Args:
        token: what a caller has to send as ``Authorization: Bearer TOKEN``.
        read_only: show all, and change nothing.
        streams: those that it reaches, by name or pattern (``orders-*``); ``*`` for all. The
            app's own by default.
        lease: the workers' lease in seconds; see :class:`streamq.admin.Admin`.

    Raises:
        ConfigError: the token or the name of a stream cannot be used, or the packages of the
            extra ``streamq[dashboard]`` are not installed.
    """
    need_extra()
    from streamq.ui.http.access import Access, access

    who = Access(read_only=read_only) if token is None else access(token, read_only=read_only)
    return guarded_api(app, who, hosts=None, streams=streams, lease=lease)


def guarded_api(
    app: App,
    access: Access,
    *,
    hosts: Iterable[str] | None,
    streams: Iterable[str] = (),
    lease: float = LEASE,
) -> ASGIApp:
    """The same for whom ``access`` admits.

    Args:
        hosts: see :class:`streamq.ui.http.access.Guard`.
    """
    from streamq.ui.api.dispatch import starlette_of
    from streamq.ui.api.served import Served
    from streamq.ui.http.access import Guard

    served = Served(app, tuple(streams), lease)
    return Guard(starlette_of(served), access, hosts=hosts, open_paths=["/healthz"])
