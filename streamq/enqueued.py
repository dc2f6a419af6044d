"""A job that was written: to look at, to wait for, to cancel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from streamq.errors import ConfigError, StreamqError

if TYPE_CHECKING:
    from streamq.results import Results, State
    from streamq.results.progress import OnProgress


class Home(NamedTuple):
    """Where jobs are, so that one can be waited for.

    Attributes:
        results: what waits; made at the first use.
        cancel: cancels one, given the stream, its ID and a group.
    """

    results: Callable[[], Results]
    stream: str
    cancel: Callable[[str, str, str | None], Awaitable[bool]]


class Enqueued:
    """A job that was written, or known already. ``str()`` is its ID.

    Attributes:
        id: the ID of its entry; of a job for later, the name of its schedule.
        created: ``False`` when its ``unique`` key was known: this is the ID of the first one.
        replaced: whether that one, which waits for its time, has taken the new data and time.
        scheduled_for: when it will be written to the stream; ``None`` for a job that is there.
    """

    __slots__ = ("_due", "_home", "_known", "id", "replaced")

    def __init__(
        self,
        id: str,
        due: bytes | None = None,
        *,
        known: bool = False,
        replaced: bool = False,
        home: Home | None = None,
    ) -> None:
        self.id = id
        self.replaced = replaced
        self._due = due
        self._known = known
        self._home = home

    async def result(
        self, *, group: str | None = None, timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:  # fmt: skip
        """What the handler of a group has returned, as soon as it has.

        Nothing is asked again and again: the server tells when the job is finished.

        Args:
            group: may be left out where the app, or else the stream, has one group.
            timeout: seconds; without one, it waits for as long as it takes. 0 only looks.
            on_progress: called whenever the handler has told how far it is, with a
                :class:`~streamq.results.Progress`.

        Raises:
            JobDead: the group has given the job up.
            JobCancelled: it was cancelled.
            JobExpired: its ``expires`` passed before its turn came.
            JobSkipped: it is for another group.
            ResultExpired: it is finished, but its result is not kept, or no longer.
            ResultTimeout: it is not finished within ``timeout``; the job goes on.
            JobNotFound: there is no such job.
            ConfigError: there are several groups; it names them.
            ServerUnavailable: the server cannot be reached. One that is lost later is
                waited for.
        """
        home = self.home
        return await home.results().result(home.stream, self.id, group, timeout, on_progress)

    async def wait(
        self, *, group: str | None = None, timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> State:  # fmt: skip
        """The state in which the job has ended in a group: ``succeeded``, ``dead`` and so on.

        See :class:`streamq.results.Finished` for the states. All else as for :meth:`result`,
        but that no end raises an error.

        Raises:
            ResultTimeout: it is not finished within ``timeout``; the job goes on.
            JobNotFound: there is no such job.
        """
        home = self.home
        return await home.results().wait(home.stream, self.id, group, timeout, on_progress)

    async def cancel(self, *, group: str | None = None) -> bool:
        """Cancel it, in every group or in one; see :meth:`streamq.admin.Admin.cancel`.

        Returns:
            Whether it is cancelled, or will be within a second; ``False`` when it had ended.
        """
        home = self.home
        return await home.cancel(home.stream, self.id, group)

    @property
    def home(self) -> Home:
        """Where it is.

        Raises:
            ConfigError: it was not made by an app.
        """
        if self._home is None:
            raise ConfigError(f"the job {self.id} has no app: get it with app.job({self.id!r})")
        return self._home

    def at(self, home: Home) -> Enqueued:
        """Note where it is."""
        self._home = home
        return self

    @property
    def place(self) -> str | None:
        """The key of its partition, ``{jobs:3}``; ``None`` for one of a stream without any."""
        return None

    @property
    def created(self) -> bool:
        """Whether it was written by this call."""
        return not self._known

    @property
    def scheduled_for(self) -> datetime | None:
        """When it will be written to the stream, if it is for later."""
        return None if self._due is None else datetime.fromtimestamp(float(self._due) / 1000, UTC)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        known = "" if self.created else ", created=False"
        known += ", replaced=True" if self.replaced else ""
        later = "" if self.scheduled_for is None else f", scheduled_for={self.scheduled_for!r}"
        return f"Enqueued({self.id!r}{known}{later})"

    def __reduce__(self) -> tuple[Callable[..., Enqueued], tuple[str, bytes | None]]:
        # Without the app: no other process has it.
        made = partial(Enqueued, known=self._known, replaced=self.replaced)
        return made, (self.id, self._due)

    @classmethod
    def of(
        cls, id: bytes, created: int, due: bytes | None = None, *, home: Home | None = None
    ) -> Enqueued:
        """Out of a script's reply; ``due`` is a Unix time in ms.

        Args:
            created: 1, or 2 for replaced; 3 and 4 for the same, by an earlier attempt.
        """
        known, replaced = created not in (1, 3), created in (2, 4)
        return cls(id.decode(), due, known=known, replaced=replaced, home=home)


class InPartition(Enqueued):
    """A job of a stream that has partitions."""

    __slots__ = ("_place",)

    def __init__(self, job: Enqueued, place: str) -> None:
        """The same job, with the key of its partition."""
        super().__init__(job.id, job._due, known=job._known, replaced=job.replaced, home=job._home)
        self._place = place

    @property
    def place(self) -> str:
        """The key of its partition."""
        return self._place

    def __reduce__(self) -> tuple[Callable[..., Enqueued], tuple[str, bytes | None]]:
        make, given = super().__reduce__()
        return partial(_in_partition, make, self._place), given


def _in_partition(make: Callable[..., Enqueued], place: str, *given: Any) -> Enqueued:
    return InPartition(make(*given), place)


class AlreadyEnqueued(StreamqError):
    """The ``unique`` key of a job is taken, and ``on_conflict="error"`` was asked for.

    Attributes:
        job: the one that has the key.
    """

    def __init__(self, job: Enqueued) -> None:
        super().__init__(job)  # which unpickling gives back
        self.job = job

    def __str__(self) -> str:
        due = self.job.scheduled_for
        when = "" if due is None else f", which is due at {due.isoformat(timespec='seconds')}"
        return (
            f"nothing was written: the idempotency key is taken by the job {self.job.id}{when}; "
            'on_conflict="keep" returns that one'
        )


Where = Home | Callable[[str], Home] | None


class AllEnqueued(Sequence[Enqueued]):
    """The jobs of one call, in order.

    Each is made when it is looked at, of the server's reply: a million objects would cost more
    than the writing of a million jobs.
    """

    __slots__ = ("_home", "_replies")

    def __init__(self, replies: Sequence[Any] = (), home: Where = None) -> None:
        self._replies = list(replies)
        self._home = home

    def at(self, home: Where) -> AllEnqueued:
        """Note where they are; of those in partitions, what tells it of each of these."""
        self._home = home
        return self

    def extend(self, others: AllEnqueued) -> None:
        """Add those of the next chunk."""
        self._replies += others._replies

    def __len__(self) -> int:
        return len(self._replies)

    def __iter__(self) -> Iterator[Enqueued]:
        return map(partial(_enqueued, self._home), self._replies)

    @overload
    def __getitem__(self, place: int) -> Enqueued: ...
    @overload
    def __getitem__(self, place: slice) -> AllEnqueued: ...
    def __getitem__(self, place: int | slice) -> Enqueued | AllEnqueued:
        if isinstance(place, slice):
            return AllEnqueued(self._replies[place], self._home)
        return _enqueued(self._home, self._replies[place])

    def __repr__(self) -> str:
        return f"<{len(self)} jobs enqueued>"


def _enqueued(home: Where, reply: Any) -> Enqueued:
    """Out of the reply to ``XADD``, or to a script that returns more than an ID."""
    if home is not None and not isinstance(home, Home):
        return _in_its_partition(home, reply)
    if reply.__class__ is bytes:
        return Enqueued(reply.decode(), home=home)
    if reply.__class__ is tuple:
        return InPartition(Enqueued(reply[1].decode(), home=home), reply[0])
    if isinstance(reply, Enqueued):
        return reply if home is None else reply.at(home)
    return Enqueued.of(*reply, home=home)


def _in_its_partition(home_of: Callable[[str], Home], reply: Any) -> Enqueued:
    job = _enqueued(None, reply)
    return job.at(home_of(job.place or ""))
