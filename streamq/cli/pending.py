"""``streamq pending``: what is in flight, waiting or stuck, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from streamq.cli.allowed import AppOption, known_by
from streamq.cli.command import Argument, Context, Family, Option
from streamq.cli.connection import connect, run, run_or_refuse, the_group
from streamq.cli.group_state import state_lines
from streamq.cli.groups import lease_assumed, unless_killed, who_pins
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
from streamq.cli.output import complain, duration, is_terminal, note, progress, say, say_json
from streamq.cli.rows import Row, say_rows
from streamq.errors import ConfigError, ConsumerNotFound, StillInUse
from streamq.limits import DEFAULT_STREAM, LEASE
from streamq.text import printable

if TYPE_CHECKING:
    from streamq.admin import GroupInfo, PendingJob, StreamInfo


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
    list[str],
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
            _show(found, about, groups)
            assumed = lease_assumed(groups, lease)
            if assumed:
                say(assumed)
            if is_terminal():
                # Without an App, consume would only print the jobs.
                named = app or (None if known.allowed else "MODULE:NAME")
                for hint in _hints(found, groups, named):
                    note(hint)

    run(main)


@commands.command(
    short_help="Retry waiting or stalled jobs now.",
    epilog=examples(
        "streamq pending retry 1716998413541-0 1716998413542-0",
    ),
)
def retry(
    ids: Waiting,
    group: Group = None,
    lease: Lease = LEASE,
    stream: Stream = DEFAULT_STREAM,
    url: Url = None,
) -> None:
    """Retry jobs now that wait for a retry, or are stalled.

    In every group, or in one. A running job is left alone. Exit code 1 if one of the
    jobs was not pending, or is running.
    """

    async def main() -> bool:
        from streamq.admin import Admin, RetryNow

        async with connect(url) as server:
            admin = Admin(server, lease=lease)
            missing, complete = set(ids), True
            for name in await admin.group_names(stream, group):
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
            _complain_missing(ids, missing, group)
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
                jobs = _count(given.jobs, "job")
                say(f"Released {jobs} of {printable(consumer)} in {name}, due now{kept}")
            if not found:
                who = f"the group {group}" if group else "no group"
                has = "has no" if group else "has a"
                raise ConsumerNotFound(
                    f"{who} of {printable(stream, 100)} {has} consumer {printable(consumer, 200)}; "
                    "see streamq pending"
                )

    run(main)


# -- what is shown ------------------------------------------------------------


def _show(jobs: Sequence[PendingJob], about: StreamInfo, groups: Sequence[GroupInfo]) -> None:
    total = sum(group.pending for group in groups)
    told = any(job.progress is not None for job in jobs)
    if jobs:
        say_rows(
            ("JOB", "GROUP", "TYPE", "STATE", "ATTEMPT", "IDLE", "WAITS FOR"),
            ("CONSUMER", *((PROGRESS,) if told else ()), "ERROR", "DATA"),
            [_row(job, told) for job in jobs],
        )
        say()
    if len(jobs) < total:
        say(f"{_count(len(jobs), 'job')} shown of {total:,} pending")
    elif not jobs:
        say("Nothing is pending")
    for group in groups:
        say(_summary(group))
    pinned = who_pins(about)
    if pinned:
        say(pinned)


def _row(job: PendingJob, told: bool) -> Row:
    of = f" of {job.max_attempts}" if job.max_attempts is not None else ""
    consumer = None
    if job.consumer is not None:
        consumer = f"{job.consumer} ({'alive' if job.consumer_alive else 'gone'})"
    return Row(
        (
            job.id, job.group, job.type or "-", job.state, f"{job.attempt}{of}",
            duration(job.idle), _waits_for(job),
        ),
        (
            consumer,
            *((progress(job.progress, job.progress_note),) if told else ()),
            job.error,
            job.preview if job.in_stream else "(deleted from the stream)",
        ),
    )  # fmt: skip


def _waits_for(job: PendingJob) -> str | None:
    """Short, for a terminal of 80 columns."""
    if job.state not in ("retrying", "held"):
        return None
    match job.held_for:
        case "key" | "room":
            return f"{job.held_for}, {_ordinal(job.place)}"
        case "paused":
            return "resume"
        case _ if job.next_attempt:
            return f"{job.held_for or 'retry'}, {duration(job.next_attempt)}"
        case _:
            return "a worker"


def _ordinal(place: int | None) -> str:
    if place is None:
        return "last"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{'th' if place % 100 in (11, 12, 13) else ending}"


def _summary(group: GroupInfo) -> str:
    parts = [f"{group.pending:,} pending"]
    if group.pending:
        states = (
            f"{count:,} {state}"
            for state, count in (
                ("running", group.running),
                ("retrying", group.retrying),
                ("held", group.held),
                ("stalled", group.stalled),
            )
            if count
        )
        parts[0] += f" ({', '.join(states)})"
    parts.append("queued unknown" if group.queued is None else f"{group.queued:,} queued")
    parts.append(f"{group.dead:,} dead")
    alive = f"{_count(group.alive, 'consumer')} alive" if group.alive else "no consumer alive"
    return f"{printable(group.name)}: {', '.join((*parts, alive, *state_lines(group)))}"


def _hints(
    jobs: Sequence[PendingJob], groups: Sequence[GroupInfo], app: str | None
) -> Iterator[str]:
    for group in groups:
        if not group.alive and (group.pending or group.queued != 0):
            yield f"\nNo worker for {printable(group.name)}. Start one:"
            option = f"--app {app} " if app else ""
            yield f"  streamq consume {option}--group {printable(group.name)}"
            return
    waiting = [job for job in jobs if job.state == "retrying" and job.next_attempt]
    if waiting:
        yield "\nRetry a job now, or give it up:"
        yield f"  streamq pending retry {waiting[0].id}"
        yield f"  streamq pending dead-letter {waiting[0].id} --group {waiting[0].group}"


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


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
