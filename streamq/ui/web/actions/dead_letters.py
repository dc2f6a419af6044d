"""What is done to dead letters: sent back, or deleted; those chosen, or all that match."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from streamq.admin import Redriven
from streamq.ui.web.actions.asked import Asked, Confirm, Done
from streamq.ui.web.formats import plural
from streamq.ui.web.operations import Operation
from streamq.ui.web.pages.dead_letters import FILTERS, matching
from streamq.ui.web.site import some

Answer = Confirm | Done | Operation

COUNTED = 50_000
"""Dead letters that are looked at to say how many match."""


async def redrive(asked: Asked) -> Answer:
    """Send some of them back."""
    _, group = asked.place
    ids = asked.ids
    if not asked.confirmed:
        return Confirm(
            f"Redrive {plural(len(ids), 'dead letter')} of {group}?",
            f"Redrive {plural(len(ids), 'job')}",
            ["Each becomes a new job, for this group only, with all its attempts before it."],
        )
    done = await asked.admin.dead_letters(*asked.place).redrive(ids)
    failed = [one for one in done if one.new_id is None]
    text = f"Redrove {plural(len(done) - len(failed), 'job')}."
    if len(done) == 1 and done[0].new_id is not None:
        new_id = done[0].new_id
        return Done(f"Redriven: this is the new job, {new_id}.", job=(*asked.place, new_id))
    if failed:
        text += f" {plural(len(failed), 'dead letter')} could not be: {failed[0].error}."
    return Done(text, bad=len(failed) == len(done))


async def purge(asked: Asked) -> Answer:
    """Delete some of them."""
    _, group = asked.place
    ids = asked.ids
    if not asked.confirmed:
        return Confirm(
            f"Purge {plural(len(ids), 'dead letter')} of {group}?",
            f"Purge {plural(len(ids), 'dead letter')}",
            ["They are deleted for good, with the data of their jobs."],
            dangerous=True,
        )
    done = await asked.admin.dead_letters(*asked.place).purge(ids)
    gone = sum(done.values())
    text = f"Purged {plural(gone, 'dead letter')}."
    if gone < len(done):
        text += f" {len(done) - gone:,} gone already."
    return Done(text, bad=not gone)


async def redrive_all(asked: Asked) -> Answer:
    """Send all back that match."""
    many = await _Many.of(asked)
    if not asked.confirmed:
        return many.confirm(
            "Redrive", "job",
            ["Each becomes a new job, for this group only, with all its attempts before it."],
        )  # fmt: skip
    letters = asked.admin.dead_letters(*asked.place)

    async def work(operation: Operation) -> None:
        def note(results: Sequence[Redriven]) -> None:
            failed = sum(one.new_id is None for one in results)
            operation.failed += failed
            operation.done += len(results) - failed

        await letters.redrive_all(**many.filters, progress=note)

    return await many.start("Redrive", "job", work)


async def purge_all(asked: Asked) -> Answer:
    """Delete all that match."""
    many = await _Many.of(asked)
    if not asked.confirmed:
        return many.confirm(
            "Purge", "dead letter", ["They are deleted for good, with the data of their jobs."],
            dangerous=True,
        )  # fmt: skip
    letters = asked.admin.dead_letters(*asked.place)

    async def work(operation: Operation) -> None:
        def note(count: int) -> None:
            operation.done += count

        await letters.purge_all(**many.filters, progress=note)

    return await many.start("Purge", "dead letter", work)


async def stop(asked: Asked) -> Answer:
    """Stop what goes on."""
    operation = asked.site.operations.get(asked.need("operation"))
    if operation is None or not operation.running:
        return Done("It has ended already.")
    operation.stop()
    return Done("Stopped. What it has done stays done.")


class _Many:
    """All dead letters of a group that match what a page was filtered by."""

    def __init__(self, asked: Asked, count: int, complete: bool, until: str) -> None:
        self._asked = asked
        self._count = count
        self._complete = complete
        self._until = until
        self._given = some(dict(asked.form.fields), FILTERS)

    @classmethod
    async def of(cls, asked: Asked) -> _Many:
        """What was asked for; counted, unless that was done before."""
        until, count = asked.form.get("until"), asked.form.get("count")
        if asked.confirmed and until:
            return cls(asked, int(count) if count.isdecimal() else 0, True, until)
        given = some(dict(asked.form.fields), FILTERS)
        found = await asked.admin.dead_letters(*asked.place).matching(
            type=given.get("type"), cause=given.get("cause"), where=matching(asked.site, given),
            look_at=COUNTED,
        )  # fmt: skip
        return cls(asked, found.count, found.complete, found.until or "")

    @property
    def filters(self) -> dict[str, Any]:
        """For the methods of ``DeadLetters``."""
        return {
            "type": self._given.get("type"),
            "cause": self._given.get("cause"),
            "where": matching(self._asked.site, self._given),
            "until": self._until,
        }

    def confirm(self, verb: str, what: str, lines: list[str], *, dangerous: bool = False) -> Answer:
        """Ask first, and say how many."""
        if not self._count:
            return Done("There is nothing to do: no dead letter matches.")
        _, group = self._asked.place
        which = [
            f"{words} “{self._given[name]}”"
            for name, words in (("cause", "of"), ("type", "of the type"), ("q", "with the text"))
            if name in self._given
        ]
        letters = plural(self._count, "dead letter")
        if not self._complete:
            letters = f"at least {letters}"
            lines = [*lines, f"Only the oldest {COUNTED:,} were counted; all that match are meant."]
        lines = [*lines, "Dead letters that come from now on are not touched."]
        number = plural(self._count, what) if self._complete else f"all matching {what}s"
        return Confirm(
            f"{verb} {letters} of {group} {' '.join(which)}".strip() + "?", f"{verb} {number}",
            lines, dangerous,
            [("until", self._until), ("count", str(self._count) if self._complete else "")],
        )  # fmt: skip

    async def start(
        self, verb: str, what: str, work: Callable[[Operation], Awaitable[None]]
    ) -> Operation:
        """Begin, in the background if it takes long."""
        _, group = self._asked.place
        operation = Operation(
            verb=verb, what=what, group=group, back=self._asked.back, total=self._count or None
        )
        return await self._asked.site.operations.start(operation, work)


ACTIONS: Mapping[str, Callable[[Asked], Awaitable[Answer]]] = {
    "redrive": redrive, "purge": purge, "redrive-all": redrive_all, "purge-all": purge_all,
    "stop": stop,
}  # fmt: skip
