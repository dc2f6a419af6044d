"""``streamq pending``: what is in flight, waiting or stuck, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from streamq.cli.allowed import AppOption, known_by
from streamq.cli.command import Argument, Context, Family, Option
from streamq.cli.connection import connect, run, run_or_refuse, the_group
from streamq.cli.groups import lease_assumed, unless_killed
from streamq.cli.options import (
    SHOWN,
    Group,
    JsonLines,
    Lease,
    Limit,
    Stream,
    TheGroup,
    Url,
    among,
    examples,
    from_server,
    one_of,
    seconds,
)
from streamq.cli.output import complain, is_terminal, note, say, say_json
from streamq.cli.pending_printing import counted, hints, show
from streamq.errors import ConfigError, ConsumerNotFound, StillInUse
from streamq.limits import DEFAULT_STREAM, LEASE
from streamq.text import printable

PROGRESS = "PROGRESS"
"""A column that is there only where a job has told how far it is."""


class State(StrEnum):
    """The states of a pending job."""

    RUNNING = "running"
    RETRYING = "retrying"
    HELD = "held"
    STALLED = "stalled"


def register(app: Family) -> None:
    """Add the commands."""
    app.add(commands, name="pending")


commands = Family(
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
    epilog=examples(
        "streamq pending",
        "streamq pending --group images --state stalled --min-idle 5m",
        "streamq pending --json | jq -r 'select(.attempt > 2).id'",
        "streamq pending retry 1716998413541-0",
        "streamq pending release --consumer web1-4242-a1b2c3",
    ),
)

Ids = Annotated[
    list[str],
    Argument(metavar="ID", help="The jobs' IDs.", complete=from_server("pending")),
]
Waiting = Annotated[
    list[str] | None,
    Argument(metavar="ID", help="The jobs' IDs.", complete=from_server("waiting")),
]


@commands.on_invoke()
def pending(
    ctx: Context,
    group: Group = None,
    consumer: Annotated[
        str | None,
        Option(
            "--consumer",
            metavar="NAME",
            help="Only what this consumer holds.",
            complete=from_server("consumers"),
        ),
    ] = None,
    min_idle: Annotated[
        float,
        Option(
            "--min-idle",
            metavar="TIME",
            parser=seconds,
            help="Only what has been idle for this long.",
            show_default=False,
        ),
    ] = 0.0,
    state: Annotated[
        list[State] | None,
        Option(
            "--state",
            metavar="STATE",
            parser=one_of(State),
            help="Only running, retrying, held or stalled jobs; may be repeated.",
            complete=among(State),
        ),
    ] = None,
    limit: Limit = None,
    json: JsonLines = False,
    app: AppOption = None,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Show the jobs that were delivered to a group and are not settled.

    A job is running, retrying (it waits for its next attempt), held (the rules of the group
    do not let it run yet) or stalled (its worker has been silent for longer than the lease;
    another worker will reclaim it). Attempt 2 of 4 is the first of three retries. Exit code
    0, whether there are any or not.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx, ctx.invoked_subcommand)
        return
    states = [one.value for one in state or ()]

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            known = known_by(app)
            admin = Admin(server, lease=lease, allowed=known.allowed, codec=known.codec)
            most = limit if limit is not None or json else SHOWN
            jobs = admin.pending(
                stream, group, consumer=consumer, min_idle=min_idle, states=states, limit=most
            )
            if json:
                async for job in jobs:
                    say_json(job.to_dict())
                return
            found = [job async for job in jobs]
            about = await admin.stream(stream)
            groups = [one for one in about.groups if group is None or one.name == group]
            show(found, about, groups)
            assumed = lease_assumed(groups, lease)
            if assumed:
                say(assumed)
            if is_terminal():
                # Without an App, consume would only print the jobs.
                named = app or (None if known.allowed else "MODULE:NAME")
                for hint in hints(found, groups, named):
                    note(hint)

    run(main)


@commands.command(
    short_help="Retry waiting or stalled jobs now.",
    epilog=examples(
        "streamq pending retry 1716998413541-0 1716998413542-0",
        "streamq pending retry --all --group images",
    ),
)
def retry(
    ids: Waiting = None,
    every: Annotated[
        bool, Option("--all", help="All that wait for a retry; not those that are stalled.")
    ] = False,
    group: Group = None,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Retry jobs now that wait for a retry, or are stalled.

    In every group, or in one. A running job is left alone. Exit code 1 if one of the
    jobs was not pending, or is running.
    """

    if bool(ids) == every:
        raise ConfigError("give the IDs of jobs, or --all")

    async def main() -> bool:
        from streamq.admin import Admin, RetryNow

        async with connect(url) as server:
            admin = Admin(server, lease=lease)
            missing, complete = set(ids or ()), True
            for name in await admin.group_names(stream, group):
                if ids is None or every:
                    count = counted(await admin.retry_all(stream, name), "job")
                    say(f"{count} due now in {name}")
                    continue
                done = await admin.retry_now(stream, name, ids)
                for job_id, outcome in done.items():
                    if outcome is RetryNow.NOT_PENDING:
                        continue
                    missing.discard(job_id)
                    if outcome is RetryNow.DUE:
                        say(f"{job_id} is due now in {name}")
                    elif outcome is RetryNow.RUNNING:
                        complain(f"{job_id} is running in {name}: left alone")
                        complete = False
                    else:
                        complain(f"{job_id} was deleted from the stream: dropped from {name}")
                        complete = False
            _complain_missing(ids or (), missing, group)
            return complete and not missing

    run_or_refuse(main)


