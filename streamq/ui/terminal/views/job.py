"""One job: what has become of it in every group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from streamq.admin import GroupStatus, JobStatus
from streamq.errors import StreamqError
from streamq.text import duration, printable, printable_lines
from streamq.ui.job_fields import (
    Fields,
    group_fields,
    job_fields,
    known_moment,
    told_attempts,
)
from streamq.ui.terminal.line import Line, wrapped
from streamq.ui.terminal.selection import Selection
from streamq.ui.terminal.views.redriving import Redriving
from streamq.ui.terminal.views.retrying import retry_now
from streamq.ui.terminal.views.view import LOOKING, Desk, Key, View

STYLES = {
    "running": "green", "succeeded": "green", "retrying": "yellow", "held": "cyan",
    "stalled": "red", "dead": "red",
}  # fmt: skip


class JobView(View):
    """All that is known of it, on as many lines as that takes."""

    keys: ClassVar[Sequence[Key]] = (
        Key(("r",), "retry now, or redrive", changes=True),
        Key(("up", "down"), "scroll", "Up/Down"),
    )

    def __init__(self, desk: Desk, stream: str, job_id: str) -> None:
        super().__init__(desk)
        self._stream, self._job_id = stream, job_id
        self._job: JobStatus | None = None
        self._error: StreamqError | None = None
        self._place = Selection()
        self._below = 0

    async def look(self) -> None:
        """What has become of it."""
        try:
            self._job = await self.desk.admin.status(self._stream, self._job_id)
        except StreamqError as error:
            self._error = error
        else:
            self._error = None

    def body(self, width: int, height: int) -> Sequence[Line]:
        """The job, then each group."""
        lines: list[Line] = []
        if self._error is not None:
            lines += [Line((printable(self._error), "red")), Line()]
        if self._job is None and self._error is None:
            lines.append(LOOKING)
        if self._job is not None:
            lines += _lines(self._job, width)
        # The lines that can be at the top of the screen.
        self._place.renew(range(max(len(lines) - height, 0) + 1))
        self._place.page = height
        self._below = max(len(lines) - self._place.index - height, 0)
        return lines[self._place.index : self._place.index + height]

    def note(self) -> Line:
        """How much more there is."""
        return Line((f"{self._below:,} more below" if self._below else "", "dim"))

    def press(self, key: str) -> None:
        """Scroll, retry, redrive."""
        if self._place.press(key) or key != "r" or self._job is None:
            return
        for group in self._job.groups:
            if group.state in ("retrying", "stalled"):
                retry_now(self.desk, self._stream, group.group, self._job.id)
                return
        for group in self._job.groups:
            if group.state == "dead":
                self._redrive(group)
                return
        self.desk.say("In no group it waits for a retry, is stalled or dead")

    def _redrive(self, group: GroupStatus) -> None:
        async def find() -> str:
            letter = await self.desk.admin.dead_letters(self._stream, group.group).find(
                self._job_id
            )
            if letter is None:
                return f"{self._job_id} has no dead letter any more"
            Redriving(self.desk, self._stream, group.group).some([letter])
            return ""

        self.desk.do(find)


def _lines(job: JobStatus, width: int) -> list[Line]:
    own, groups = _known(job_fields(job)), [_known(group_fields(group)) for group in job.groups]
    label = max(len(name) for section in (own, *groups) for name in section)
    lines = _section(own, label, width)
    for group, section in zip(job.groups, groups, strict=True):
        lines += [Line(), *_section(section, label, width)]
        lines += _attempts(group, width)
        if group.traceback:
            lines.append(Line())
        for text in printable_lines(group.traceback):
            lines += [Line((part, "dim")) for part in wrapped(text, width)]
    return lines


def _attempts(group: GroupStatus, width: int) -> list[Line]:
    """How its attempts ended, one below the other."""
    lines = []
    for attempt in told_attempts(group):
        told = [f"attempt {attempt.number} {attempt.outcome}"]
        if attempt.started_at is not None:
            told.append(f"begun {known_moment(attempt.started_at)}")
        if attempt.seconds is not None:
            told.append(f"took {duration(attempt.seconds)}")
        if attempt.consumer:
            told.append(f"by {attempt.consumer}")
        text = ", ".join(told) + (f": {attempt.error}" if attempt.error else "")
        lines += [Line(part) for part in wrapped(printable(text), width)]
    return [Line(), *lines] if lines else []


def _known(fields: Fields) -> dict[str, str]:
    return {name: printable(value) for name, value in fields.items() if value is not None}


def _section(section: dict[str, str], label: int, width: int) -> list[Line]:
    """Names and values."""
    lines = []
    for name, value in section.items():
        for number, text in enumerate(wrapped(value, width - label - 2)):
            title = name if number == 0 else ""
            lines.append(Line((f"{title:<{label}}  ", "dim"), (text, _style(name, value))))
    return lines


def _style(name: str, value: str) -> str:
    match name:
        case "job" | "group":
            return "bold"
        case "status":
            return STYLES.get(value, "")
        case "error":
            return "red"
        case _:
            return ""
