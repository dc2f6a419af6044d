"""What commands have in common that serve HTTP: where, for whom, and until when."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Exit, Option
from streamq.cli.connection import run, start_embedded
from streamq.cli.exits import ExitCode
from streamq.cli.loading import find_app
from streamq.cli.options import Url, port
from streamq.cli.output import flush, say

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from streamq.app import App
    from streamq.ui.http.access import Access

PORT = 8080

Port = Annotated[
    int, Option("--port", "-p", metavar="PORT", parser=port, help="The port; 0 for any.")
]


@dataclass(frozen=True)
class HTTPOptions:
    """Where it listens and for whom; a command may add options and other defaults."""

    host: Annotated[
        str,
        Option(
            "--host",
            metavar="HOST",
            help="The address to listen on. Any but this machine's own needs a token or a login.",
        ),
    ] = "127.0.0.1"
    port: Port = PORT
    token: Annotated[
        str | None,
        Option(
            "--token",
            metavar="TOKEN",
            help="Who comes in says this: as a bearer token, or in a browser as the password. "
            "[env var: STREAMQ_TOKEN, which others on this machine do not see]",
        ),
    ] = None
    basic_auth: Annotated[
        str | None,
        Option(
            "--basic-auth",
            metavar="NAME:PASSWORD",
            help="Or logs in with this. [env var: STREAMQ_BASIC_AUTH]",
        ),
    ] = None
    read_only: Annotated[bool, Option("--read-only", help="Show all, and change nothing.")] = False
    allow_hosts: Annotated[
        list[str] | None,
        Option(
            "--allow-host",
            metavar="NAME",
            help="A host name under which a proxy asks for it, where there is no token; may "
            "be repeated.",
        ),
    ] = None
    app: Annotated[
        str | None,
        Option(
            "--app",
            "-a",
            metavar="MODULE:NAME",
            help="The App, which knows its streams, how many attempts a job may have, and how to "
            "read its data. [default: as for consume]",
            show_default=False,
        ),
    ] = None
    url: Url = None

    def the_app(self) -> App:
        """The App that is meant; without one, a plain one for the server.

        Raises:
            ConfigError: what is named cannot be used.
        """
        from streamq.app import App

        app = find_app(self.app) or App()
        app.url = self.url or app.url
        return app

    @property
    def hosts(self) -> list[str]:
        """Names under which it is known."""
        return [self.host, *(self.allow_hosts or [])]

    def access(self) -> Access:
        """Who may come in.

        Raises:
            ConfigError: anybody could, at an address that others reach; or it cannot be used.
        """
        from streamq.ui.http.access import access, check_binding

        found = access(self.token, self.basic_auth, read_only=self.read_only)
        check_binding(self.host, found)
        return found


def serve_http(options: HTTPOptions, what: str, make: Callable[[App, Access], ASGIApp]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        what: what is served, for the line that says where: ``Dashboard``.
        make: the ASGI app, which is guarded already.

    Raises:
        ConfigError: it cannot be served there, or the extra is not installed.
        StreamqError: the Redis server cannot be used.
    """
    from streamq.ui.http import need_extra

    need_extra()
    access = options.access()
    app = options.the_app()
    start_embedded(app.url)
    ended_with: list[ExitCode] = []

    async def main() -> None:
        from streamq.cli.signals import interruptible
        from streamq.ui.http.serving import HTTPServer

        async with app:
            with closing(HTTPServer(make(app, access), options.host, options.port)) as server:
                await app.server.info()

                def stop(code: ExitCode) -> None:
                    ended_with.append(code)
                    server.stop()

                with interruptible(stop, "Waiting for requests; Ctrl-C again leaves at once"):
                    say(f"{what} at {server.url} (Ctrl-C stops it)")
                    flush()
                    await server.run()

    run(main, fast=True)
    if ended_with:
        raise Exit(ended_with[0])
