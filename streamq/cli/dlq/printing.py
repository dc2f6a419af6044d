"""Dead letters as a person reads them, and what was redriven."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streamq.cli.output import (
    complain,
    duration,
    is_terminal,
    moment,
    note,
    say,
    say_fields,
    say_json,
    say_traceback,
)
from streamq.cli.rows import Row, say_rows

if TYPE_CHECKING:
    from streamq.admin import DeadLetter, Redriven

PREVIEW = 120
"""Characters of a job's data that a terminal shows in a list."""

SEE_LIST = "see streamq dlq list"

REPORTED = 10
"""Redriven jobs that are printed one by one; of more than that, the number says enough."""


def show_all(letters: Sequence[DeadLetter], total: int) -> None:
    """Print a list of letters, of ``total`` that there are."""
    now = time.time()
    if letters:
        say_rows(
            ("JOB", "GROUP", "TYPE", "ATTEMPTS", "DEAD SINCE", "REASON"),
            ("ERROR", "DATA"),
            [
                Row(
                    (
                        letter.job_id, letter.group, letter.type or "-", letter.attempts,
                        f"{duration(max(now - letter.dead_since, 0))} ago", letter.reason,
                    ),
                    (letter.error, _data(letter, PREVIEW if is_terminal() else None)),
                )
                for letter in letters
            ],
            right=("ATTEMPTS",),
        )  # fmt: skip
        say()
    if not total:
        say("There are no dead letters")
    elif len(letters) < total:
        say(f"{count_of(len(letters))} shown of {total:,}")
    else:
        say(count_of(total))
    if letters and is_terminal():
        first = letters[0]
        note("\nOnce the cause is fixed, send them back:")
        note(f"  streamq dlq redrive {first.job_id} --group {first.group}")
        note(f"  streamq dlq redrive --all --group {first.group}")


def show_one(letter: DeadLetter) -> None:
    """Print all of a letter."""
    say_fields(
        {
            "job": letter.job_id,
            "letter": letter.id,
            "stream": letter.stream,
            "group": letter.group,
            "type": letter.type or "-",
            "reason": letter.reason,
            "error": letter.error,
            "attempts": letter.attempts,
            "consumer": letter.consumer,
            "created": moment(letter.created_at),
            "dead since": moment(letter.dead_since),
            "redriven from": letter.origin,
            "data": _data(letter),
        }
    )
    say_traceback(letter.traceback)


def _data(letter: DeadLetter, limit: int | None = None) -> str:
    from streamq.admin.content import shown_data

    if letter.raw is None and letter.ref is None:
        return "(deleted from the stream before it became a dead letter)"
    return shown_data(letter.raw, letter.ref, limit)


def count_of(count: int) -> str:
    """``1 dead letter``, ``2 dead letters``."""
    return f"{count:,} dead letter{'' if count == 1 else 's'}"


class Report:
    """Prints what was redriven."""

    def __init__(self, group: str, *, json: bool) -> None:
        self.done = 0
        self.failed = 0
        self._group = group
        self._json = json

    def tell(self, batch: Sequence[Redriven]) -> None:
        """Print what became of some dead letters."""
        for result in batch:
            if self._json:
                say_json({"group": self._group, **result.to_dict()})
            elif result.new_id is None:
                complain(f"{result.error}; {SEE_LIST}")
            elif self.done < REPORTED:
                say(f"Redriven {result.id} as {result.new_id}")
            self.done += result.new_id is not None
            self.failed += result.new_id is None

    def close(self) -> None:
        """Print the last line."""
        if self._json:
            return
        if not self.done and not self.failed:
            say(f"{self._group} has no dead letters to redrive")
        elif self.done > REPORTED:
            rest = f"{self.done - REPORTED:,} more"
            say(f"… and {rest}: {count_of(self.done)} redriven to {self._group}")
