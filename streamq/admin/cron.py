"""Periodic jobs: their schedules, those in the code of workers and those made at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from streamq import lua
from streamq.admin.content import plain_data
from streamq.admin.reading import ask
from streamq.codec import Codec, encode_with
from streamq.errors import ConfigError, ScheduleExists, ScheduleNotFound, StillInUse, StreamqError
from streamq.limits import MISSED
from streamq.produce.periodic import (
    STALE,
    AllKept,
    Kept,
    Missed,
    Overlap,
    Schedule,
    check_name,
    make_schedule,
    read_all,
)
from streamq.produce.ticks import Rule
from streamq.server import Server
from streamq.text import printable
from streamq.wire.entry import decode_data
from streamq.wire.keys import StreamKeys, stream_keys


class ScheduleChanges(TypedDict, total=False):
    """What :meth:`Schedules.update` changes; see :meth:`Schedules.create`."""

    type: str
    data: Mapping[str, Any]
    cron: str
    every: timedelta | float
    tz: str
    group: str | None
    key: str | None
    expires: float | None
    missed: Missed
    most: int
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A periodic job's schedule. Times are Unix time in seconds, by the server's clock.

    Attributes:
        type: the type of its jobs; this and all that was asked for is empty when the schedule
            cannot be read, and ``problem`` says why.
        cron: the cron expression; ``None`` with an interval.
        tz: the time zone in which it is read.
        every: the interval in seconds; ``None`` with an expression.
        raw: the data of its jobs, JSON as a rule.
        group: the one group that its jobs are for; ``None`` for every group.
        key: their order key.
        expires: seconds after which one of them is not run.
        missed: what becomes of ticks at which no worker was there.
        most: how many of them are made up for at most, where all are.
        overlap: whether a job is written while the last one is not settled.
        declared: whether it stands in the code of workers; otherwise it was made at run time.
        has_worker: whether a worker has it in its code; without one, it does not tick. ``None``
            for one made at run time, which every worker of the stream ticks for.
        paused_since: since when it is paused.
        last_tick: when it ticked last.
        next_tick: when it ticks next; ``None`` while it is paused, or has no worker.
        last_job: the ID of its last job.
        problem: why it does not tick although it should.
    """

    name: str
    stream: str
    type: str
    cron: str | None
    tz: str | None
    every: float | None
    raw: bytes = field(repr=False)
    group: str | None
    key: str | None
    expires: float | None
    missed: Missed
    most: int
    overlap: Overlap
    declared: bool
    has_worker: bool | None
    paused_since: float | None
    last_tick: float | None
    next_tick: float | None
    last_job: str | None
    problem: str | None

    @property
    def data(self) -> Any:
        """The data of its jobs, decoded.

        Raises:
            InvalidEntry: it is not JSON.
        """
        return decode_data(self.raw)

    def to_dict(self) -> dict[str, Any]:
        """The schedule as plain data. ``data`` that is not JSON comes as text in ``raw``."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "raw"}
        return {**values, **plain_data(self.raw)}


class Schedules:
    """The schedules of periodic jobs; ``app.admin.schedules``.

    Where there is none of a name, :class:`~streamq.errors.ScheduleNotFound` is raised; wherever a
    name or an option is invalid, :class:`~streamq.errors.ConfigError`.
    """

    def __init__(self, server: Server, codec: Codec | None = None) -> None:
        self._server = server
        self._codec = codec

    async def list(self, stream: str) -> Sequence[ScheduleInfo]:
        """The schedules of a stream, by name; none for a stream that does not exist."""
        found, now = await self._read(stream_keys(stream))
        return [_info(stream, kept, now) for kept in found.schedules.values()]

    async def get(self, stream: str, name: str) -> ScheduleInfo:
        """One schedule."""
        found, now = await self._read(stream_keys(stream))
        return _info(stream, _named(found, stream, name), now)

    async def create(
        self,
        stream: str,
        name: str,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        cron: str | None = None,
        every: timedelta | float | None = None,
        tz: str | None = None,
        group: str | None = None,
        key: str | None = None,
        expires: float | None = None,
        missed: Missed = "latest",
        most: int = MISSED,
        overlap: Overlap = "allow",
        paused: bool = False,
    ) -> ScheduleInfo:
        """Make a schedule: every worker of the stream writes its jobs from then on, each once::

            await app.admin.schedules.create(
                "jobs", "report", "weekly_report", {"for": "ann"},
                cron="0 7 * * MON", tz="Europe/Berlin",
            )

        Args:
            name: by which it is changed, paused and deleted.
            type: the type of its jobs.
            data: their data.
            cron: a cron expression: minute, hour, day of month, month and day of week.
            every: or an interval: a timedelta, or seconds. It is counted from 1970 on.
            tz: the time zone of the expression, such as ``Europe/Berlin``; UTC by default.
            group: the one group that the jobs are for; every group by default.
            key: their order key.
            expires: seconds after which one of them is not run.
            missed: what becomes of ticks at which no worker was there: the ``latest`` of them is
                made up for, ``all`` are, or none, ``skip`` (a tick may be a minute late).
            most: with ``all``, how many at most; the latest.
            overlap: ``skip`` to write no job while the last one is not settled.
            paused: do not begin before :meth:`resume`.

        Raises:
            ScheduleExists: there is one of that name.
            PayloadError: the data cannot be written.
        """
        raw = encode_with(self._codec, {} if data is None else data)
        schedule = make_schedule(
            name, type, cron=cron, every=every, tz=tz, raw=raw, group=group, key=key,
            expires=expires, missed=missed, most=most, overlap=overlap,
        )  # fmt: skip
        keys, written = stream_keys(stream), False
        while not written:
            found, _ = await self._read(keys)
            if name in found.schedules:
                raise ScheduleExists(
                    f"the stream {printable(stream, 100)} has a schedule {name} already: "
                    "update it, or delete it first"
                )
            written = await self._put(keys, found, schedule, paused=paused)
        return await self.get(stream, name)

    async def update(
        self, stream: str, name: str, **changes: Unpack[ScheduleChanges]
    ) -> ScheduleInfo:
        """Change a schedule that was made at run time; what is not named stays as it is.

        With another expression or interval it ticks from now on, not for the past.

        Raises:
            StillInUse: it stands in the code of workers, and is changed there.
            PayloadError: the data cannot be written.
        """
        keys, written = stream_keys(stream), False
        while not written:
            found, _ = await self._read(keys)
            kept = _named(found, stream, name)
            schedule = _readable(kept)
            if schedule.declared:
                raise StillInUse(
                    f"the schedule {name} stands in the code of workers: change it there, or pause "
                    "it and create another one"
                )
            written = await self._put(keys, found, self._changed(schedule, changes))
        return await self.get(stream, name)

    async def pause(self, stream: str, name: str) -> bool:
        """Let a schedule tick no more, until :meth:`resume`; ``False`` if it is paused already.

        That holds for one in the code of workers too, however often they are started.
        """
        return await self._pause(stream, name, pause=True)

    async def resume(self, stream: str, name: str) -> bool:
        """Let a paused schedule tick again; ``False`` if it is not paused.

        The ticks of the meantime are not made up for.
        """
        return await self._pause(stream, name, pause=False)

    async def delete(self, stream: str, name: str) -> None:
        """Delete a schedule. Its jobs stay.

        Raises:
            StillInUse: a worker has it in its code, or had it less than half a minute ago.
        """
        keys = stream_keys(stream)
        deleted = await self._server.run(lua.cron_delete(keys, name, STALE))
        if deleted == -1:
            raise StillInUse(
                f"the schedule {printable(name, 100)} stands in the code of a worker: pause it, or "
                f"take it out of the code, and delete it {STALE // 1000} s after that worker's end"
            )
        if not deleted:
            raise _not_found(stream, name)

    async def run_now(self, stream: str, name: str) -> str:
        """Write one of a schedule's jobs now, whether or not it is paused; its ID.

        Its ticks come as they would have.
        """
        keys = stream_keys(stream)
        while True:
            found, _ = await self._read(keys)
            fields = _readable(_named(found, stream, name)).fields()
            id = await self._server.run(lua.cron_run(keys, found.version, name, fields))
            if id is not None:
                return str(id.decode())

    # -- how ------------------------------------------------------------------

    async def _read(self, keys: StreamKeys) -> tuple[AllKept, int]:
        """All schedules, and the server's time in ms."""
        flat, clock = await ask(self._server, ("HGETALL", keys.cron), ("TIME",))
        for reply in (flat, clock):
            if isinstance(reply, Exception):
                raise reply
        return read_all(flat), int(clock[0]) * 1000 + int(clock[1]) // 1000

    async def _put(
        self, keys: StreamKeys, found: AllKept, schedule: Schedule, *, paused: bool = False
    ) -> bool:
        """Write a schedule; ``False`` when another one was changed since they were read."""
        call = lua.cron_put(
            keys, found.version, schedule.name, schedule.definition, schedule.raw,
            schedule.rule.text, declared=False, paused=paused,
        )  # fmt: skip
        return bool(await self._server.run(call))

    async def _pause(self, stream: str, name: str, *, pause: bool) -> bool:
        changed = await self._server.run(lua.cron_pause(stream_keys(stream), name, pause=pause))
        if changed == -1:
            raise _not_found(stream, name)
        return bool(changed)

    def _changed(self, schedule: Schedule, changes: ScheduleChanges) -> Schedule:
        values: dict[str, Any] = dict(changes)
        raw = schedule.raw
        if "data" in values:
            raw = encode_with(self._codec, values.pop("data"))
        rule, kept_expires = schedule.rule, None
        if not values.keys() & {"cron", "every"}:
            if rule.cron is None:
                values["every"] = (rule.every or 0) / 1000
            else:
                values["cron"] = rule.cron
        if values.get("cron") is not None:
            values.setdefault("tz", rule.tz if rule.cron is not None else None)
        if "expires" not in values:
            kept_expires = schedule.expires
        for option in ("type", "group", "key", "missed", "most", "overlap"):
            values.setdefault(option, getattr(schedule, option))
        try:
            changed = make_schedule(schedule.name, values.pop("type"), raw=raw, **values)
        except TypeError as error:
            raise ConfigError(f"update(): {error}") from None
        return changed if kept_expires is None else replace(changed, expires=kept_expires)


