"""``streamq doctor``: what bites on a server, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Family, Option
from streamq.cli.connection import connect, run_or_refuse
from streamq.cli.options import Json, Lease, Url, examples, from_server
from streamq.cli.output import say, say_json
from streamq.limits import LEASE
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Diagnosis, Finding


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "doctor",
        short_help="Look for what bites, and say what to do about it.",
        epilog=examples(
            "streamq doctor",
            "streamq doctor --stream jobs",
            "streamq doctor --json | jq '.findings[] | select(.level == \"problem\")'",
        ),
    )(doctor)


def doctor(
    stream: Annotated[
        str | None,
        Option(
            "--stream",
            "-s",
            metavar="NAME",
            help="Look at this stream only. [default: all]",
            show_default=False,
            complete=from_server("streams"),
        ),
    ] = None,
    json: Json = False,
    lease: Lease = LEASE,
    url: Url = None,
) -> None:
    """Look for what bites on the server, and say what to do about it.

    Version, memory, disk, replicas, clock, the user's rights, slow commands; streams, groups,
    consumers, dead letters and records. It changes nothing. What the server refuses to tell is
    noted as not checked. Exit code 1 if there is a warning or a problem.
    """

    async def main() -> bool:
        from streamq.admin import Admin

        async with connect(url) as server:
            found = await Admin(server, lease=lease).doctor(stream)
        if json:
            say_json(found.to_dict())
        else:
            _show(found)
        return found.healthy

    run_or_refuse(main)


def _show(found: Diagnosis) -> None:
    from streamq.admin import Level

    for finding in found.findings:
        if finding.level is not Level.OK:
            _show_one(finding)
    fine = found.of(Level.OK)
    if fine:
        say(f"In order: {', '.join(finding.name for finding in fine)}")
    problems, warnings = len(found.of(Level.PROBLEM)), len(found.of(Level.WARNING))
    where = printable(found.where)
    if found.healthy:
        say(f"Nothing bites on {where}")
    else:
        say(f"{_count(problems, 'problem')} and {_count(warnings, 'warning')} on {where}")


def _show_one(finding: Finding) -> None:
    about = ""
    if finding.stream is not None:
        about = f" ({printable(finding.stream, 100)}"
        about += f" as {printable(finding.group, 128)})" if finding.group is not None else ")"
    say(f"{finding.level.value.capitalize()}: {finding.name}{about}: {printable(finding.found)}")
    if finding.advice:
        say(f"  To do: {printable(finding.advice)}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
