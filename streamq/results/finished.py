"""What became of a job in one group, and what is raised in place of a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from streamq.errors import (
    InvalidEntry,
    JobCancelled,
    JobDead,
    JobExpired,
    JobNotFound,
    JobSkipped,
    ResultExpired,
    StreamqError,
)
from streamq.results.letters import Letter
from streamq.text import printable
from streamq.wire.entry import decode_data

Decode = Callable[[bytes], Any]
"""Makes a value of a result as it was written, or raises :class:`InvalidEntry`."""

State = Literal["succeeded", "dead", "expired", "cancelled", "skipped", "settled", "missing"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a job in one group.

    Attributes:
        id: the job's ID, as it was asked for.
        state: ``succeeded``, ``dead``, ``expired``, ``cancelled``, ``skipped`` (the group does
            not run it), ``settled`` (finished, and no record says how) or ``missing`` (there is
            no such job).
    """

    id: str
    stream: str
    group: str
    state: State
    raw: bytes = field(default=b"", repr=False)
    note: str = field(default="", repr=False)
    letter: Letter | None = field(default=None, repr=False)
    decode: Decode = field(default=decode_data, repr=False, compare=False)

    @property
    def value(self) -> Any:
        """What the handler returned; ``None`` where it returned nothing.

        Raises:
            StreamqError: it is :attr:`error`.
        """
        error = self.error
        if error is not None:
            raise error
        return self.decode(self.raw) if self.raw else None

    @property
    def error(self) -> StreamqError | None:
        """What takes the place of a result, where there is none."""
        job, where = f"the job {self.id}", (self.id, self.group)
        match self.state:
            case "succeeded":
                return self._not_kept(job)
            case "dead":
                return self._dead(job)
            case "expired":
                note = self.note or "expired before its turn came"
                return JobExpired(f"{job} was not run in the group {self.group}: {note}", *where)
            case "cancelled":
                why = f": {self.note}" if self.note else ""
                return JobCancelled(f"{job} was cancelled in the group {self.group}{why}", *where)
            case "skipped":
                why = f": {self.note}" if self.note else ""
                return JobSkipped(f"{job} is not run in the group {self.group}{why}", *where)
            case "settled":
                return ResultExpired(
                    f"{job} is finished in the group {self.group}, and no record says how: none "
                    "was kept (result_ttl=0), it has expired, or the group started later",
                    *where,
                )
        return JobNotFound(
            f"there is no trace of the job {self.id} on the stream {printable(self.stream, 100)}: "
            f"{self.note or f'the group {self.group} has not had it, and its entry is gone'}"
        )

    def _not_kept(self, job: str) -> StreamqError | None:
        told = f"{job} has succeeded in the group {self.group}, but "
        if not self.raw and self.note:
            return ResultExpired(told + self.note, self.id, self.group)
        try:
            if self.raw:
                self.decode(self.raw)
        except InvalidEntry as error:
            text = str(error).replace("the data", "its result", 1)
            return ResultExpired(told + text, self.id, self.group)
        return None

    def _dead(self, job: str) -> JobDead:
        letter = self.letter or Letter("", "", "", "", 0)
        after = f" after {letter.attempts} attempt{'' if letter.attempts == 1 else 's'}"
        why = ": ".join(part for part in (letter.reason, letter.error) if part)
        return JobDead(
            f"{job} is dead in the group {self.group}{after}: {why}", self.id, self.group,
            type=letter.type, reason=letter.reason, error=letter.error,
            attempts=letter.attempts, letter_id=letter.id,
        )  # fmt: skip
