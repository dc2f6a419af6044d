"""What has become of one job in each group.

It is derived from what Redis knows, in this order: the pending entries list, the
queue, the record of a finished job, the dead letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

from streamq.admin.consumers import consumers_of
from streamq.admin.content import Content, content, plain_data
from streamq.admin.dead_letter import DeadLetter
from streamq.admin.dead_letters import DeadLetters
from streamq.admin.history import Attempt, history_of
from streamq.admin.pending import PROGRESS, Allowed, State, progress_of, state_of
from streamq.admin.reading import ask, count_of, named, text
from streamq.admin.schedules import ScheduledJob, is_name
from streamq.codec import Codec, as_json, decode_result
from streamq.errors import InvalidEntry, JobNotFound, StreamqError
from streamq.server import Arg, Server
from streamq.text import printable
from streamq.wire.encrypted import encrypted_with
from streamq.wire.entry import check_id, created_at, id_key
from streamq.wire.keys import PARKED, WAITING, group_keys
from streamq.wire.offloaded import Ref

Finished = Literal["succeeded", "expired", "cancelled"]
Standing = State | Finished | Literal["queued", "dead", "skipped", "settled", "unknown"]


class Emitted(NamedTuple):
    """An event that a job has written: a job itself.

    Attributes:
        stream: where it is.
        id: its ID.
    """

    stream: str
    id: str


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """What has become of a job in one group. What does not apply is ``None``.

    Attributes:
        state: ``queued``, ``running``, ``retrying``, ``held``, ``stalled``, ``succeeded``,
            ``expired``, ``dead``, ``skipped`` (it is for another group), ``settled``
            (no record says how), or ``unknown``.
        attempts: how many it has had.
        max_attempts: how many it may have.
        consumer: the consumer that holds it, or held it last.
        consumer_alive: whether the consumer that holds it is alive.
        idle: seconds since its last delivery, heartbeat or failure, while it is pending.
        next_attempt: seconds until its retry is due; 0 when it is due now.
        progress: how far its handler says it is, 0 to 1, while it runs.
        progress_note: what it says of that.
        started_at: when its last attempt began; Unix time in seconds, as all times.
        finished_at: when it succeeded or expired.
        failed_at: when its last failed attempt ended.
        dead_since: when it became a dead letter.
        reason: why it did, a short fixed phrase.
        error: the error of its last failed attempt.
        traceback: of a dead one, where its handler failed, shortened: several lines; ``""`` where
            that is not known.
        result: what its handler returned.
        emitted: of one that succeeded, the events that it has written, the first 50.
        emitted_count: how many there were.
        note: more about the state, for a person.
        dead_letter: the ID of its dead letter.
        history: its attempts that have ended, in order: those that failed, and the last one. Kept
            with its record, so for ``result_ttl`` after its end; of many the first one and the
            last ones.
    """

    group: str
    state: Standing
    attempts: int | None = None
    max_attempts: int | None = None
    consumer: str | None = None
    consumer_alive: bool | None = None
    idle: float | None = None
    next_attempt: float | None = None
    progress: float | None = None
    progress_note: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    failed_at: float | None = None
    dead_since: float | None = None
    reason: str | None = None
    error: str | None = None
    result: Any = None
    emitted: tuple[Emitted, ...] = ()
    emitted_count: int = 0
    note: str | None = None
    dead_letter: str | None = None
    traceback: str = ""
    history: tuple[Attempt, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data, all fields of it."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {
            "emitted": [event._asdict() for event in self.emitted],
            "history": [attempt.to_dict() for attempt in self.history],
        }


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What has become of a job.

    Attributes:
        type: the job's type; ``None`` when nothing of it is left that would tell.
        raw: its data, JSON as a rule; as it was written where that cannot be read, and ``None``
            when nothing is left or it is kept outside the stream.
        in_stream: whether its entry is still in the stream.
        only_for: the one group that it is for.
        origin: the ID that it had before it was redriven.
        groups: by group; none for a job for later.
        due_at: of a job for later, when it is written to the stream: Unix time in seconds.
        ref: where its data is, if that is kept outside the stream.
        key: its order key.
        trace: its W3C ``traceparent``. This and the key are known while its entry is there.
    """

    id: str
    stream: str
    type: str | None
    raw: bytes | None = field(repr=False)
    in_stream: bool
    only_for: str | None
    origin: str | None
    groups: tuple[GroupStatus, ...]
    ref: Ref | None = field(default=None, repr=False)
    due_at: float | None = None
    key: str | None = None
    trace: str | None = None

    @property
    def created_at(self) -> float | None:
        """When it was written: Unix time in seconds; ``None`` for a job for later."""
        return None if is_name(self.id) else created_at(self.id)

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for the time at which it is written to the stream."""
        return self.due_at is not None

    @property
    def offloaded(self) -> int | None:
        """How many bytes its data has, if that is kept outside the stream; it is not read."""
        return None if self.ref is None else self.ref.size

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data. ``data`` that is not JSON comes as text in ``raw``, and of
        encrypted data the key's ID as ``encrypted_with``."""
        return {
            "id": self.id,
            "stream": self.stream,
            "type": self.type,
            "created_at": self.created_at,
            "in_stream": self.in_stream,
            "for": self.only_for,
            "origin": self.origin,
            "key": self.key,
            "trace": self.trace,
            "state": "scheduled" if self.is_scheduled else None,
            "due_at": self.due_at,
            **plain_data(self.raw, self.ref),
            "groups": [group.to_dict() for group in self.groups],
        }


