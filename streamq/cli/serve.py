"""``streamq serve``: the HTTP API, for programs without a Redis client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Family, Option
from streamq.cli.http import HTTPOptions, serve_http
from streamq.cli.options import Lease, examples, from_server
from streamq.limits import LEASE

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from streamq.app import App
    from streamq.ui.http.access import Access


@dataclass(frozen=True)
class ServeOptions(HTTPOptions):
    """What the API reaches, too."""

    streams: Annotated[
        list[str] | None,
        Option(
            "--stream",
            "-s",
            metavar="NAME",
            help="A stream that may be reached, or a pattern such as 'orders-*'; may be repeated. "
            "[default: the App's own, else jobs]",
            complete=from_server("streams"),
        ),
    ] = None
    lease: Lease = LEASE


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "serve",
        short_help="Serve the HTTP API: write jobs, look at them, cure what is stuck.",
        epilog=examples(
            "streamq serve",
            "streamq serve --stream jobs --stream 'orders-*' --read-only",
            "STREAMQ_TOKEN=$(openssl rand -hex 32) streamq serve --host 0.0.0.0",
            'curl --json \'{"type": "resize"}\' http://127.0.0.1:8080/jobs',
        ),
    )(serve)


def serve(options: ServeOptions) -> None:
    """Serve the HTTP API: write jobs, look at them, cure what is stuck.

    For programs that have no Redis client: curl, n8n, other languages. Its documentation is at
    /docs, its OpenAPI document at /openapi.json. It needs pip install 'streamq[dashboard]'.
    """

    def make(app: App, access: Access) -> ASGIApp:
        from streamq.ui.api import guarded_api

        return guarded_api(
            app, access, hosts=options.hosts, streams=options.streams or [],
            lease=options.lease,
        )  # fmt: skip

    serve_http(options, "The API of streamq is", make)
