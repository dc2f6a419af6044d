"""What an App offers to those who wait for results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Self, cast

from streamq.codec import Codec, decode_result
from streamq.enqueued import Enqueued, Home
from streamq.group import Group
from streamq.partitions import Partitioned, read_layout
from streamq.server import Server
from streamq.wire.keys import partition_of

if TYPE_CHECKING:
    from streamq.admin import Cancelled
    from streamq.produce.producer import Producer
    from streamq.results import Finished, Results
    from streamq.sync import SyncApp


class AppResults:
    """The part of an App with which one waits for its jobs."""

    stream: str
    codec: Codec | None
    _groups: list[Group]
    _server: Server | None
    _producer: Producer | None
    _partitioned: Mapping[str, Partitioned]

    def __init__(self) -> None:
        self._results: Results | None = None
        self._homes: dict[str, Home] = {}

    @property
    def server(self) -> Server:
        """The App's own."""
        raise NotImplementedError

    def job(self, id: str, *, stream: str | None = None) -> Enqueued:
        """A job that was written elsewhere, by its ID, to wait for its result.

        Args:
            id: its ID; of a job for later, the name of its schedule.
            stream: the app's own by default.

        Raises:
            ConfigError: that is no ID.
        """
        from streamq.results.scheduled import is_scheduled

        is_scheduled(id)
        return Enqueued(id, known=True, home=self._home_of(stream or self.stream))

    async def cancel(
        self, job: str | Enqueued, *, stream: str | None = None, group: str | None = None
    ) -> Cancelled:
        """Cancel a job; see :meth:`streamq.admin.Admin.cancel`.

        Args:
            job: what :meth:`produce` has returned, or an ID.
            stream: of an ID; the app's own by default.
            group: in this group only.
        """
        from streamq.admin import Admin

        if isinstance(job, Enqueued) and stream is None:
            stream = job.home.stream
        return await Admin(self.server).cancel(stream or self.stream, str(job), group=group)

    def results(
        self,
        jobs: Iterable[Enqueued],
        *,
        group: str | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Finished]:
        """What became of each of some jobs, in the order in which they finish::

            async for one in app.results(jobs, group="images", timeout=60):
                print(one.id, one.state, one.value if one.state == "succeeded" else one.error)

        Args:
            jobs: what :meth:`produce`, :meth:`produce_many` or :meth:`job` has returned.
            group: may be left out where the app, or else the stream, has one group.
            timeout: seconds for all of them; without one, as long as it takes.

        Raises:
            ResultTimeout: some are not finished within ``timeout``.
            ConfigError: there are several groups; it names them.
        """
        where = [(job.home.stream, job.id) for job in jobs]
        return self._waiting().as_finished(where, group, timeout)

    async def _cancel(self, stream: str, job_id: str, group: str | None) -> bool:
        return bool(await self.cancel(job_id, stream=stream, group=group))

    def _home_of(self, stream: str) -> Home:
        home = self._homes.get(stream)
        if home is None:
            home = self._homes[stream] = Home(self._waiting, stream, self._cancel)
        return home

    def _waiting(self) -> Results:
        """What waits for results, until :meth:`close`."""
        if self._results is None:
            from streamq.results import Results

            decode = partial(decode_result, self.codec)
            places = self._places_of if self._partitioned else None
            self._results = Results(self.server, self._groups_for, decode=decode, places=places)
        return self._results

    async def _places_of(self, stream: str) -> Sequence[str]:
        """The keys of the server that a stream has."""
        if stream not in self._partitioned:
            return [stream]
        return [*(await read_layout(self.server, stream)).names(), stream]

    def _groups_for(self, stream: str) -> list[str]:
        part = partition_of(stream)
        if part is not None and part[0] in self._partitioned:
            stream = part[0]
        return [group.name for group in self._groups if stream in group.streams([self.stream])]

    @property
    def sync(self) -> SyncApp:
        """The same for programs without an event loop: Django, scripts, threads."""
        known = self.__dict__.get("_sync")
        if known is None:
            from streamq.sync import SyncApp

            # In one step: two threads may ask at once.
            known = self.__dict__.setdefault("_sync", SyncApp(self))
        return cast("SyncApp", known)

    def twin(self) -> Self:
        """The same app with connections of its own, for another event loop."""
        other = copy(self)
        other._server = other._producer = other._results = None
        other._homes = {}
        other.__dict__.pop("_sync", None)
        return other

    async def _close_results(self) -> None:
        if self._results is not None:
            await self._results.close()
            self._results = None
