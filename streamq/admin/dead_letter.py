"""A dead letter: a job that a group has given up, as it stands in the group's stream of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from streamq.admin.content import content, plain_data
from streamq.admin.reading import Entry, text
from streamq.codec import Codec
from streamq.wire.dead_letter import split
from streamq.wire.entry import created_at, decode_data
from streamq.wire.offloaded import Ref


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that a group has given up.

    Attributes:
        id: the letter's own ID, which also tells since when the job is dead.
        job_id: the ID that the job had.
        type: the job's type.
        reason: a short fixed phrase, such as ``retries exhausted``.
        error: what went wrong, for a person.
        traceback: where its handler failed, shortened: several lines; ``""`` where that is not
            known.
        attempts: how many it had.
        consumer: the consumer that held it last.
        raw: its data, JSON as a rule; as it was written, where that cannot be read, and ``None``
            when it had been deleted or is kept outside the stream.
        origin: the ID that it had before it was first redriven.
        ref: where its data is, if that is kept outside the stream.
        key: its order key.
        trace: its W3C ``traceparent``.
    """

    id: str
    job_id: str
    stream: str
    group: str
    type: str
    reason: str
    error: str
    attempts: int
    consumer: str
    raw: bytes | None
    origin: str | None = None
    ref: Ref | None = field(default=None, repr=False)
    traceback: str = field(default="", repr=False)
    key: str | None = None
    trace: str | None = None

    @property
    def dead_since(self) -> float:
        """Unix time in seconds."""
        return created_at(self.id)

    @property
    def cause(self) -> str:
        """What made it one, so that letters can be grouped by it: the error's class, such as
        ``ConnectionError``; the reason where that says more (``no handler``); or else the message,
        with ``…`` for numbers, quotes and all else that differs from job to job."""
        return cause_of(self.reason, self.error)

    @property
    def created_at(self) -> float:
        """When the job was written: Unix time in seconds."""
        return created_at(self.job_id)

    @property
    def offloaded(self) -> int | None:
        """How many bytes its data has, if that is kept outside the stream; it is not read."""
        return None if self.ref is None else self.ref.size

    @property
    def data(self) -> Any:
        """The job's data, decoded; ``None`` when it is not there.

        Raises:
            InvalidEntry: it is not JSON.
        """
        return None if self.raw is None else decode_data(self.raw)

    def to_dict(self) -> dict[str, Any]:
        """The letter as plain data. ``data`` that is not JSON comes as text in ``raw``, and of
        encrypted data the key's ID as ``encrypted_with``; data outside the stream has its size in
        bytes as ``offloaded``."""
        return {
            "id": self.id,
            "job_id": self.job_id,
            "stream": self.stream,
            "group": self.group,
            "type": self.type,
            "reason": self.reason,
            "error": self.error,
            "traceback": self.traceback,
            "attempts": self.attempts,
            "consumer": self.consumer,
            "created_at": self.created_at,
            "dead_since": self.dead_since,
            "origin": self.origin,
            **plain_data(self.raw, self.ref),
        }


def read_letter(entry: Entry, stream: str, group: str, codec: Codec | None = None) -> DeadLetter:
    """The dead letter in an entry of a group's stream of them."""
    meta, own = split(entry.id, entry.fields)
    job_id, reason, error, traceback, attempts, consumer = map(text, meta)
    job = content(own, codec)
    return DeadLetter(
        entry.id, job_id, stream, group, job.type, reason, error,
        int(attempts), consumer, job.raw, job.origin, job.ref, traceback, job.key, job.trace,
    )  # fmt: skip


def job_of(entry: Entry) -> str:
    """The ID of the job that a letter is about."""
    return text(split(entry.id, entry.fields)[0][0])


_CLASS = re.compile(r"([A-Z]\w*(?:\.\w+)*)(?:: |$)")
_VARIES = re.compile(r"""'[^']*'|"[^"]*"|\S*[\d/@_]\S*|\S+\.\w\S*""")
_OWN = ("retries exhausted", "gave up", "")
"""Reasons that say less than the error does."""

_MOST = 120


def cause_of(reason: str, error: str) -> str:
    """See :attr:`DeadLetter.cause`."""
    if reason not in _OWN:
        return reason
    named = _CLASS.match(error)
    if named is not None:
        return named[1]
    return _VARIES.sub("…", error[:_MOST]).strip() or reason or "no error was noted"
