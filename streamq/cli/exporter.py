"""``streamq exporter``: metrics of all streams and groups, from one process."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Family, Option
from streamq.cli.connection import run, start_embedded
from streamq.cli.consume.logs import LogLevel, set_up_logging
from streamq.cli.consume.options import HowToLog
from streamq.cli.options import (
    Lease,
    Url,
    as_typed,
    examples,
    from_server,
    port,
    seconds_within,
)
from streamq.errors import ConfigError
from streamq.limits import EXPORTER_INTERVAL, EXPORTER_PORT, LEASE
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.observe.prometheus.exporter import Exporter
    from streamq.server import Server

_log = logging.getLogger("streamq")


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "exporter",
        short_help="Serve metrics of all streams and groups to Prometheus.",
        epilog=examples(
            "streamq exporter",
            "streamq exporter --stream jobs --stream mails --port 9121",
            "curl -s http://127.0.0.1:8001/metrics | grep job_queue_length",
        ),
    )(exporter)


def exporter(
    streams: Annotated[
        list[str] | None,
        Option(
            "--stream",
            "-s",
            metavar="NAME",
            help="The stream; may be repeated. [default: all, new ones included]",
            show_default=False,
            complete=from_server("streams"),
        ),
    ] = None,
    port: Annotated[
        int,
        Option(
            "--port",
            metavar="PORT",
            parser=port,
            help="Where to listen; 0 for any port that is free.",
        ),
    ] = EXPORTER_PORT,
    host: Annotated[
        str, Option("--host", metavar="ADDRESS", help="The address to listen at; 0.0.0.0 for all.")
    ] = "127.0.0.1",
    interval: Annotated[
        float,
        Option(
            "--interval",
            metavar="TIME",
            parser=seconds_within(0.1, 3600, "100ms to 1h"),
            help="For how long one answer of the server serves all scrapes. "
            f"[default: {as_typed(EXPORTER_INTERVAL)}]",
            show_default=False,
        ),
    ] = EXPORTER_INTERVAL,
    lease: Lease = LEASE,
    log_format: HowToLog = None,
    url: Url = None,
) -> None:
    """Serve metrics of all streams and groups to Prometheus, until Ctrl-C.

    One such process for a deployment is enough. It asks the server only when it is scraped, and
    stays up when the server is gone: then streamq_server_up is 0. Beside /metrics it serves
    /healthz and /readyz. Nothing asks for a password there.
    """
    set_up_logging(LogLevel.INFO, form=log_format)

    async def main() -> None:
        from streamq.observe.prometheus.exporter import Exporter
        from streamq.server import Server

        start_embedded(url)
        server = Server(url)
        serving = Exporter(server, streams or None, interval=interval, lease=lease)
        try:
            _serve(serving, host, port)
            ended = _ended()
            announcing = asyncio.create_task(asyncio.to_thread(_announce, serving, server))
            await ended.wait()
        finally:
            serving.close()
        await announcing

    run(main)


def _serve(exporter: Exporter, host: str, port: int) -> None:
    try:
        exporter.serve(host, port)
    except ConfigError as error:
        raise ConfigError(f"{error} (--port, --host)") from None


def _ended() -> asyncio.Event:
    """Set at Ctrl-C or SIGTERM: this command ends with them in good order."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended


def _announce(exporter: Exporter, server: Server) -> None:
    picture = exporter.look()
    what = "nothing yet"
    if picture is not None:
        groups, streams = len(picture.groups), len(picture.streams)
        what = f"{_count(groups, 'group')} of {_count(streams, 'stream')}"
    where = "the embedded server" if server.embedded else printable(server.where)
    _log.info("Exporting %s from %s; metrics: %s", what, where, exporter.url)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
