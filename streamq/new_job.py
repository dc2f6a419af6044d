"""A job that is to be written: its type, its data, and what was asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Never, TypedDict, get_args

from streamq.codec import Codec, encode_with
from streamq.errors import ConfigError
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
    what the middleware of producing sees; there its attributes may be set, and ``headers``:
    further fields of the entry such as ``baggage``, which a handler finds in ``job.fields``.

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
        "at", "data", "delay", "expires", "headers", "key", "on_conflict", "trace", "type",
        "unique", "unique_for", "unique_until",
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
        self.headers: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"<NewJob {self.type!r}>"

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for it."""
        return (
            self.key is None and self.unique is None and self.delay is None and self.at is None
            and self.expires is None and self.trace is None and self.unique_for is None
            and self.unique_until is None and self.on_conflict == "keep" and self.headers is None
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
            expires=milliseconds("expires", self.expires), headers=self.headers,
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
