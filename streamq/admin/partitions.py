"""The Admin: one face for all who look at jobs, and for what they do about them.

It takes a stream by its name, and walks over its partitions where it has some.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from streamq.admin.admin import KeyAdmin
from streamq.errors import (
    ConfigError,
    ConsumerNotFound,
    GroupNotFound,
    JobNotFound,
    StreamNotFound,
)
from streamq.limits import LEASE, LOOKED_AT
from streamq.partitions import has_own_entries, read_layout
from streamq.server import Server
from streamq.text import printable
from streamq.wire.keys import check_stream, partition_of

if TYPE_CHECKING:
    from streamq.admin.activity import ConsumerActivity
    from streamq.admin.backlog import Backlog, Backlogs
    from streamq.admin.cancelling import Cancelled, CancelSummary
    from streamq.admin.cron import Schedules
    from streamq.admin.cures import Released, RetryNow
    from streamq.admin.dead_letters import DeadLetters
    from streamq.admin.doctor.findings import Diagnosis
    from streamq.admin.followed import Followed
    from streamq.admin.groups import DeletedGroup
    from streamq.admin.overview import Overview
    from streamq.admin.paging import Page
    from streamq.admin.pending import Allowed, PendingJob
    from streamq.admin.places import RewoundGroup
    from streamq.admin.replays import Replayed
    from streamq.admin.schedules import ScheduledJob
    from streamq.admin.settings import StreamSettings
    from streamq.admin.snapshot import Snapshot
    from streamq.admin.status import JobStatus
    from streamq.admin.streams import StreamInfo
    from streamq.codec import Codec
    from streamq.flow.state import GroupState
    from streamq.offload import Store
    from streamq.results import Finished
    from streamq.results.progress import OnProgress


class Admin(KeyAdmin):
    """Answers what is queued, running, waiting, stuck or dead, and treats what is stuck.

    It reads in small steps: a pending entries list of a million neither holds the
    server up nor fills the memory. An answer is therefore not one moment's picture,
    but each row of it is.

    A stream that has partitions is asked for by its name: all of them are looked at, and numbers
    are added up. A row that is about one job names its partition, ``{jobs:3}``, as its stream; so
    may you, where several partitions have a job of the same ID.

    Wherever a stream does not exist, :class:`~streamq.errors.StreamNotFound` is raised; a
    group, :class:`~streamq.errors.GroupNotFound`; wherever a name or an ID is invalid,
    :class:`~streamq.errors.ConfigError`.

    Args:
        server: the server to ask.
        lease: the workers' lease in seconds. A consumer is alive while the server has heard
            of it within the lease, and an entry stalled when it has been idle for longer;
            live workers let the server hear of them at least three times in it. One that
            is shorter than the workers' own makes running jobs look stalled. Before Redis
            7.2, a worker that has had no job for that long counts as gone too.
        allowed: tells how many attempts a job may have, given its stream, group and type.
        codec: reads the data of jobs, see :class:`~streamq.codec.Codec`; that of an app is the
            app's. Without it, data that is not JSON is shown as it was written.
        store: where large data is kept, see :class:`~streamq.offload.Offload`; that of an app is
            the app's. Without it, such data is not deleted until somebody who has it does that.
    """

    def __init__(
        self,
        server: Server,
        *,
        lease: float = LEASE,
        allowed: Allowed | None = None,
        codec: Codec | None = None,
        store: Store | None = None,
    ) -> None:
        known = None if allowed is None else _of_partitions(allowed)
        super().__init__(server, lease=lease, allowed=known, codec=codec, store=store)
        self._one = KeyAdmin(server, lease=lease, allowed=known, codec=codec, store=store)

    # -- partitions -----------------------------------------------------------

    async def grow(self, stream: str, to: int) -> StreamSettings:
        """Give a stream partitions, or more of them, while it is written to and worked on.

        No job moves: those that are in a partition stay there, and new ones of the keys that now
        belong to a new partition go there. A group that keeps an order begins with that when it
        has settled what these keys have in the old one. It may be interrupted at any time, and
        asked for again; workers go on with what was interrupted, too.

        Args:
            to: how many: a multiple of those there are, 1,024 at most.

        Raises:
            ConfigError: it is no such number, or the stream is growing to another one.
        """
        from streamq.partitions import grow

        await grow(self._server, stream, to)
        return await self.settings(stream)

    async def partitions(self, stream: str) -> Sequence[str]:
        """The keys of a stream's partitions, in order; none for a stream that has none."""
        layout = await read_layout(self._server, stream)
        return layout.names() if layout.partitions else []

    async def _keys(self, stream: str) -> Sequence[str]:
        """The keys of the server that have the jobs of a stream."""
        names = await self.partitions(stream)
        if not names:
            return [stream]
        own = await has_own_entries(self._server, stream)
        return [stream, *names] if own else names

    async def _keys_with(self, stream: str, group: str) -> Sequence[str]:
        """Those that have a group.

        Raises:
            GroupNotFound: none has it.
        """
        keys = await self._keys(stream)
        if len(keys) == 1:
            return keys
        one, found, missing = self._one, [], None
        for key in keys:
            try:
                await one.group_names(key, group)
            except (GroupNotFound, StreamNotFound) as error:
                missing = error
            else:
                found.append(key)
        if missing is not None and not found:
            raise GroupNotFound(str(missing).replace(printable(keys[-1]), printable(stream)))
        return found

    async def _homes(self, stream: str, ids: Iterable[str]) -> Mapping[str, Sequence[str]]:
        """Some jobs of a stream, by the keys of the server that have their entries.

        Raises:
            ConfigError: several have an entry of the same ID.
        """
        from streamq.admin.reading import ask
        from streamq.wire.entry import check_id

        keys, wanted = await self._keys(stream), list(dict.fromkeys(ids))
        if len(keys) == 1:
            return {keys[0]: wanted}
        places = [(key, check_id(id)) for id in wanted for key in keys]
        rows = await ask(self._server, *(("XRANGE", key, id, id) for key, id in places))
        found: dict[str, list[str]] = {}
        for (key, id), row in zip(places, rows, strict=True):
            if row and not isinstance(row, Exception):
                found.setdefault(id, []).append(key)
        homes: dict[str, list[str]] = {}
        for id in wanted:
            having = found.get(id, [keys[0]])
            if len(having) > 1:
                raise _ambiguous(stream, id, having)
            homes.setdefault(having[0], []).append(id)
        return homes

    # -- looking --------------------------------------------------------------

    async def info(self) -> Overview:
        from streamq.admin.adding_up import stream_of_all

        about = await self._one.info()
        parts: dict[str, list[StreamInfo]] = {}
        names = await self._streams_of(one.name for one in about.streams)
        for one in about.streams:
            parts.setdefault(names[one.name], []).append(one)
        streams = [
            some[0]
            if [one.name for one in some] == [name]
            else stream_of_all(name, some, len(await self.partitions(name)))
            for name, some in parts.items()
        ]
        return replace(about, streams=tuple(sorted(streams, key=lambda one: one.name)))

    async def doctor(self, stream: str | None = None) -> Diagnosis:
        keys = [stream] if stream is None else await self._keys(stream)
        one = self._one
        found = [await one.doctor(key) for key in keys]
        if len(found) == 1:
            return found[0]
        findings = dict.fromkeys(finding for each in found for finding in each.findings)
        wrong = {finding.name for finding in findings if finding.level != "ok"}
        well = {one.name: one for one in findings if one.name not in wrong}
        worse = [finding for finding in findings if finding.level != "ok"]
        return replace(found[0], findings=(*worse, *well.values()))

    async def stream_names(self) -> AsyncIterator[str]:
        seen = set()
        async for name in self._one.stream_names():
            [stream] = (await self._streams_of([name])).values()
            if stream not in seen:
                seen.add(stream)
                yield stream

    async def stream(self, stream: str) -> StreamInfo:
        from streamq.admin.adding_up import stream_of_all
        from streamq.admin.streams import StreamInfo

        keys, one, parts = await self._keys(stream), self._one, []
        if len(keys) == 1:
            return await one.stream(keys[0])
        for key in keys:
            try:
                parts.append(await one.stream(key))
            except StreamNotFound:
                pass  # nothing was written to it yet
        if not parts:
            parts = [StreamInfo(stream, 0, None, (), await self._scheduled_in(stream), (), {})]
        return stream_of_all(stream, parts, len(await self.partitions(stream)))

    async def _scheduled_in(self, stream: str) -> int:
        return (await self.scheduled_counts([stream]))[stream]

    async def group_names(self, stream: str, group: str | None = None) -> Sequence[str]:
        keys, one = await self._keys(stream), self._one
        if len(keys) == 1:
            return await one.group_names(keys[0], group)
        if group is not None:
            await self._keys_with(stream, group)
            return [group]
        names: dict[str, None] = {}
        for key in keys:
            try:
                names |= dict.fromkeys(await one.group_names(key))
            except StreamNotFound:
                pass
        return [*names]

    async def backlogs(self, groups: Mapping[str, Sequence[str]]) -> Backlogs:
        from streamq.admin.adding_up import backlog_of_all

        keys = {stream: await self._keys(stream) for stream in groups}
        streams = {key: stream for stream, some in keys.items() for key in some}
        found = await self._one.backlogs({key: groups[stream] for key, stream in streams.items()})
        parts: dict[tuple[str, str], list[Backlog]] = {}
        for (key, group), backlog in found.items():
            parts.setdefault((streams.get(key, key), group), []).append(backlog)
        return {place: backlog_of_all(some) for place, some in parts.items()}

    async def snapshot(self, streams: Sequence[str] | None = None) -> Snapshot:
        return await self._added_up(await self._one.snapshot(await self._keys_of_all(streams)))

    def watch(
        self, streams: Sequence[str] | None = None, *, interval: float = 1.0
    ) -> AsyncIterator[Snapshot]:
        # Partitions that a stream gets meanwhile are missing where
        # ``streams`` are given.
        from streamq.admin.snapshot import check_interval

        check_interval(interval)
        for stream in streams or ():
            check_stream(stream)
        return self._pictures(streams, interval)

    async def _pictures(
        self, streams: Sequence[str] | None, interval: float
    ) -> AsyncIterator[Snapshot]:
        keys = await self._keys_of_all(streams)
        async for picture in self._one.watch(keys, interval=interval):
            yield await self._added_up(picture)

    async def _keys_of_all(self, streams: Sequence[str] | None) -> Sequence[str] | None:
        if streams is None:
            return None
        return [key for stream in streams for key in await self._keys(stream)]

    async def _added_up(self, picture: Snapshot) -> Snapshot:
        from streamq.admin.adding_up import snapshots_of_all

        names = await self._streams_of([one.name for one in picture.streams])
        return replace(picture, streams=snapshots_of_all(picture.streams, names.__getitem__))

    async def _streams_of(self, keys: Iterable[str]) -> Mapping[str, str]:
        """For each key, the stream of which it is a partition, or itself."""
        found, counts = {}, dict[str, int]()
        for key in keys:
            part = partition_of(key)
            if part is not None and part[0] not in counts:
                layout = await read_layout(self._server, part[0])
                counts[part[0]] = max(layout.partitions, layout.growing)
            found[key] = part[0] if part is not None and part[1] < counts[part[0]] else key
        return found

    # -- groups ---------------------------------------------------------------

    async def create_group(self, stream: str, group: str, start: str | datetime = "0") -> bool:
        one = self._one
        return any([await one.create_group(key, group, start) for key in await self._keys(stream)])

    async def delete_group(
        self, stream: str, group: str, *, force: bool = False, dead_letters: bool = False
    ) -> DeletedGroup:
        from streamq.admin.adding_up import counts_of_all

        one = self._one
        return counts_of_all(
            [
                await one.delete_group(key, group, force=force, dead_letters=dead_letters)
                for key in await self._keys_with(stream, group)
            ]
        )

    async def pause(self, stream: str, group: str, *, type: str | None = None) -> bool:
        one = self._one
        keys = await self._keys_with(stream, group)
        return any([await one.pause(key, group, type=type) for key in keys])

    async def resume(self, stream: str, group: str, *, type: str | None = None) -> bool:
        one = self._one
        keys = await self._keys_with(stream, group)
        return any([await one.resume(key, group, type=type) for key in keys])

    async def group_state(self, stream: str, group: str) -> GroupState:
        return await self._one.group_state((await self._keys_with(stream, group))[0], group)

    async def group_states(
        self, groups: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], GroupState]:
        asked = [*groups]
        last = {stream: (await self._keys(stream))[-1] for stream, _ in asked}
        found = await self._one.group_states((last[stream], group) for stream, group in asked)
        return {
            (stream, group): found[last[stream], group]
            for stream, group in asked
            if (last[stream], group) in found
        }

    async def set_rules(self, stream: str, group: str, **rules: Any) -> GroupState:
        # Numbers count in each partition by itself.
        one = self._one
        first, *others = await self._keys_with(stream, group)
        for key in others:
            await one.set_rules(key, group, **rules)
        return await one.set_rules(first, group, **rules)

    async def rewind_group(
        self, stream: str, group: str, to: str | datetime, *, force: bool = False,
        dry_run: bool = False,
    ) -> RewoundGroup:  # fmt: skip
        # A partition that has not come as far as that
        # stays where it is.
        one, done, ahead = self._one, [], None
        for key in await self._keys_with(stream, group):
            try:
                done.append(await one.rewind_group(key, group, to, force=force, dry_run=dry_run))
            except ConfigError as error:
                ahead = error
        if ahead is not None and not done:
            raise ahead
        return replace(
            done[0],
            entries=sum(part.entries for part in done),
            pending=sum(part.pending for part in done),
        )

    async def prune(self, stream: str) -> int:
        one = self._one
        return sum([await one.prune(key) for key in await self._keys(stream)])

    async def prune_data(self, stream: str) -> int:
        one = self._one
        return sum([await one.prune_data(key) for key in await self._keys(stream)])

    async def settings(self, stream: str) -> StreamSettings:
        layout = await read_layout(self._server, stream)
        found = await self._one.settings(layout.names()[0])
        return replace(found, partitions=layout.partitions or None, growing=layout.growing or None)

    async def set_stream(
        self, stream: str, *, retain: str | float | None = None,
        abandon_after: str | float | None = None, group: str | None = None,
    ) -> StreamSettings:  # fmt: skip
        one = self._one
        for key in await self._keys(stream):
            await one.set_stream(key, retain=retain, abandon_after=abandon_after, group=group)
        return await self.settings(stream)

    # -- jobs in the stream ---------------------------------------------------

    async def replay(self, stream: str, group: str, ids: Iterable[str]) -> Sequence[Replayed]:
        one, wanted = self._one, [*ids]
        done: dict[str, Replayed] = {}
        for key, some in (await self._homes(stream, wanted)).items():
            done |= {each.id: each for each in await one.replay(key, group, some)}
        return [done[id] for id in dict.fromkeys(wanted)]

    async def status(self, stream: str, job_id: str, group: str | None = None) -> JobStatus:
        """What has become of one job in every group, or in one.

        Args:
            job_id: its ID; of a job for later, the name that ``produce`` gave it, also for an
                hour after it was due.

        Raises:
            JobNotFound: there is no trace of it.
            ConfigError: several partitions have a job of that ID: see :meth:`statuses`.
        """
        found = await self.statuses(stream, job_id, group)
        if len(found) > 1:
            raise _ambiguous(stream, job_id, [one.stream for one in found])
        return found[0]

    async def statuses(
        self, stream: str, job_id: str, group: str | None = None
    ) -> Sequence[JobStatus]:
        """What has become of each job with an ID: several partitions may have one.

        Raises:
            JobNotFound: there is no trace of any.
        """
        one, found, missing = self._one, [], None
        keys = await self._keys(stream) if group is None else await self._keys_with(stream, group)
        for key in keys:
            try:
                found.append(await one.status(key, job_id, group))
            except (JobNotFound, StreamNotFound) as error:
                missing = error
        if missing is not None and not found:
            raise missing
        return found

    async def failed_traces(
        self, stream: str, group: str, job_ids: Sequence[str]
    ) -> Mapping[str, str]:
        from streamq.admin.adding_up import merged

        one = self._one
        keys = await self._keys(stream)
        return merged([await one.failed_traces(key, group, job_ids) for key in keys])

    async def finished(
        self, stream: str, job_id: str, group: str | None = None, *,
        timeout: float | None = None, on_progress: OnProgress | None = None,
    ) -> Finished:  # fmt: skip
        keys = await self._keys(stream)
        if len(keys) > 1:
            try:
                stream = (await self.status(stream, job_id, group)).stream
            except JobNotFound:
                stream = keys[-1]
        return await self._one.finished(
            stream, job_id, group, timeout=timeout, on_progress=on_progress
        )

    async def pending(
        self,
        stream: str,
        group: str | None = None,
        *,
        consumer: str | None = None,
        min_idle: float = 0.0,
        states: Collection[str] = (),
        limit: int | None = None,
        after: str | None = None,
    ) -> AsyncIterator[PendingJob]:
        from streamq.admin.merging import cursors, in_order
        from streamq.wire.entry import id_key

        one, left = self._one, limit
        wanted: dict[str, Any] = {
            "consumer": consumer, "min_idle": min_idle, "states": states, "limit": limit,
        }  # fmt: skip
        keys = await self._keys(stream)
        if len(keys) == 1:
            async for job in one.pending(keys[0], group, after=after, **wanted):
                yield job
            return
        for name in await self.group_names(stream, group):
            having = await self._keys_with(stream, name)
            sources = [
                one.pending(key, name, after=place, **wanted)
                for key, place in zip(having, cursors(after, having), strict=True)
            ]
            async for job in in_order(sources, lambda job: id_key(job.id)):
                if left == 0:
                    return
                yield job
                left = None if left is None else left - 1

    async def pending_page(
        self,
        stream: str,
        group: str,
        *,
        consumer: str | None = None,
        min_idle: float = 0.0,
        states: Collection[str] = (),
        type: str | None = None,
        after: str | None = None,
        limit: int = 50,
        look_at: int = LOOKED_AT,
    ) -> Page[PendingJob]:
        from streamq.admin.merging import cursor
        from streamq.admin.paging import Page
        from streamq.admin.pending import check_states

        keys = await self._keys(stream)
        if len(keys) == 1:
            return await self._one.pending_page(
                keys[0], group, consumer=consumer, min_idle=min_idle, states=states, type=type,
                after=after, limit=limit, look_at=look_at,
            )  # fmt: skip
        check_states(states)
        found: list[PendingJob] = []
        looked_at = 0
        async for job in self.pending(stream, group, consumer=consumer, after=after):
            looked_at += 1
            if (
                job.idle >= min_idle
                and (not states or job.state in states)
                and type in (None, job.type)
            ):
                found.append(job)
            if len(found) == limit or looked_at == look_at:
                return Page(found, cursor(job.id, job.stream), looked_at)
        return Page(found, None, looked_at)

    async def consumers(
        self, stream: str, group: str, *, jobs: int = 3
    ) -> Sequence[ConsumerActivity]:
        from streamq.admin.adding_up import activity_of_all

        keys = await self._keys_with(stream, group)
        parts = [await self._one.consumers(key, group, jobs=jobs) for key in keys]
        if len(parts) == 1:
            return parts[0]
        return activity_of_all((one for part in parts for one in part), jobs)

    def follow(
        self,
        stream: str,
        group: str | None = None,
        *,
        types: Collection[str] = (),
        states: Collection[str] = (),
    ) -> AsyncGenerator[Followed]:
        # Partitions that the stream gets meanwhile are missing.
        from streamq.admin.followed import Wanted

        Wanted(types, states)  # refuses what cannot be
        return self._follow(stream, group, types, states)

    async def _follow(
        self, stream: str, group: str | None, types: Collection[str], states: Collection[str]
    ) -> AsyncGenerator[Followed]:
        from streamq.admin.merging import together

        keys = await self._keys(stream) if group is None else await self._keys_with(stream, group)
        sources = [self._one.follow(key, group, types=types, states=states) for key in keys]
        async with aclosing(sources[0] if len(sources) == 1 else together(sources)) as events:
            async for event in events:
                yield event

    async def retry_all(self, stream: str, group: str) -> int:
        keys = await self._keys_with(stream, group)
        return sum([await self._one.retry_all(key, group) for key in keys])

    async def retry_now(
        self, stream: str, group: str, ids: Iterable[str]
    ) -> Mapping[str, RetryNow]:
        from streamq.admin.adding_up import merged

        one, homes = self._one, await self._homes(stream, ids)
        return merged([await one.retry_now(key, group, some) for key, some in homes.items()])

    async def dead_letter(
        self, stream: str, group: str, ids: Iterable[str], error: str = "made a dead letter by hand"
    ) -> Mapping[str, bool]:
        from streamq.admin.adding_up import merged

        one, homes = self._one, await self._homes(stream, ids)
        return merged(
            [await one.dead_letter(key, group, some, error) for key, some in homes.items()]
        )

    async def release(
        self, stream: str, group: str, consumer: str, *, force: bool = False
    ) -> Released:
        one, done, missing = self._one, [], None
        for key in await self._keys_with(stream, group):
            try:
                done.append(await one.release(key, group, consumer, force=force))
            except ConsumerNotFound as error:
                missing = error
        if missing is not None and not done:
            raise missing
        return replace(
            done[0],
            jobs=sum(part.jobs for part in done),
            removed=all(part.removed for part in done),
        )

    def dead_letters(self, stream: str, group: str) -> DeadLetters:
        from streamq.admin.dead_letters_of_all import DeadLettersOfAll

        return DeadLettersOfAll(
            self._server, stream, group, self._codec, self._store, keys=self._keys
        )

    # -- jobs for later -------------------------------------------------------

    async def scheduled(
        self, stream: str, *, limit: int | None = None
    ) -> AsyncIterator[ScheduledJob]:
        from streamq.admin.merging import in_order

        one = self._one
        sources = [one.scheduled(key, limit=limit) for key in await self._keys(stream)]
        left = limit
        async for job in in_order(sources, lambda job: job.due_at):
            if left == 0:
                return
            yield job
            left = None if left is None else left - 1

    async def scheduled_page(
        self, stream: str, *, after: str | None = None, limit: int = 50
    ) -> Page[ScheduledJob]:
        # Partition by partition, where there are some.
        keys = await self._keys(stream)
        if len(keys) == 1:
            return await self._one.scheduled_page(keys[0], after=after, limit=limit)
        place, _, inner = (after or "").partition("|")
        number = int(place) if place.isdigit() and int(place) < len(keys) else 0
        page = await self._one.scheduled_page(keys[number], after=inner or None, limit=limit)
        following = None if page.following is None else f"{number}|{page.following}"
        if following is None and number + 1 < len(keys):
            following = f"{number + 1}|"
        return replace(page, following=following)

    async def scheduled_counts(self, streams: Iterable[str]) -> Mapping[str, int]:
        keys = {stream: await self._keys(stream) for stream in streams}
        found = await self._one.scheduled_counts([key for some in keys.values() for key in some])
        return {stream: sum(found.get(key, 0) for key in some) for stream, some in keys.items()}

    async def scheduled_job(self, stream: str, name: str) -> ScheduledJob:
        one, missing = self._one, None
        for key in await self._keys(stream):
            try:
                return await one.scheduled_job(key, name)
            except JobNotFound as error:
                missing = error
        assert missing is not None
        raise missing

    async def cancel_scheduled(self, stream: str, name: str) -> bool:
        one = self._one
        return any([await one.cancel_scheduled(key, name) for key in await self._keys(stream)])

    async def reschedule(
        self, stream: str, name: str, *, delay: float | None = None, at: datetime | None = None
    ) -> bool:
        one = self._one
        keys = await self._keys(stream)
        return any([await one.reschedule(key, name, delay=delay, at=at) for key in keys])

    async def cancel(self, stream: str, job_id: str, *, group: str | None = None) -> Cancelled:
        from streamq.admin.schedules import is_name

        one = self._one
        if not is_name(job_id):
            [key] = await self._homes(stream, [job_id])
            return await one.cancel(key, job_id, group=group)
        done = [await one.cancel(key, job_id, group=group) for key in await self._keys(stream)]
        return next((each for each in done if each), done[0])

    async def cancel_all(
        self,
        stream: str,
        *,
        group: str | None = None,
        type: str | None = None,
        key: str | None = None,
        where: Callable[[Any], bool] | None = None,
    ) -> CancelSummary:
        from streamq.admin.adding_up import counts_of_all

        one = self._one
        keys = await self._keys(stream) if group is None else await self._keys_with(stream, group)
        return counts_of_all(
            [
                await one.cancel_all(place, group=group, type=type, key=key, where=where)
                for place in keys
            ]
        )

    @property
    def schedules(self) -> Schedules:
        from streamq.admin.schedules_of_all import SchedulesOfAll

        return SchedulesOfAll(self._server, self._codec, keys=self._keys)


def _of_partitions(allowed: Allowed) -> Allowed:
    """The same for the keys of partitions as for the names of their streams."""

    def find(stream: str, group: str, type: str) -> int | None:
        found = allowed(stream, group, type)
        part = partition_of(stream)
        return found if found is not None or part is None else allowed(part[0], group, type)

    return find


def _ambiguous(stream: str, id: str, keys: Sequence[str]) -> ConfigError:
    names = " and ".join(printable(key, 100) for key in keys)
    return ConfigError(
        f"several partitions of {printable(stream, 100)} have a job {id}, {names}: name the one "
        "that is meant as the stream"
    )
