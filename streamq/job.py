"""A job, as a handler sees it: one delivery of one entry to one group."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, overload

import orjson

from streamq.codec import Cipher, Codec, cipher_of, decode_with, encode_with
from streamq.errors import ConfigError, InvalidEntry
from streamq.limits import MAX_PAYLOAD, MAX_PROGRESS_NOTE
from streamq.offload import Offload
from streamq.option_checks import check_key, check_text, milliseconds, refuse_options, taken
from streamq.partitions import Layout, hash_of
from streamq.priorities import NO_PRIORITIES, Priorities
from streamq.text import printable
from streamq.wire.entry import (
    Fields,
    check_type,
    created_at,
    encode,
    not_json,
)
from streamq.wire.json import loads
from streamq.wire.keys import check_stream, partition_name
from streamq.wire.offloaded import FIELD, Ref, parse_ref
from streamq.wire.slots import slot_of

if TYPE_CHECKING:
    from streamq.event import Event

FRAME = 256
"""Bytes that a string of an event counts for beside its own: a server takes a million of them."""

_MS = re.compile(r"[0-9]{1,16}")


Reporter = Callable[[str, int, float, str], None]
"""Takes a job's ID, its attempt and how far it is, in whatever thread that is told."""

REPORTERS: dict[tuple[str, str, str], Reporter] = {}
"""By the key of the stream or partition, group and consumer, the workers of this process. A job
looks its own up when it has something to tell: all others pay nothing for it."""


class Emitted(NamedTuple):
    """A follow-up event, waiting to be written with the ack.

    Attributes:
        fields: of its entry, as ``XADD`` takes them.
    """

    stream: str
    fields: list[str | bytes | int]

    @property
    def size(self) -> int:
        """About how many bytes it takes on its way to the server, a little too many."""
        fields = self.fields
        return FRAME * (len(fields) + 3) + sum(len(p) for p in fields if not isinstance(p, int))


