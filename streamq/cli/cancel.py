"""``streamq cancel``: jobs that wait never run, jobs that run are stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from streamq.cli.command import Argument, Family, Option
from streamq.cli.connection import connect, run_or_refuse
from streamq.cli.options import Group, Json, Lease, Stream, Url, Yes, examples, from_server
from streamq.cli.output import complain, confirm, say, say_json
from streamq.errors import ConfigError
from streamq.limits import DEFAULT_STREAM, LEASE
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import Admin, Cancelled


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "cancel",
        epilog=examples(
            "streamq cancel 1716998413541-0",
            "streamq cancel s-5f0e9a3c41d7b268",
            "streamq cancel --type newsletter --yes",
        ),
    )(cancel)


def cancel(
    ids: Annotated[
        list[str] | None,
        Argument(
            metavar="ID",
            help="The jobs' IDs; of jobs for later, what produce --delay has printed.",
            complete=from_server("cancellable"),
        ),
    ] = None,
    type: Annotated[
        str | None, Option("--type", "-t", metavar="TYPE", help="Every job of this type.")
    ] = None,
    key: Annotated[
        str | None, Option("--key", metavar="KEY", help="Every job with this order key.")
    ] = None,
    group: Group = None,
    yes: Yes = False,
    json: Json = False,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Cancel jobs, in every group or in one.

    Jobs that wait (queued, for a retry, held, for later) do not run any more. One that runs is
    stopped within a second; should it succeed before that, it has succeeded. Exit code 1 if one
    of the jobs had ended already, or does not exist.
    """
    ids = ids or []
    if bool(ids) == (type is not None or key is not None):
        raise ConfigError("give the jobs' IDs, or --type or --key: one of them")

    async def main() -> bool:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin = Admin(server, lease=lease)
            if ids:
                return await _cancel_each(admin, stream, ids, group, json=json)
            what = " and ".join(
                f"{name} {printable(value, 60)}"
                for name, value in (("the type", type), ("the key", key))
                if value is not None
            )
            confirm(f"Cancel every job of {printable(stream, 100)} with {what}?", yes=yes)
            done = await admin.cancel_all(stream, group=group, type=type, key=key)
            if json:
                say_json(done.to_dict())
            else:
                say(
                    f"{done.cancelled:,} cancelled, {done.cancelling:,} running are stopped, "
                    f"{done.taken_back:,} for later taken back"
                )
            return True

    run_or_refuse(main)


async def _cancel_each(
    admin: Admin, stream: str, ids: list[str], group: str | None, *, json: bool
) -> bool:
    complete = True
    for job_id in ids:
        done = await admin.cancel(stream, job_id, group=group)
        if json:
            say_json(done.to_dict())
        else:
            _show(done, stream)
        complete &= bool(done)
    return complete


def _show(done: Cancelled, stream: str) -> None:
    if done.taken_back:
        say(f"Cancelled {done.job_id}")
    for group, outcome in done.groups.items():
        where = f"{done.job_id} in {printable(group)}"
        match outcome.value:
            case "cancelled":
                say(f"Cancelled {where}")
            case "cancelling":
                say(f"Cancelling {where}: it runs, and its worker stops it")
            case "settled":
                complain(f"{where} has ended already; see streamq status {done.job_id}")
    if not done.taken_back and not any(o.value != "unknown" for o in done.groups.values()):
        complain(
            f"the stream {printable(stream, 100)} has no job {printable(done.job_id, 60)} to "
            "cancel: it has ended, was cancelled, or is on another stream (--stream)"
        )
