"""``streamq cancel``: take a job for later back before its time comes."""

from __future__ import annotations

from typing import Annotated

from streamq.cli.command import Argument, Family
from streamq.cli.connection import connect, run_or_refuse
from streamq.cli.options import Stream, Url, examples, from_server
from streamq.cli.output import complain, say
from streamq.limits import DEFAULT_STREAM
from streamq.text import printable


def register(app: Family) -> None:
    """Add the command."""
    app.command("cancel", epilog=examples("streamq cancel s-5f0e9a3c41d7b268"))(cancel)


def cancel(
    names: Annotated[
        list[str],
        Argument(
            metavar="NAME",
            help="What produce --delay has printed.",
            complete=from_server("scheduled"),
        ),
    ],
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Take jobs for later back before their time comes.

    Exit code 1 if one of them is no longer waiting.
    """

    async def main() -> bool:
        from streamq.admin import Admin

        complete = True
        async with connect(url) as server:
            admin = Admin(server)
            for name in names:
                if await admin.cancel(stream, name):
                    say(f"Cancelled {printable(name, 60)}")
                else:
                    complete = False
                    complain(
                        f"the stream {printable(stream, 100)} has no job {printable(name, 60)} "
                        "for later: it is due already, was cancelled, or is on another stream "
                        "(--stream)"
                    )
        return complete

    run_or_refuse(main)