def _info(stream: str, kept: Kept, now: int) -> ScheduleInfo:
    schedule = kept.schedule
    one = schedule or Schedule(kept.name, "", Rule(None, "", None), kept.raw)
    has_worker = kept.has_worker(now) if one.declared or kept.problem else None
    next_tick = None
    if schedule is not None and kept.paused is None and has_worker is not False:
        next_tick = schedule.rule.after(max(kept.start, now))
    rule = one.rule
    return ScheduleInfo(
        kept.name, stream, one.type, rule.cron, rule.tz if rule.cron is not None else None,
        _seconds(rule.every), one.raw, one.group, one.key, _seconds(one.expires), one.missed,
        one.most, one.overlap, one.declared, has_worker, _seconds(kept.paused),
        _seconds(kept.tick), _seconds(next_tick), kept.job, kept.problem,
    )  # fmt: skip


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _named(found: AllKept, stream: str, name: str) -> Kept:
    kept = found.schedules.get(check_name(name))
    if kept is None:
        raise _not_found(stream, name)
    return kept


def _readable(kept: Kept) -> Schedule:
    if kept.schedule is None:
        raise ConfigError(f"the schedule {kept.name}: {kept.problem}; delete it")
    return kept.schedule


def _not_found(stream: str, name: str) -> StreamqError:
    return ScheduleNotFound(
        f"the stream {printable(stream, 100)} has no schedule {printable(name, 100)}"
    )