class _Trace(NamedTuple):
    """What Redis holds of a job in one group, all read at one moment.

    Attributes:
        row: the consumer that holds it, idle ms, delivery count; ``None`` if not pending.
        alive: whether that consumer is.
        due: its retry time in ms, if it waits for one.
        now: the server's time in ms.
        record: its status record.
        reached: whether the group has come as far as this job.
        cancelled: whether it ends as cancelled when a worker comes to it.
    """

    group: str
    row: tuple[str, int, int] | None
    alive: bool | None
    due: float | None
    now: int
    record: dict[bytes, bytes]
    reached: bool
    cancelled: bool = False

    def text(self, name: bytes) -> str | None:
        """A field of the record."""
        raw = self.record.get(name)
        return None if raw is None else text(raw)

    def time(self, name: bytes) -> float | None:
        """A field of the record that is a time in ms; in seconds."""
        raw = self.record.get(name, b"")
        return int(raw) / 1000 if raw.isdigit() else None


async def job_status(
    server: Server, stream: str, job_id: str, groups: Sequence[str], lease: float, allowed: Allowed,
    codec: Codec | None = None,
) -> JobStatus:  # fmt: skip
    """What has become of a job in these groups.

    Raises:
        JobNotFound: there is no trace of it.
        ConfigError: that is not a job ID.
    """
    check_id(job_id)
    entry, traces = await _traces(server, stream, job_id, groups, lease, codec)
    found: list[GroupStatus | None] = []
    job = entry
    for trace in traces:
        status = _pending(trace, entry, lease) or _queued(trace, entry) or _finished(trace, codec)
        if status is None:
            letter = await DeadLetters(server, stream, trace.group, codec).find(job_id)
            if letter is not None:
                status = _dead(letter, trace)
                job = job or Content(
                    letter.type, letter.raw, None, letter.origin, letter.ref, letter.key,
                    letter.trace,
                )  # fmt: skip
        elif job is None and b"type" in trace.record:
            raw = trace.record.get(b"data") or None
            shown = raw and as_json(codec, raw)
            job = Content(trace.text(b"type") or "", shown, None, None)
        found.append(status)
    if entry is None and not any(found):
        raise JobNotFound(
            f"there is no trace of the job {job_id} on the stream {printable(stream, 100)}: "
            "its record has expired, it was redriven under a new ID, or it never existed"
        )
    statuses = [
        status or _without_trace(trace, entry) for status, trace in zip(found, traces, strict=True)
    ]
    type = None if job is None else job.type
    if type is not None:
        statuses = [
            replace(
                status,
                max_attempts=allowed(stream, status.group, type) or status.max_attempts,
            )
            if status.attempts is not None
            else status
            for status in statuses
        ]  # fmt: skip
    whole = JobStatus(job_id, stream, type, None, entry is not None, None, None, tuple(statuses))
    if job is None:
        return whole
    return replace(
        whole, raw=job.raw, only_for=job.only_for, origin=job.origin, ref=job.ref, key=job.key,
        trace=job.trace,
    )  # fmt: skip


async def failed_traces(
    server: Server, stream: str, group: str, job_ids: Sequence[str]
) -> dict[str, str]:
    """By job ID, the ``traceparent`` of the first attempt that failed, where there is one."""
    keys = group_keys(stream, group)
    replies = await ask(server, *(("HGET", keys.job(check_id(id)), "trace") for id in job_ids))
    return {
        id: text(raw) for id, raw in zip(job_ids, replies, strict=True) if isinstance(raw, bytes)
    }


def scheduled_status(job: ScheduledJob) -> JobStatus:
    """That of a job for later."""
    return JobStatus(
        job.name, job.stream, job.type, job.raw, False, None, None, (), job.ref, job.due_at,
        job.key, job.trace,
    )  # fmt: skip


async def _traces(
    server: Server,
    stream: str,
    job_id: str,
    groups: Sequence[str],
    lease: float,
    codec: Codec | None,
) -> tuple[Content | None, list[_Trace]]:
    commands: list[Sequence[Arg]] = []
    for keys in (group_keys(stream, group) for group in groups):
        commands += (
            ("XPENDING", stream, keys.group, job_id, job_id, 1),
            ("ZSCORE", keys.retry, job_id),
            ("HGETALL", keys.job(job_id)),
            ("SISMEMBER", keys.cancelled, job_id),
        )
    clock, entries, standings, *replies = await ask(
        server, ("TIME",), ("XRANGE", stream, job_id, job_id), ("XINFO", "GROUPS", stream),
        *commands, atomic=True,
    )  # fmt: skip
    for reply in (entries, standings):
        if isinstance(reply, StreamqError):
            raise reply
    now = int(clock[0]) * 1000 + int(clock[1]) // 1000
    last = {
        text(row[b"name"]): id_key(text(row[b"last-delivered-id"])) for row in map(named, standings)
    }
    traces = []
    for group, rows, due, record, cancelled in zip(groups, *[iter(replies)] * 4, strict=True):
        if group not in last:
            continue  # deleted since
        row, alive = None, None
        if rows and not isinstance(rows, Exception):
            row = (text(rows[0][1]), rows[0][2], rows[0][3])
            consumers = await consumers_of(server, stream, group, lease)
            alive = any(c.alive for c in consumers if c.name == row[0])
        traces.append(
            _Trace(
                group, row, alive, float(due) if isinstance(due, bytes) else None, now,
                named(record) if isinstance(record, list) else {}, id_key(job_id) <= last[group],
                cancelled == 1,
            )
        )  # fmt: skip
    return content(entries[0][1], codec) if entries else None, traces


