"""An App for programs without an event loop: each call blocks until it is done.

One thread in the background runs an event loop for all calls of all threads. It is started at the
first call, and anew in a process that was forked.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import threading
import weakref
from collections.abc import (
    AsyncIterable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

import anyio
from anyio.from_thread import BlockingPortal

from streamq.enqueued import AllEnqueued, Enqueued
from streamq.errors import ConfigError
from streamq.new_job import Options

if TYPE_CHECKING:
    from streamq.admin import Cancelled
    from streamq.event import Event
    from streamq.results import State
    from streamq.results.progress import OnProgress

T = TypeVar("T")

CHUNK = 5000
"""Jobs of one ``produce_many`` that are taken from the caller at a time."""

CLOSE_TIMEOUT = 5.0
"""Seconds that the thread has for closing its connections; it is a daemon, and may be left."""

START_TIMEOUT = 10.0
"""Seconds in which the thread in the background must have begun."""

_all: weakref.WeakSet[SyncApp] = weakref.WeakSet()
_left_behind: list[object] = []
"""What a forked process has of its parent's event loops: kept, so that nothing closes it."""


class SyncJob:
    """A job that was written, or known already. ``str()`` is its ID.

    Attributes:
        id: the ID of its entry; of a job for later, the name of its schedule.
        created: ``False`` when its ``unique`` key was known: this is the ID of the first one.
        replaced: whether that one, which waits for its time, has taken the new data and time.
        scheduled_for: when it will be written to the stream; ``None`` for a job that is there.
    """

    __slots__ = ("_app", "_job")

    def __init__(self, app: SyncApp, job: Enqueued) -> None:
        self._app = app
        self._job = job

    @property
    def id(self) -> str:
        """The ID of its entry; of a job for later, the name of its schedule."""
        return self._job.id

    @property
    def created(self) -> bool:
        """Whether it was written by this call."""
        return self._job.created

    @property
    def replaced(self) -> bool:
        """Whether a job that waits has taken the new data and time."""
        return self._job.replaced

    @property
    def scheduled_for(self) -> datetime | None:
        """When it will be written to the stream, if it is for later."""
        return self._job.scheduled_for

    def result(
        self, *, group: str | None = None, timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:  # fmt: skip
        """Block until a group has run it; see :meth:`streamq.Enqueued.result`.

        ``on_progress`` is called in the background thread.
        """
        job = self._job
        return self._app._call(
            lambda _: job.result(group=group, timeout=timeout, on_progress=on_progress)
        )

    def wait(self, *, group: str | None = None, timeout: float | None = None) -> State:
        """Block until it has ended; see :meth:`streamq.Enqueued.wait`."""
        job = self._job
        return self._app._call(lambda _: job.wait(group=group, timeout=timeout))

    def cancel(self, *, group: str | None = None) -> Cancelled:
        """Cancel it; see :meth:`streamq.admin.Admin.cancel`."""
        return self._app.cancel(self.id, stream=self._job.home.stream, group=group)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"Sync{self._job!r}"


class SyncJobs(Sequence[SyncJob]):
    """The jobs of one call, in order; each is made when it is looked at."""

    __slots__ = ("_app", "_jobs")

    def __init__(self, app: SyncApp, jobs: AllEnqueued) -> None:
        self._app = app
        self._jobs = jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[SyncJob]:
        return (SyncJob(self._app, job) for job in self._jobs)

    @overload
    def __getitem__(self, place: int) -> SyncJob: ...
    @overload
    def __getitem__(self, place: slice) -> SyncJobs: ...
    def __getitem__(self, place: int | slice) -> SyncJob | SyncJobs:
        if isinstance(place, slice):
            return SyncJobs(self._app, self._jobs[place])
        return SyncJob(self._app, self._jobs[place])

    def __repr__(self) -> str:
        return f"<{len(self)} jobs enqueued>"


class SyncApp:
    """An App whose calls block. Get it as ``app.sync``::

        job = app.sync.produce("photo_added", {"file": "a.png"})
        thumbnail = job.result(timeout=30)

    It may be used from any thread, also where an event loop runs (which waits for it), and after
    a fork. Its connections are its own, in a thread that ends with :meth:`close`, or with the
    program.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._background: _Background | None = None
        self._lock = threading.Lock()
        _all.add(self)

    @overload
    def produce(
        self, type: str, data: Mapping[str, Any] | None = None, /, *, stream: str | None = None,
        **options: Unpack[Options],
    ) -> SyncJob: ...  # fmt: skip
    @overload
    def produce(
        self, event: Event, /, *, stream: str | None = None, **options: Unpack[Options]
    ) -> SyncJob: ...
    def produce(
        self,
        type: str | Event,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        stream: str | None = None,
        **options: Unpack[Options],
    ) -> SyncJob:
        """Write one job; see :meth:`streamq.App.produce`."""
        job = self._call(lambda app: app.produce(type, data, stream=stream, **options))
        return SyncJob(self, job)

    def produce_many(
        self, jobs: Iterable[Any], /, *, stream: str | None = None, **options: Unpack[Options]
    ) -> SyncJobs:
        """Write many jobs; see :meth:`streamq.App.produce_many`.

        ``jobs`` is gone through in the caller's own thread, so it may be a query set.
        """
        if isinstance(jobs, AsyncIterable):
            raise ConfigError("app.sync.produce_many takes no async iterable: use app.produce_many")
        written, coming = AllEnqueued(), iter(jobs)
        while chunk := list(islice(coming, CHUNK)):
            some = self._call(self._writing(chunk, stream, options))
            written.extend(some)
            written.at(some[0].home)
        return SyncJobs(self, written)

    def job(self, id: str, *, stream: str | None = None) -> SyncJob:
        """A job that was written elsewhere, by its ID; see :meth:`streamq.App.job`."""

        async def find(app: Any) -> Enqueued:
            found: Enqueued = app.job(id, stream=stream)
            return found

        return SyncJob(self, self._call(find))

    def result(
        self, job: str | SyncJob | Enqueued, *, group: str | None = None,
        timeout: float | None = None,
    ) -> Any:  # fmt: skip
        """Block until a group has run a job, and return what its handler has.

        Args:
            job: the job, or its ID.
            group: may be left out where the app, or else the stream, has one group.
            timeout: seconds; without one, it waits for as long as it takes.

        Raises:
            StreamqError: see :meth:`streamq.Enqueued.result`.
        """
        return self._handle(job).result(group=group, timeout=timeout)

    def wait(
        self, job: str | SyncJob | Enqueued, *, group: str | None = None,
        timeout: float | None = None,
    ) -> State:  # fmt: skip
        """Block until a job has ended in a group; see :meth:`streamq.Enqueued.wait`."""
        return self._handle(job).wait(group=group, timeout=timeout)

    def cancel(
        self, job: str | SyncJob, *, stream: str | None = None, group: str | None = None
    ) -> Cancelled:
        """Cancel a job; see :meth:`streamq.admin.Admin.cancel`."""
        done: Cancelled = self._call(lambda app: app.cancel(str(job), stream=stream, group=group))
        return done

    def close(self) -> None:
        """Close the connections and end the thread. A later call starts it again."""
        with self._lock:
            background, self._background = self._background, None
        if background is not None:
            background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @staticmethod
    def _writing(
        jobs: list[Any], stream: str | None, options: Options
    ) -> Callable[[Any], Coroutine[Any, Any, AllEnqueued]]:
        return lambda app: app.produce_many(jobs, stream=stream, **options)

    def _handle(self, job: str | SyncJob | Enqueued) -> SyncJob:
        if isinstance(job, SyncJob):
            return job
        return self.job(job) if isinstance(job, str) else self.job(job.id, stream=job.home.stream)

    def _call(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the background, and wait for its end."""
        with self._lock:
            if self._background is None:
                self._background = _Background(self._app)
            background = self._background
        return background.call(work)

    def _forget(self) -> None:
        """In a forked process there is no such thread, and the lock may be held by nobody."""
        _left_behind.append(self._background)
        self._background = None
        self._lock = threading.Lock()


class _Background:
    """A thread with an event loop, and an app with connections of its own in it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._started: concurrent.futures.Future[BlockingPortal] = concurrent.futures.Future()
        # A daemon: a program whose main thread has ended need not wait for it.
        self._thread = threading.Thread(target=self._run, name="streamq-sync", daemon=True)
        self._thread.start()
        self._portal = self._started.result(START_TIMEOUT)

    def call(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        future: concurrent.futures.Future[T] = self._portal.start_task_soon(self._work, work)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C, say: nothing is to wait on behind it
            raise

    def close(self) -> None:
        try:
            self._portal.start_task_soon(self._portal.stop, True)
        except RuntimeError:
            return  # it has ended already
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT)

    async def _work(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        return await work(self._twin)

    def _run(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)

    async def _serve(self) -> None:
        self._twin = self._app.twin()
        async with self._twin, BlockingPortal() as portal:
            self._started.set_result(portal)
            await portal.sleep_until_stopped()


def _close_all() -> None:
    for app in list(_all):
        app.close()


def _forget_all() -> None:
    for app in list(_all):
        app._forget()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)

__all__ = ["SyncApp", "SyncJob", "SyncJobs"]
