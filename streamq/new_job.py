"""A job that is to be written: its type, its data, and what was asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Never, TypedDict, get_args, overload

from streamq.codec import Codec, encode_with
from streamq.errors import ConfigError, StreamqError
from streamq.limits import UNIQUE_FOR
from streamq.option_checks import (
    check_key,
    check_text,
    due_time,
    milliseconds,
    refuse_options,
    taken,
)
from streamq.wire.entry import encode

if TYPE_CHECKING:
    from streamq.event import Event
    from streamq.results import Results, State
    from streamq.results.progress import OnProgress


UniqueUntil = Literal["settled"]
"""What makes an idempotency key free again, beside the time."""

OnConflict = Literal["keep", "replace", "error"]
"""What becomes of a job whose idempotency key is taken."""


class Options(TypedDict, total=False):
    """The options of a new job; see :class:`NewJob`."""

    key: str | None
    unique: str | None
    unique_for: float | None
    unique_until: UniqueUntil | None
    on_conflict: OnConflict
    delay: float | None
    at: datetime | None
    expires: float | None
    trace: str | None


class NewJob:
    """A job to be written.

    It is what :meth:`streamq.App.produce_many` takes where a job has options of its own, and
    what the middleware of producing sees; there its attributes may be set.

    Args:
        type: the job type, or an :class:`~streamq.Event` in place of type and data.
        data: a mapping; no data is an empty one.
        key: the order key: what belongs together.
        unique: an idempotency key: while it is remembered, the same key writes nothing.
        unique_for: seconds for which it is remembered, from the job's time on.
        unique_until: ``"settled"``: until then it is also free again as soon as every group has
            settled the job, or the job is gone.
        on_conflict: ``"keep"`` the job that has the key, ``"replace"`` it while it is scheduled,
            or raise an ``"error"``, :class:`~streamq.AlreadyEnqueued`.
        delay: seconds until the job is written to the stream.
        at: when it is written; an aware datetime.
        expires: seconds, counted from its writing, after which it is not run.
        trace: a W3C ``traceparent``, handed on to the handler.

    Raises:
        TypeError: there is an unknown option; data belongs into the mapping.
    """

    __slots__ = (
        "at", "data", "delay", "expires", "key", "on_conflict", "trace", "type", "unique",
        "unique_for", "unique_until",
    )  # fmt: skip

    def __init__(
        self,
        type: str | Event,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        key: str | None = None,
        unique: str | None = None,
        unique_for: float | None = None,
        unique_until: UniqueUntil | None = None,
        on_conflict: OnConflict = "keep",
        delay: float | None = None,
        at: datetime | None = None,
        expires: float | None = None,
        trace: str | None = None,
        **unknown: Never,
    ) -> None:
        if unknown:
            refuse_options("NewJob", unknown)
        self.type, self.data = (type, data or {}) if isinstance(type, str) else taken(type, data)
        self.key = key
        self.unique = unique
        self.unique_for = unique_for
        self.unique_until = unique_until
        self.on_conflict = on_conflict
        self.delay = delay
        self.at = at
        self.expires = expires
        self.trace = trace

    def __repr__(self) -> str:
        return f"<NewJob {self.type!r}>"

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for it."""
        return (
            self.key is None and self.unique is None and self.delay is None and self.at is None
            and self.expires is None and self.trace is None and self.unique_for is None
            and self.unique_until is None and self.on_conflict == "keep"
        )  # fmt: skip

    def fields(self, limit: int, codec: Codec | None = None) -> list[str | bytes | int]:
        """The fields of its entry, as ``XADD`` takes them.

        Args:
            limit: bytes that the encoded data may take.
            codec: writes the data; JSON without one.

        Raises:
            PayloadError: the data cannot be written, or takes more than ``limit`` bytes.
            ConfigError: an option cannot be used.
        """
        return encode(
            self.type, encode_with(codec, self.data, limit),
            key=check_key("key", self.key), trace=check_text("trace", self.trace),
            expires=milliseconds("expires", self.expires),
        )  # fmt: skip

    def due(self) -> tuple[str, int] | None:
        """When it is to be written: ``("in", ms)``, ``("at", Unix time in ms)``, or at once.

        Raises:
            ConfigError: both are given, or a time without a time zone.
        """
        return due_time(self.delay, self.at)

    def uniqueness(self) -> Uniqueness | None:
        """The idempotency key and its rules.

        Raises:
            ConfigError: one of them cannot be used.
        """
        if self.unique_until not in (None, *get_args(UniqueUntil)):
            raise ConfigError(f"unique_until={self.unique_until!r}: give 'settled', or nothing")
        if self.on_conflict not in get_args(OnConflict):
            raise ConfigError(
                f"on_conflict={self.on_conflict!r}: give 'keep', 'replace' or 'error'"
            )
        if self.unique is None:
            if self.unique_for is not None:
                raise ConfigError("unique_for says how long unique= is remembered: give that, too")
            if self.unique_until is not None:
                raise ConfigError("unique_until says until when unique= is taken: give that, too")
            if self.on_conflict != "keep":
                raise ConfigError(
                    "on_conflict says what happens when unique= is taken: give that, too"
                )
            return None
        check_key("unique", self.unique)
        seconds = UNIQUE_FOR if self.unique_for is None else self.unique_for
        ms = milliseconds("unique_for", seconds) or 1
        return Uniqueness(self.unique, ms, self.unique_until or "time", self.on_conflict)


class Uniqueness(NamedTuple):
    """An idempotency key and its rules.

    Attributes:
        ms: how long it is remembered from the job's time on.
        until: ``time`` or ``settled``.
        on_conflict: ``keep``, ``replace`` or ``error``.
    """

    key: str
    ms: int
    until: str
    on_conflict: str

    @property
    def has_rules(self) -> bool:
        """Whether more than a time was asked for."""
        return self.until != "time" or self.on_conflict != "keep"


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


class AllEnqueued(Sequence[Enqueued]):
    """The jobs of one call, in order.

    Each is made when it is looked at, of the server's reply: a million objects would cost more
    than the writing of a million jobs.
    """

    __slots__ = ("_home", "_replies")

    def __init__(self, replies: Sequence[Any] = (), home: Home | None = None) -> None:
        self._replies = list(replies)
        self._home = home

    def at(self, home: Home) -> AllEnqueued:
        """Note where they are."""
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


def _enqueued(home: Home | None, reply: Any) -> Enqueued:
    """Out of the reply to ``XADD``, or to a script that returns more than an ID."""
    if reply.__class__ is bytes:
        return Enqueued(reply.decode(), home=home)
    if isinstance(reply, Enqueued):
        return reply if home is None else reply.at(home)
    return Enqueued.of(*reply, home=home)
