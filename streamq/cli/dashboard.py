"""``streamq dashboard``: what happens in all streams, in a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Family, Option
from streamq.cli.http import HTTPOptions, serve_http
from streamq.cli.options import Lease, examples
from streamq.limits import LEASE

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from streamq.app import App
    from streamq.ui.http.access import Access


@dataclass(frozen=True)
class DashboardOptions(HTTPOptions):
    """What it shows, too."""

    mask: Annotated[
        list[str] | None,
        Option(
            "--mask",
            metavar="FIELD",
            help="A field of data and results whose value is not shown: password, at any depth, "
            "or a path such as '*.token'; may be repeated.",
        ),
    ] = None
    trace_url: Annotated[
        str | None,
        Option(
            "--trace-url",
            metavar="URL",
            help="Where traces are seen: https://traces.example/{trace_id}.",
        ),
    ] = None
    lease: Lease = LEASE


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "dashboard",
        short_help="Serve a web page that shows all streams, and cures what is stuck.",
        epilog=examples(
            "streamq dashboard",
            "streamq dashboard --app worker:app --mask password --mask '*.token'",
            "STREAMQ_TOKEN=$(openssl rand -hex 32) streamq dashboard --host 0.0.0.0",
        ),
    )(dashboard)


def dashboard(options: DashboardOptions) -> None:
    """Serve a web page that shows all streams, and cures what is stuck.

    Throughput, lag, pending jobs, dead letters, consumers, limits, jobs for later and cron,
    live. With a token, a browser asks for it as the password, whatever the name. It needs
    pip install 'streamq[dashboard]'.
    """

    def make(app: App, access: Access) -> ASGIApp:
        from streamq.ui.web import guarded_dashboard

        return guarded_dashboard(
            app, access, hosts=options.hosts, mask=options.mask or [],
            trace_url=options.trace_url, lease=options.lease,
        )  # fmt: skip

    serve_http(options, "The dashboard is", make)
