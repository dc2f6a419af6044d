"""``streamq server``: the embedded server by hand."""

from __future__ import annotations

import os
from typing import Annotated

from streamq.cli.command import Exit, Family, Option
from streamq.cli.exits import ExitCode
from streamq.cli.options import Json, examples, family
from streamq.cli.output import duration, note, say, say_fields, say_json
from streamq.text import printable, size


def register(app: Family) -> None:
    """Add the commands."""
    app.add(
        commands,
        name="server",
        epilog=examples("streamq server status", 'redis-cli -s "$(streamq server start -q)"'),
    )


commands = family("Start, stop or look at the embedded server.")


@commands.command(
    epilog=examples("streamq server start", 'redis-cli -s "$(streamq server start -q)"')
)
def start(
    quiet: Annotated[bool, Option("--quiet", "-q", help="Print only the socket's path.")] = False,
) -> None:
    """Start the embedded server, unless it runs already.

    Every command that needs it does so by itself.
    """
    from streamq.server import embedded

    embedded.ensure_running(notify=note)
    now = embedded.status()
    if quiet:
        say(printable(now.socket))
        return
    say(f"The embedded server runs: {printable(now.url)}")
    _mention_other_server()


@commands.command(epilog=examples("streamq server stop"))
def stop() -> None:
    """Stop the embedded server; its data stays on disk."""
    from streamq.server import embedded

    say("Stopped." if embedded.stop() else "The embedded server was not running.")


@commands.command(
    epilog=examples("streamq server status", "streamq server status --json | jq .aof_size")
)
def status(json: Json = False) -> None:
    """Show whether the embedded server runs, and where. Exit code 1 when it does not."""
    from streamq.server import embedded

    now = embedded.status()
    if json:
        say_json(
            {
                "running": now.running,
                "url": now.url,
                "socket": str(now.socket),
                "directory": str(now.directory),
                "pid": now.pid,
                "version": now.version,
                "uptime": now.uptime,
                "memory": now.memory,
                "maxmemory": now.maxmemory,
                "clients": now.clients,
                "loading": now.loading,
                "aof_last_write_status": now.aof_last_write_status,
                "aof_size": now.aof_size,
            }
        )
    elif now.running:
        limit = f" of {size(now.maxmemory)}" if now.maxmemory else ""
        say_fields(
            {
                "status": "loading its data" if now.loading else "running",
                "url": now.url,
                "directory": now.directory,
                "process": now.pid,
                "server": now.version,
                "uptime": None if now.uptime is None else duration(now.uptime),
                "memory": None if now.memory is None else size(now.memory) + limit,
                "on disk": None if now.aof_size is None else size(now.aof_size),
                "clients": now.clients,
                "disk writes": now.aof_last_write_status,
            }
        )
        _mention_other_server()
    else:
        say(f"The embedded server is not running. Its data is in {printable(now.directory)}")
    if not now.running:
        raise Exit(ExitCode.REFUSED)


def _mention_other_server() -> None:
    if os.environ.get("STREAMQ_URL"):
        note("STREAMQ_URL is set: commands use that server, not the embedded one.")