class Job:
    """One delivery of one entry to one group, as a handler sees it.

    Attributes:
        id: the entry ID, ``<ms>-<n>``, which is the job's only identity.
        stream: the stream it was read from.
        partition: the partition of it; ``None`` where the stream has none.
        group: the group that processes it.
        consumer: the consumer (worker process) that holds it.
        type: the handler's name, ``""`` if the producer gave none.
        attempt: the delivery count; 1 is the first attempt.
        retries: how many more attempts follow a first failure.
        cancelled: whether it has been cancelled meanwhile. An ``async def`` handler is cancelled;
            one in a thread looks here, and returns.
        failed_trace: a W3C ``traceparent``, set by middleware that traces: if the attempt fails,
            it is kept in the job's record until the job ends.
    """

    __slots__ = (
        "_data", "_raw", "attempt", "cancelled", "consumer", "emitted", "failed_trace", "group",
        "id", "meta", "retries", "stream", "type",
    )  # fmt: skip

    failed_trace: str  # not there unless it is set, so that other jobs pay nothing for it

    codec: ClassVar[Codec | None] = None
    priorities: ClassVar[Priorities] = NO_PRIORITIES
    cipher: ClassVar[Cipher | None] = None
    offload: ClassVar[Offload | None] = None
    max_payload: ClassVar[int] = MAX_PAYLOAD
    cluster: ClassVar[bool] = False
    partition: ClassVar[int | None] = None
    """The partition of its stream that it is in; ``None`` where the stream has none."""
    named: ClassVar[str | None] = None
    """The name of the stream whose partition it is in."""
    layouts: ClassVar[Mapping[str, Layout] | None] = None
    """The partitions of streams, where any has some."""
    decode = staticmethod(loads)

    def __init__(
        self,
        id: str,
        stream: str,
        group: str,
        consumer: str,
        attempt: int,
        wire: Fields,
        retries: int = 0,
    ) -> None:
        self.id = id
        self.stream = stream
        self.group = group
        self.consumer = consumer
        self.attempt = attempt
        self.retries = retries
        self.type, self._raw, self._data, self.meta = wire
        self.emitted: list[Emitted] | None = None
        self.cancelled = False

    @property
    def place(self) -> str:
        """The key that it was read from: that of its partition, where its stream has some."""
        return (
            self.stream if self.partition is None else partition_name(self.stream, self.partition)
        )

    @property
    def data(self) -> Any:
        """The data, decoded when first asked for; a ``dict`` for what ``produce`` wrote.

        Raises:
            InvalidEntry: it is not JSON.
        """
        data = self._data
        if data is None and self._raw is not None:
            try:
                data = self._data = self.decode(self._raw)
            except ValueError as error:
                raise not_json(error, self._raw) from None
        return data

    @property
    def raw(self) -> bytes:
        """The data as it was written: JSON, unless the app has a codec."""
        return self._raw if self._raw is not None else orjson.dumps(self._data)

    @property
    def ref(self) -> Ref | None:
        """Where its data is, if that is kept outside the stream. A handler has it all the same."""
        return None if self.meta is None else parse_ref(self.meta.get(FIELD))

    def set_raw(self, raw: bytes) -> None:
        """Give it its data, which was outside the stream."""
        self._raw = raw

    @property
    def fields(self) -> Mapping[str, str]:
        """The entry's fields beside its type and data: ``source``, ``id`` and the like.

        Those that streamq writes are among them (``key``, ``trace``, …). An entry without a
        field ``data`` has none beside: they are its data. Bytes that are no UTF-8 are escaped.
        """
        return {
            name.decode("utf-8", "backslashreplace"): value.decode("utf-8", "backslashreplace")
            for name, value in (self.meta or {}).items()
        }

    @property
    def is_foreign(self) -> bool:
        """Whether its entry has no field ``data``, so that its other fields are its data."""
        return self._raw is None

    @property
    def created_at(self) -> float:
        """When the server wrote the entry: Unix time in seconds."""
        return created_at(self.id)

    @property
    def key(self) -> str | None:
        """The order key that it was produced with."""
        return self._text(b"key")

    @property
    def trace(self) -> str | None:
        """The W3C ``traceparent`` that it was produced with."""
        return self._text(b"trace")

    @property
    def origin(self) -> str | None:
        """The ID that it had before it was redriven from the dead letters."""
        return self._text(b"origin")

    @property
    def only_for(self) -> str | None:
        """The one group that the entry is for; ``None`` means every group."""
        return self._text(b"for")

    @property
    def expires_at(self) -> float | None:
        """When the job is no longer worth doing: Unix time in seconds, by the server's clock.

        Raises:
            InvalidEntry: the field ``expires`` is not a number of milliseconds.
        """
        text = self._text(b"expires")
        if text is None:
            return None
        if not _MS.fullmatch(text):
            raise InvalidEntry(f"the field 'expires' is not a time in ms: {printable(text, 60)}")
        return self.created_at + int(text) / 1000

    def _text(self, name: bytes) -> str | None:
        if not self.meta:
            return None
        value = self.meta.get(name)
        return None if value is None else value.decode("utf-8", "backslashreplace")

    @overload
    def emit(
        self, type: str, data: Mapping[str, Any] | None = None, /, *, stream: str | None = None,
        key: str | None = None, expires: float | None = None, trace: str | None = None,
        priority: str | None = None,
    ) -> None: ...  # fmt: skip
    @overload
    def emit(
        self, event: Event, /, *, stream: str | None = None,
        key: str | None = None, expires: float | None = None, trace: str | None = None,
        priority: str | None = None,
    ) -> None: ...  # fmt: skip
    def emit(
        self,
        type: str | Event,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        stream: str | None = None,
        key: str | None = None,
        expires: float | None = None,
        trace: str | None = None,
        priority: str | None = None,
        **unknown: object,
    ) -> None:
        """Write a follow-up event together with this job's ack, or not at all.

        A delivery that fails, is retried or is refused emits nothing. It is a plain call, not
        awaited, in ``async def`` and in ``def`` alike.

        Args:
            type: the type of the new event, or an :class:`~streamq.Event` in place of type
                and data.
            data: the new event's data.
            stream: where it goes; this job's own stream by default. On a Cluster
                it must share that stream's slot, as ``{eu}:jobs`` and ``{eu}:mails`` do.
            key: its order key.
            expires: seconds, counted from its writing, after which it is not run.
            trace: a W3C ``traceparent``; this job's own by default.
            priority: where it goes, by one of the app's ``priorities``, in place of ``stream``.

        Raises:
            ConfigError: the type, the stream or an option cannot be used.
            PayloadError: the data cannot be written as JSON or is too large.
            TypeError: there is no such option; data belongs into the mapping.
        """
        if unknown:
            refuse_options("emit", unknown)
        stream = self.priorities.choose(stream, priority)
        name, values = (type, data or {}) if isinstance(type, str) else taken(type, data)
        target = self.stream if stream is None else check_stream(stream)
        key = check_key("key", key)
        if self.layouts is not None:
            target = self._partition_for(target, key, self.layouts)
        if self.cluster and slot_of(target.encode()) != slot_of(self.place.encode()):
            raise ConfigError(
                f"emit to the stream {printable(target, 100)}: on a Cluster, a follow-up event "
                f"must be in the slot of its job's stream, {printable(self.place, 100)}, to be "
                "written with its ack; give both the same hash tag, such as {eu}:jobs and "
                "{eu}:mails, or produce it with a `unique` key"
            )
        fields = encode(
            check_type(name), encode_with(self.codec, values, self.max_payload), key=key,
            trace=self.trace if trace is None else check_text("trace", trace),
            expires=milliseconds("expires", expires),
        )  # fmt: skip
        if self.emitted is None:
            self.emitted = []
        self.emitted.append(Emitted(target, fields))

    def _partition_for(self, stream: str, key: str | None, layouts: Mapping[str, Layout]) -> str:
        """The key of the server that a follow-up event goes to."""
        layout = layouts.get(stream)
        if layout is None:
            return self.place if stream == self.stream else stream
        if key is not None:
            return layout.name(layout.of(key))
        if stream == self.stream:
            return self.place  # in the same slot, so that it can be written with the ack
        return layout.name(hash_of(self.id) % layout.partitions)

    def progress(self, done: float, note: str = "") -> None:
        """Tell how far the job is: ``streamq status``, ``pending`` and whoever waits see it.

        It is a plain call, not awaited, in ``async def``, threads and processes alike, and may
        come as often as you like: the worker sends the last of them, once a second at most.

        Args:
            done: the part that is done, 0 to 1.
            note: a few words for a person, such as ``resizing``; 200 characters at most.

        Raises:
            ConfigError: one of them cannot be used.
        """
        if not isinstance(done, int | float) or not 0 <= done <= 1:
            raise ConfigError(f"progress({done!r}): give the part that is done, 0 to 1")
        if not isinstance(note, str) or len(note) > MAX_PROGRESS_NOTE:
            raise ConfigError(
                f"progress(…, note={printable(note, 60)!r}): give text, "
                f"{MAX_PROGRESS_NOTE} characters at most"
            )
        check_text("note", note)
        report = REPORTERS.get((self.place, self.group, self.consumer))
        if report is not None:
            report(self.id, self.attempt, done, note)

    def as_dict(self) -> Mapping[str, Any]:
        """The job as plain data, for programs that read JSON."""
        return {
            "id": self.id,
            "stream": self.stream,
            **({} if self.partition is None else {"partition": self.partition}),
            "group": self.group,
            "type": self.type,
            "attempt": self.attempt,
            "retries": self.retries,
            "created_at": self.created_at,
            "data": self.data,
        }

    def __repr__(self) -> str:
        attempts = f"attempt {self.attempt} of {self.retries + 1}"
        return f"<Job {self.id} {printable(self.type)!r} {attempts}>"


