"""One group: its consumers and what each is doing, and the jobs that are pending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from streamq.admin import ConsumerActivity, GroupSnapshot, PendingJob
from streamq.errors import StreamqError
from streamq.text import printable, progress
from streamq.ui.terminal import figures
from streamq.ui.terminal.groups import WIDE, remarks_of
from streamq.ui.terminal.line import Line, Part, joined
from streamq.ui.terminal.table import Column
from streamq.ui.terminal.views.dead_letters import DeadLettersView
from streamq.ui.terminal.views.job import JobView
from streamq.ui.terminal.views.listing import Listing
from streamq.ui.terminal.views.pausing import pause_or_resume
from streamq.ui.terminal.views.retrying import retry_now
from streamq.ui.terminal.views.view import LOOKING, Desk, Key, View

MOST = 100
"""Pending jobs that are listed: the oldest."""

STATES = ("", "running", "retrying", "held", "stalled")
STYLES = {"running": "green", "retrying": "yellow", "held": "cyan", "stalled": "red"}


@dataclass
class _Found:
    """What was seen last."""

    consumers: Sequence[ConsumerActivity] = ()
    jobs: Sequence[PendingJob] = ()
    more: bool = False
    error: StreamqError | None = None


class GroupView(View):
    """Two lists: Tab goes from one to the other."""

    keys: ClassVar[Sequence[Key]] = (
        Key(("enter",), "job", "Enter"),
        Key(("r",), "retry now", changes=True),
        Key(("d",), "dead letters"),
        Key(("p",), "pause/resume", changes=True),
        Key(("f",), "state"),
        Key(("/",), "filter"),
        Key(("tab", "backtab"), "other list", "Tab"),
    )

    def __init__(self, desk: Desk, stream: str, group: str) -> None:
        super().__init__(desk)
        self._stream, self._group = stream, group
        self._found: _Found | None = None
        self._state = ""
        self._wanted = ""
        self._on_jobs = True
        self._jobs = Listing[PendingJob](lambda job: job.id)
        self._consumers = Listing[ConsumerActivity](lambda one: one.consumer.name)

    async def look(self) -> None:
        """The consumers, and the oldest pending jobs."""
        admin, place = self.desk.admin, (self._stream, self._group)
        try:
            consumers = await admin.consumers(*place, jobs=1)
            states = [self._state] if self._state else []
            page = await admin.pending_page(*place, states=states, limit=MOST)
        except StreamqError as error:
            before = self._found or _Found()
            self._found = _Found(before.consumers, before.jobs, before.more, error)
        else:
            self._found = _Found(consumers, page.items, page.following is not None)

    def body(self, width: int, height: int) -> Sequence[Line]:
        """The group in a few figures, its consumers, its jobs."""
        end = self.desk.marks.end
        lines = [self._title(width)]
        found = self._found
        if found is None:
            return [*lines, Line(), LOOKING]
        if found.error is not None:
            lines.append(Line((printable(found.error), "red")))
        self._consumers.renew(found.consumers)
        self._jobs.renew([job for job in found.jobs if self._has(job)])
        room = max((height - 4) // 3, 2)
        consumers = self._consumers.lines(
            CONSUMERS, width, min(room, len(found.consumers) + 1), end, focused=not self._on_jobs,
            empty=Line(("No consumer: no worker has read from this group yet", "yellow")),
        )  # fmt: skip
        lines += [Line(), *consumers, Line()]
        which = f" {self._state}" if self._state else ""
        jobs = self._jobs.lines(
            JOBS, width, height - len(lines), end, focused=self._on_jobs,
            empty=Line((f"No{which} pending job{' matches' if self._wanted else ''}", "dim")),
        )  # fmt: skip
        return [*lines, *jobs]

    def note(self) -> Line:
        """The error or the data of the job that is meant, or the job of the consumer."""
        dot: Part = (f" {self.desk.marks.dot} ", "dim")
        if not self._on_jobs:
            one = self._consumers.selected
            return Line() if one is None else Line((printable(one.consumer.name), "bold"))
        job = self._jobs.selected
        if job is None:
            return Line()
        facts = [Line((job.id, "bold"))]
        if job.error:
            facts.append(Line((printable(job.error), "red")))
        facts.append(Line(job.preview if job.in_stream else "(deleted from the stream)"))
        if self._found is not None and self._found.more:
            facts.insert(0, Line((f"the oldest {len(self._found.jobs)} are listed", "dim")))
        return joined(facts, dot)

    def press(self, key: str) -> None:
        """Move, open a job, retry it, pause the group."""
        focused = self._jobs if self._on_jobs else self._consumers
        if focused.press(key):
            return
        job = self._meant()
        if key in ("tab", "backtab"):
            self._on_jobs = not self._on_jobs
        elif key == "d":
            self.desk.open(DeadLettersView(self.desk, self._stream, self._group))
        elif key == "p":
            pause_or_resume(self.desk, self._stream, self._group)
        elif key == "f":
            self._state = STATES[(STATES.index(self._state) + 1) % len(STATES)]
            self.desk.say(f"Only {self._state} jobs" if self._state else "Jobs in any state")
            self._found = None if self._found is None else _Found(self._found.consumers)
            self.desk.look()
        elif key == "/":
            self.desk.ask("Filter: ", self._wanted, self._filter)
        elif job is not None and key in ("enter", "right"):
            self.desk.open(JobView(self.desk, self._stream, job.id))
        elif job is not None and key == "r":
            retry_now(self.desk, self._stream, self._group, job.id)

    def _meant(self) -> PendingJob | None:
        if self._on_jobs:
            return self._jobs.selected
        one = self._consumers.selected
        return one.jobs[0] if one is not None and one.jobs else None

    def leave(self, key: str) -> bool:
        """Esc shows all again, and leads back then."""
        if key != "esc" or not self._wanted:
            return False
        self._wanted = ""
        return True

    def _filter(self, wanted: str) -> None:
        self._wanted = wanted

    def _has(self, job: PendingJob) -> bool:
        text = f"{job.id} {job.type} {job.consumer} {job.error} {job.preview}"
        return self._wanted.lower() in text.lower()

    def _title(self, width: int) -> Line:
        marks = self.desk.marks
        own = self._snapshot()
        group = printable(self._group, 60)
        title = Line(printable(self._stream, 40), (" / ", "dim"), (group, "bold"))
        if own is None:
            return title
        backlog = own.backlog
        rates = self.desk.feed.trends.settled(self._stream, self._group)
        figs = [
            Line(("done", "dim"), f" {figures.rate(own.settled_rate):>4}/s ",
                 (marks.sparkline(rates, 20 if width >= WIDE else 10), "cyan")),
            Line(("lag", "dim"), f" {figures.count(backlog.queued)}"),
            Line(("dead", "dim"), f" {figures.count(backlog.dead_letters)}"),
        ]  # fmt: skip
        return joined([title, *figs, *map(Line, remarks_of(own))], ("  ", ""))

    def _snapshot(self) -> GroupSnapshot | None:
        picture = self.desk.feed.picture
        for group in () if picture is None else picture.groups:
            if (group.stream, group.name) == (self._stream, self._group):
                return group
        return None


def _doing(one: ConsumerActivity) -> Part:
    if not one.jobs:
        return "idle", "dim"
    job = one.jobs[0]
    said = f"{printable(job.type or 'a job', 40)} {job.id}"
    how_far = progress(job.progress, job.progress_note)
    if how_far:
        said += f", {how_far}"
    more = one.consumer.pending - 1
    return said + (f", and {more:,} more" if more else ""), ""


def _waits_for(job: PendingJob) -> Part:
    if job.state not in ("retrying", "held"):
        return "", ""
    if job.next_attempt is not None:
        after = figures.age(job.next_attempt) if job.next_attempt else "a worker"
        return f"{job.held_for or 'retry'}, {after}" if job.next_attempt else after, ""
    place = f", place {job.place:,}" if job.place else ""
    return f"{job.held_for or 'a worker'}{place}", ""


def _attempt(job: PendingJob) -> Part:
    of = f"/{job.max_attempts}" if job.max_attempts is not None else ""
    last = job.max_attempts is not None and job.attempt >= job.max_attempts
    return f"{job.attempt}{of}", "red" if last and job.attempt > 1 else ""


CONSUMERS: Sequence[Column[ConsumerActivity]] = (
    Column("CONSUMER", lambda one: (printable(one.consumer.name), "bold"), 16, grows=True, most=44,
           right=False),
    Column("", lambda one: ("alive", "green") if one.consumer.alive else ("gone", "red"), 5,
           right=False),
    Column("HOLDS", lambda one: (figures.count(one.consumer.pending), "")),
    Column("HEARD", lambda one: (figures.age(one.consumer.idle), ""), 5, rank=1),
    Column("DOING", _doing, 20, grows=True, right=False),
)  # fmt: skip

JOBS: Sequence[Column[PendingJob]] = (
    Column("JOB", lambda job: (job.id, "bold"), 16, grows=True, most=40, right=False),
    Column("TYPE", lambda job: (printable(job.type or "-"), ""), 8, grows=True, most=30,
           right=False),
    Column("STATE", lambda job: (job.state, STYLES[job.state]), 8, right=False),
    Column("ATTEMPT", _attempt, rank=1),
    Column("IDLE", lambda job: (figures.age(job.idle), ""), 5),
    Column("WAITS FOR", _waits_for, 12, right=False, rank=2),
    Column("ERROR", lambda job: (printable(job.error or ""), "red"), 10, grows=True, right=False,
           rank=3),
    Column("CONSUMER", lambda job: (printable(job.consumer or ""), ""), 12, grows=True, most=30,
           right=False, rank=4),
    Column("DATA", lambda job: (job.preview, "dim"), 16, grows=True, right=False, rank=5),
)  # fmt: skip
"""What does not fit is in the line below the list."""
