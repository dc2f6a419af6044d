"""Sending dead letters back: the same keys in several views."""

from __future__ import annotations

from collections.abc import Sequence

from streamq.admin import DeadLetter, Redriven
from streamq.text import printable
from streamq.ui.terminal.views.view import Desk


class Redriving:
    """Asks, and says how many; what becomes a dead letter after the question stays one."""

    def __init__(self, desk: Desk, stream: str, group: str) -> None:
        self._desk = desk
        self._name = printable(group, 60)
        self._letters = desk.admin.dead_letters(stream, group)

    def some(self, letters: Sequence[DeadLetter]) -> None:
        """Those that are listed, or one of them."""
        ids = [letter.id for letter in letters]
        what = _counted(len(ids)) if len(ids) != 1 else letters[0].job_id

        async def redrive() -> str:
            done = await self._letters.redrive(ids)
            refused = [one.error for one in done if one.new_id is None]
            sent = [one for one in done if one.new_id is not None]
            if len(done) == 1:
                return refused[0] if refused else f"Redriven as {sent[0].new_id}"
            return _said(len(sent), len(refused))

        self._desk.change(f"Redrive {what} to {self._name}?", redrive)

    def all(self, cause: str | None = None) -> None:
        """All there are, or all with one cause."""

        async def count() -> str:
            [newest] = (await self._letters.page(cause=cause, limit=1)).items or (None,)
            if newest is None:
                return "There is no dead letter any more"
            until = newest.id
            # Without a cause the server knows how many there are; with one, they have to be read.
            only_until = None if cause is None else until
            count = await self._letters.count(cause=cause, until=only_until)

            async def redrive() -> str:
                done = 0

                def tell(batch: Sequence[Redriven]) -> None:
                    nonlocal done
                    done += len(batch)
                    self._desk.say(f"Redriven {done:,} of {count:,}")

                found = await self._letters.redrive_all(cause=cause, until=until, progress=tell)
                return _said(found.redriven, found.failed)

            only = "" if cause is None else f" with {printable(cause, 60)}"
            self._desk.change(f"Redrive {_counted(count)}{only} to {self._name}?", redrive)
            return ""

        self._desk.do(count)


def _counted(count: int) -> str:
    return f"{count:,} dead {'letter' if count == 1 else 'letters'}"


def _said(redriven: int, failed: int) -> str:
    said = f"Redriven {_counted(redriven)}"
    return f"{said}; {failed:,} could not be" if failed else said