def job_class(
    codec: Codec | None,
    priorities: Priorities = NO_PRIORITIES,
    offload: Offload | None = None,
    max_payload: int = MAX_PAYLOAD,
    *,
    cluster: bool = False,
) -> type[Job]:
    """The class of the jobs of an app; :class:`Job` itself where the app has nothing special.

    Args:
        max_payload: bytes that the data of an emitted event may take, with ``offload``.
        cluster: whether streams may be on different servers.
    """
    if codec is None and offload is None and not priorities.streams and not cluster:
        return Job
    own_codec, own_names, own_offload = codec, priorities, offload
    own_limit = MAX_PAYLOAD if offload is None else max_payload
    on_cluster = cluster

    class JobOfApp(Job):
        __slots__ = ()
        codec = own_codec
        cipher = cipher_of(own_codec)
        priorities = own_names
        offload = own_offload
        max_payload = own_limit
        cluster = on_cluster

        def __reduce__(self) -> tuple[object, ...]:
            # For handlers in processes, which find no class of this name.
            state = {name: getattr(self, name) for name in Job.__slots__ if hasattr(self, name)}
            made = own_codec, own_names, own_offload, own_limit, on_cluster
            return _bare_job, made, (None, state)

    if codec is not None:
        JobOfApp.decode = staticmethod(partial(decode_with, codec))
    return JobOfApp


def job_of_partition(
    made: type[Job], stream: str, partition: int | None, layouts: Mapping[str, Layout]
) -> type[Job]:
    """The class of the jobs of one partition of a stream.

    Args:
        made: that of the jobs of the app.
        partition: ``None`` for a stream that has none, beside others that have.
        layouts: the partitions of streams.
    """
    number, known = partition, layouts

    class JobOfPartition(made):  # type: ignore[misc,valid-type]  # a class by its value
        __slots__ = ()
        named = stream
        partition = number
        layouts = known

        def __reduce__(self) -> tuple[object, ...]:
            state = {name: getattr(self, name) for name in Job.__slots__ if hasattr(self, name)}
            app = None if made is Job else made.__reduce__(self)[:2]
            return _bare_job_of_partition, (app, stream, number, dict(known)), (None, state)

    return JobOfPartition


def _bare_job_of_partition(
    app: tuple[Callable[..., Job], tuple[Any, ...]] | None, stream: str, partition: int | None,
    layouts: Mapping[str, Layout],
) -> Job:  # fmt: skip
    """A job without anything in it, to be filled by :mod:`pickle`.

    Args:
        app: makes a job of an app that has something special.
    """
    made = Job if app is None else type(app[0](*app[1]))
    made = job_of_partition(made, stream, partition, layouts)
    return made.__new__(made)


def _bare_job(
    codec: Codec | None, priorities: Priorities, offload: Offload | None, max_payload: int,
    cluster: bool,
) -> Job:  # fmt: skip
    """A job without anything in it, to be filled by :mod:`pickle`."""
    made = job_class(codec, priorities, offload, max_payload, cluster=cluster)
    return made.__new__(made)
