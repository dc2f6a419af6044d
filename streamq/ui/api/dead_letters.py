"""The dead letters of a group."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Discriminator, Field, Tag

from streamq.admin import DeadLetters
from streamq.errors import JobNotFound
from streamq.ui.api.jobs import Data
from streamq.ui.api.operation import Call, Reply, StreamQuery, Taken, Told
from streamq.ui.api.values import MOST, PAGE, Flag, LetterID, Limit, QuerySeconds, Seconds, TypeName


class LettersQuery(StreamQuery):
    """Which dead letters."""

    type: TypeName | None = None
    """Only of jobs of this type."""
    older_than: QuerySeconds = 0.0
    """Only those that have been dead for this long."""
    newest_first: Flag = False
    """The other way round."""
    limit: Limit = PAGE
    """How many at most."""
    after: LetterID | None = None
    """Where the page before ended: its `next`."""


class DeadLetter(Data):
    """A job that a group has given up."""

    id: str
    """The letter's own ID."""
    job_id: str
    stream: str
    group: str
    type: str
    reason: str
    error: str
    attempts: int
    consumer: str
    traceback: str
    """Where its handler failed, shortened; empty where that is not kept."""
    created_at: float
    dead_since: float
    origin: str | None


class LettersPage(Told):
    """Some dead letters, oldest first."""

    items: list[DeadLetter]
    next: str | None
    """What to give as `after` for the next page; `null` after the last one."""


async def dead_letters(call: Call) -> Reply:
    """List the dead letters of a group, page by page."""
    query = call.query
    found = [
        letter
        async for letter in _letters(call).list(
            type=query.type, older_than=query.older_than, newest_first=query.newest_first,
            limit=query.limit + 1, after=query.after,
        )
    ]  # fmt: skip
    page = found[: query.limit]
    following = page[-1].id if len(found) > len(page) else None
    return Reply({"items": [letter.to_dict() for letter in page], "next": following})


async def dead_letter(call: Call) -> Reply:
    """Show one dead letter, by its own ID or that of its job."""
    return Reply((await _letters(call).get(call.named("letter"))).to_dict())


class Redriven(Told):
    """What became of a dead letter that was to be redriven."""

    id: str
    new_id: str | None
    """The ID of the new job; `null` when nothing was done."""
    error: str
    """Why nothing was done; empty otherwise."""


async def redrive_one(call: Call) -> Reply:
    """Send one dead letter back to its stream, as a new job for this group only."""
    [done] = await _letters(call).redrive([call.named("letter")])
    if done.new_id is None:
        raise JobNotFound(done.error)
    return Reply(done.to_dict())


class Gone(Told):
    """A dead letter that was deleted."""

    id: str
    purged: bool


async def purge_one(call: Call) -> Reply:
    """Delete one dead letter for good."""
    id, letters = call.named("letter"), _letters(call)
    if not (await letters.purge([id]))[id]:
        await letters.get(id)  # raises: there is none
    return Reply({"id": id, "purged": True})


class TheseLetters(Taken):
    """Those with these IDs."""

    model_config = ConfigDict(strict=True)

    ids: Annotated[list[LetterID], Field(min_length=1, max_length=MOST)]
    """Their IDs, or those of their jobs."""


class LettersThatFit(Taken):
    """Those that fit all that is given."""

    model_config = ConfigDict(strict=True, json_schema_extra={"minProperties": 1})

    type: TypeName = Field(default=cast("str", None))  # left out, but never null
    """Of jobs of this type."""
    older_than: Seconds = Field(default=0.0)
    """That have been dead for this long."""


class AllLetters(Taken):
    """All that there are."""

    model_config = ConfigDict(strict=True)

    all: Literal[True]


def _which(value: Any) -> str | None:
    given = value.keys() if isinstance(value, dict) else ()
    return "ids" if "ids" in given else "all" if "all" in given else "fit" if given else None


WhichLetters = Annotated[
    Annotated[TheseLetters, Tag("ids")]
    | Annotated[LettersThatFit, Tag("fit")]
    | Annotated[AllLetters, Tag("all")],
    Discriminator(
        _which,
        custom_error_type="which",
        custom_error_message="say which: ids, or type and older_than, or all: true",
    ),
]
"""Which dead letters are meant."""


class RedriveSummary(Told):
    """What became of many dead letters."""

    redriven: int
    failed: int
    """How many could not be, and are still dead letters."""
    errors: dict[str, str]
    """By ID, why it could not be; of those that were asked for by their IDs."""


async def redrive(call: Call) -> Reply:
    """Send many dead letters back to their stream, as new jobs for this group only.

    Those that become dead letters meanwhile stay. It answers when it is done; a request that is
    broken off leaves the others dead letters, so send it again.
    """
    letters, which = _letters(call), call.body
    if isinstance(which, TheseLetters):
        done = await letters.redrive(which.ids)
        errors = {one.id: one.error for one in done if one.new_id is None}
        return Reply({"redriven": len(done) - len(errors), "failed": len(errors), "errors": errors})
    summary = await letters.redrive_all(**_filters(which))
    return Reply(summary.to_dict() | {"errors": {}})


class PurgeSummary(Told):
    """How many dead letters were deleted."""

    purged: int
    unknown: list[str]
    """Of those that were asked for by their IDs, the ones that there are not."""


async def purge(call: Call) -> Reply:
    """Delete many dead letters for good."""
    letters, which = _letters(call), call.body
    if isinstance(which, TheseLetters):
        done = await letters.purge(which.ids)
        unknown = [id for id, gone in done.items() if not gone]
        return Reply({"purged": len(done) - len(unknown), "unknown": unknown})
    count = await letters.purge_all(**_filters(which))
    return Reply({"purged": count, "unknown": []})


def _filters(which: LettersThatFit | AllLetters) -> dict[str, Any]:
    return {} if isinstance(which, AllLetters) else which.model_dump()


def _letters(call: Call) -> DeadLetters:
    return call.served.admin.dead_letters(call.stream, call.named("group"))