def _pending(trace: _Trace, entry: Content | None, lease: float) -> GroupStatus | None:
    if trace.row is None:
        return None
    consumer, idle, deliveries = trace.row
    parked, waits = consumer == PARKED, consumer in WAITING
    done, said = progress_of(
        *(trace.record.get(name) for name in PROGRESS), deliveries=deliveries, parked=waits
    )
    return GroupStatus(
        trace.group,
        state_of(consumer, idle, lease),
        attempts=deliveries,
        consumer=None if waits else consumer,
        consumer_alive=None if waits else trace.alive,
        idle=idle / 1000,
        next_attempt=max(trace.due - trace.now, 0) / 1000 if parked and trace.due else None,
        max_attempts=count_of(trace.record.get(b"deliveries", b"")),
        progress=done,
        progress_note=said,
        failed_at=trace.time(b"failed_at"),
        error=trace.text(b"error"),
        history=history_of(trace.record, deliveries),
        note=(
            "its entry was deleted from the stream"
            if entry is None
            else "it is being cancelled"
            if trace.cancelled
            else None
        ),
    )


def _queued(trace: _Trace, entry: Content | None) -> GroupStatus | None:
    if trace.reached or entry is None:
        return None
    if trace.cancelled:
        return GroupStatus(trace.group, "cancelled", note="it will not run")
    return GroupStatus(trace.group, "queued")


_FINISHED: dict[bytes, Finished] = {
    b"succeeded": "succeeded",
    b"expired": "expired",
    b"cancelled": "cancelled",
}


def _finished(trace: _Trace, codec: Codec | None) -> GroupStatus | None:
    state = _FINISHED.get(trace.record.get(b"state", b""))
    if state is None:
        return None
    attempts = count_of(trace.record.get(b"attempts", b""))
    result, note = _result(trace, codec)
    emitted, count = _emitted(trace.record.get(b"emitted", b""))
    started, finished = trace.time(b"started_at"), trace.time(b"finished_at")
    history = history_of(trace.record, attempts)
    if attempts == 1 and state == "succeeded" and started is not None and finished is not None:
        # A job that succeeds at first costs nothing more: its record has all there is to tell.
        history = (Attempt(1, state, None, started, max(finished - started, 0)),)
    return GroupStatus(
        trace.group,
        state,
        attempts=attempts,
        consumer=trace.text(b"consumer"),
        started_at=started,
        finished_at=finished,
        result=result,
        emitted=emitted,
        emitted_count=count,
        note=note,
        history=history,
    )


def _emitted(raw: bytes) -> tuple[tuple[Emitted, ...], int]:
    """The events that a record names, and how many there were; see `settling.lua`."""
    count, *lines = text(raw).split("\n")
    found = [line.partition(" ") for line in lines]
    return tuple(Emitted(stream, id) for id, _, stream in found), count_of(count.encode()) or 0


def _result(trace: _Trace, codec: Codec | None) -> tuple[Any, str | None]:
    """What the handler returned, and what there is to say about it."""
    raw, note = trace.record.get(b"result"), trace.text(b"note")
    if raw is None:
        return None, note
    try:
        return decode_result(codec, raw), note
    except InvalidEntry:
        key = encrypted_with(raw)
        return None, note if key is None else f"the result is encrypted with the key {key}"


def _dead(letter: DeadLetter, trace: _Trace) -> GroupStatus:
    return GroupStatus(
        letter.group,
        "dead",
        attempts=letter.attempts,
        consumer=letter.consumer,
        dead_since=letter.dead_since,
        reason=letter.reason,
        error=letter.error,
        dead_letter=letter.id,
        traceback=letter.traceback,
        history=history_of(trace.record, letter.attempts),
    )


def _without_trace(trace: _Trace, entry: Content | None) -> GroupStatus:
    if entry is not None and entry.only_for not in (None, trace.group):
        note = f"it is for the group {entry.only_for} only"
        return GroupStatus(trace.group, "skipped", note=note)
    if trace.reached:
        note = (
            "no record says how: none was kept or it has expired, the group started later, or "
            "the job was redriven under a new ID"
        )
        return GroupStatus(trace.group, "settled", note=note)
    return GroupStatus(
        trace.group, "unknown", note="its entry was deleted before this group came to it"
    )
