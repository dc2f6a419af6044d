"""The dead letters of jobs that are waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from streamq import lua
from streamq.errors import InvalidEntry
from streamq.server import Server
from streamq.wire.dead_letter import split
from streamq.wire.entry import decode, id_key
from streamq.wire.keys import GroupKeys

PAGE = 100
"""Letters read at once."""

CUT = 8000
"""Bytes of a value that are read: the longest error that is kept."""


class Letter(NamedTuple):
    """What a dead letter says of its job.

    Attributes:
        id: the letter's own ID.
        type: the job's type.
        reason: a short fixed phrase.
        error: what went wrong, for a person.
        attempts: how many the job had.
    """

    id: str
    type: str
    reason: str
    error: str
    attempts: int


async def find_letters(
    server: Server, keys: GroupKeys, wanted: Mapping[str, str]
) -> dict[str, Letter]:
    """The letters of jobs, by the jobs' IDs; those that have none are left out.

    Args:
        wanted: the jobs' IDs, each with that of its letter, or ``""`` where it is not known.
    """
    found: dict[str, Letter] = {}
    for job_id, letter_id in wanted.items():
        if letter_id:
            await _read(server, keys, {job_id}, letter_id, letter_id, found)
    left = wanted.keys() - found.keys()
    if left:
        await _read(server, keys, left, _start(left, server.clock.ahead), "+", found)
    return found


async def _read(
    server: Server, keys: GroupKeys, wanted: set[str], start: str, end: str,
    found: dict[str, Letter],
) -> None:  # fmt: skip
    while start and not wanted <= found.keys():
        rows, following = await server.run(lua.page(keys.dlq, start, end, PAGE, cut=CUT))
        for id, fields in rows:
            (job_id, reason, error, _, attempts, _), own = split(id.decode(), fields)
            if (job := _text(job_id)) in wanted:
                found.setdefault(
                    job,
                    Letter(
                        id.decode(), _type(own), _text(reason), _text(error),
                        int(attempts) if attempts.isdigit() else 0,
                    ),
                )  # fmt: skip
        start = following.decode()


def _start(jobs: set[str], ahead: float) -> str:
    """Where the letters of jobs begin: each was written after its job.

    An ID that was written by hand may lie in the future.
    """
    times = [id_key(id)[0] for id in jobs]
    if min(times) == 0 or max(times) > (time.time() + ahead) * 1000 + 60_000:
        return "-"
    return str(min(times))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _type(fields: list[bytes]) -> str:
    try:
        return decode(fields)[0]
    except InvalidEntry:
        return ""