@commands.command(
    "dead-letter",
    short_help="Make pending jobs dead letters.",
    epilog=examples('streamq pending dead-letter 1716998413541-0 --reason "bad picture"'),
)
def dead_letter(
    ids: Ids,
    reason: Annotated[
        str, Option("--reason", metavar="TEXT", help="Why; kept with the dead letter.")
    ] = "made a dead letter by hand",
    group: TheGroup = None,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Make pending jobs of a group dead letters, even while they run.

    The verdict of a worker that runs one is refused. "streamq dlq redrive" sends them back.
    Exit code 1 if one of the jobs was not pending.
    """

    async def main() -> bool:
        from streamq.admin import Admin

        async with connect(url) as server:
            name = await the_group(server, stream, group)
            done = await Admin(server).dead_letter(stream, name, ids, reason)
            for job_id, was_pending in done.items():
                if was_pending:
                    say(f"{job_id} is now a dead letter of {name}")
            missing = {job_id for job_id, was_pending in done.items() if not was_pending}
            _complain_missing(ids, missing, name)
            return not missing

    run_or_refuse(main)


@commands.command(epilog=examples("streamq pending release --consumer web1-4242-a1b2c3"))
def release(
    consumer: Annotated[
        str,
        Option(
            "--consumer",
            metavar="NAME",
            help="The consumer, as pending shows it.",
            show_default=False,
            complete=from_server("consumers"),
        ),
    ],
    group: Group = None,
    force: Annotated[
        bool,
        Option("--force", help="Even if it is alive: its jobs are cancelled and run again."),
    ] = False,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Release all jobs of a lost consumer at once, and remove it.

    The attempts that it made do not count. In every group that has it, or in one.
    """

    async def main() -> None:
        from streamq.admin import Admin

        async with connect(url) as server:
            admin, found = Admin(server, lease=lease), False
            for name in await admin.group_names(stream, group):
                try:
                    given = await admin.release(stream, name, consumer, force=force)
                except ConsumerNotFound:
                    continue
                except StillInUse as error:
                    raise unless_killed(error, lease, "--force releases its jobs now") from None
                found = True
                kept = "" if given.removed else "; it has taken new ones and stays"
                jobs = counted(given.jobs, "job")
                say(f"Released {jobs} of {printable(consumer)} in {name}, due now{kept}")
            if not found:
                who = f"the group {group}" if group else "no group"
                has = "has no" if group else "has a"
                raise ConsumerNotFound(
                    f"{who} of {printable(stream, 100)} {has} consumer {printable(consumer, 200)}; "
                    "see streamq pending"
                )

    run(main)


def _refuse_options(ctx: Context, command: str) -> None:
    """Options before a subcommand would not reach it."""
    for name in ctx.params:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"give {option} after {command}, not before it")


def _complain_missing(ids: Sequence[str], missing: set[str], group: str | None) -> None:
    where = f"in {group}" if group else "in any group"
    for job_id in dict.fromkeys(ids):
        if job_id in missing:
            complain(f"{job_id} is not pending {where}; see streamq status {job_id}")
