"""What an App offers to those who write jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack, overload

from streamq.app_results import AppResults
from streamq.enqueued import AlreadyEnqueued, Enqueued
from streamq.new_job import NewJob, OnConflict, Options, UniqueUntil
from streamq.option_checks import refuse_options
from streamq.priorities import Priorities
from streamq.produce.many import Jobs
from streamq.produce.producer import Producer

if TYPE_CHECKING:
    from streamq.event import Event


class AppProducing(AppResults):
    """The part of an App with which one writes jobs."""

    priorities: Priorities

    @property
    def producer(self) -> Producer:
        """The App's own."""
        raise NotImplementedError

    @overload
    async def produce(
        self, type: str, data: Mapping[str, Any] | None = None, /, *, stream: str | None = None,
        key: str | None = None, unique: str | None = None, unique_for: float | None = None,
        unique_until: UniqueUntil | None = None, on_conflict: OnConflict = "keep",
        delay: float | None = None, at: datetime | None = None, expires: float | None = None,
        trace: str | None = None, priority: str | None = None,
    ) -> Enqueued: ...  # fmt: skip
    @overload
    async def produce(
        self, event: Event, /, *, stream: str | None = None,
        key: str | None = None, unique: str | None = None, unique_for: float | None = None,
        unique_until: UniqueUntil | None = None, on_conflict: OnConflict = "keep",
        delay: float | None = None, at: datetime | None = None, expires: float | None = None,
        trace: str | None = None, priority: str | None = None,
    ) -> Enqueued: ...  # fmt: skip
    async def produce(
        self,
        type: str | Event,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        stream: str | None = None,
        key: str | None = None,
        unique: str | None = None,
        unique_for: float | None = None,
        unique_until: UniqueUntil | None = None,
        on_conflict: OnConflict = "keep",
        delay: float | None = None,
        at: datetime | None = None,
        expires: float | None = None,
        trace: str | None = None,
        priority: str | None = None,
        **unknown: object,
    ) -> Enqueued:
        """Write one job. The data is a mapping or an :class:`~streamq.Event`, names are options::

            job = await app.produce("photo_added", {"file": "a.png"}, unique="a.png")
            job = await app.produce(PhotoAdded(file="a.png"), delay=60)
            print(job.id, job.created)

        Args:
            type: the job type, or an event in place of type and data.
            data: the data; no data is an empty mapping.
            stream: where to; the app's own by default.
            key: the order key: what belongs together.
            unique: an idempotency key: while it is remembered, the same key writes nothing and
                returns the first job, with ``created`` false.
            unique_for: seconds for which it is remembered, a day by default.
            unique_until: ``"settled"``: the key is free when its job is settled or gone, too.
            on_conflict: ``"keep"`` returns the job that has the key. ``"replace"`` gives it the
                new data and time while it is scheduled, and writes another one when it is in the
                stream. ``"error"`` raises :class:`~streamq.AlreadyEnqueued`.
            delay: seconds until the job is written to the stream.
            at: when it is written; an aware datetime.
            expires: seconds, counted from its writing, after which it is not run.
            trace: a W3C ``traceparent``, handed on to the handler.
            priority: where to, by one of the app's ``priorities``, in place of ``stream``.

        Raises:
            AlreadyEnqueued: the key is taken, and ``on_conflict`` is ``"error"``.
            StreamqError: see :meth:`streamq.produce.producer.Producer.produce`.
            TypeError: there is no such option; data belongs into the mapping.
        """
        if unknown:
            refuse_options("produce", unknown)
        job = NewJob(
            type, data, key=key, unique=unique, unique_for=unique_for,
            unique_until=unique_until, on_conflict=on_conflict, delay=delay, at=at,
            expires=expires, trace=trace,
        )  # fmt: skip
        target = self.priorities.choose(stream, priority) or self.stream
        try:
            enqueued = await self.producer.produce(target, job)
        except AlreadyEnqueued as taken:
            taken.job.at(self._home_of(taken.job.place or target))
            raise
        target = enqueued.place or target
        return enqueued.at(self._homes.get(target) or self._home_of(target))

    async def produce_many(
        self,
        jobs: Jobs,
        /,
        *,
        stream: str | None = None,
        priority: str | None = None,
        **options: Unpack[Options],
    ) -> Sequence[Enqueued]:
        """Write many jobs, pipelined, and return what became of each, in order::

            await app.produce_many([("photo_added", {"file": name}) for name in names])
            await app.produce_many(NewJob("mail", data, unique=id) for id, data in mails)

        Args:
            jobs: pairs of type and data, events, or :class:`~streamq.NewJob` with options of
                their own.
            stream: where to; the app's own by default.
            priority: where to, by one of the app's ``priorities``.
            options: those of :meth:`produce`, for every job that is no ``NewJob``.

        Raises:
            StreamqError: see :meth:`streamq.produce.producer.Producer.produce_many`.
            TypeError: there is no such option.
        """
        if options:
            NewJob("", **options)  # refuses what is no option before anything is written
        target = self.priorities.choose(stream, priority) or self.stream
        try:
            written = await self.producer.produce_many(target, jobs, options)
        except AlreadyEnqueued as taken:
            taken.job.at(self._home_of(taken.job.place or target))
            raise
        if target in self._partitioned:
            return written.at(self._home_of)
        return written.at(self._home_of(target))
