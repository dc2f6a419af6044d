"""Every key name that streamq uses, in one place.

A stream's key is the plain name that the user gave. All that belongs to it
carries the stream's hash tag, so that it lives in the same Cluster slot: the
prefix of ``jobs`` is ``{jobs}``; a name that already has a tag (``{eu}:jobs``)
is its own prefix.
"""

from __future__ import annotations

import re
from functools import lru_cache

from streamq.errors import ConfigError
from streamq.text import printable

PARKED = "~retry"
"""The consumer that holds entries waiting for their retry time."""

SCHEDULE = "s-"
"""How the names of schedules begin; the ID of an entry begins with a digit."""

HELD = "~held"
"""The consumer that holds entries which flow control does not let run yet."""

WAITING = frozenset({PARKED, HELD})
"""Consumers that are no workers."""
RETAINED = "~retain"
"""The group that keeps the settled entries of a stream with retention, up to their age."""

_GROUP = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
_DLQ = re.compile(r"(.*\{[^}]+\}.*):group:([A-Za-z0-9_.\-]{1,128}):dlq", re.DOTALL)
_RECORD = re.compile(r"(.*\{[^}]+\}.*):group:([A-Za-z0-9_.\-]{1,128}):job:[^:]+", re.DOTALL)
_PARTITION = re.compile(r"([^{]*)\{([^}]+):(0|[1-9][0-9]{0,5})\}(.*)", re.DOTALL)
_KINDS = {  # an idempotency key, which comes first, may look like any of the others
    "string": re.compile(
        r".*\{[^}]+\}.*:(unique:.+|scheduled:id:.+|group:[^:]+:reclaim|data:[0-9a-f]{32})",
        re.DOTALL,
    ),
    "zset": re.compile(
        r".*\{[^}]+\}.*:(scheduled|data:unheld|group:[^:]+:(retry|flow:(lines|due|queue|rates)))",
        re.DOTALL,
    ),
    "set": re.compile(r".*\{[^}]+\}.*:group:[^:]+:cancelled", re.DOTALL),
    "hash": re.compile(
        r".*\{[^}]+\}.*:(scheduled:jobs|cron|settings|data:holders|group:[^:]+:(job:[^:]+|state|flow:(keys|busy)))",
        re.DOTALL,
    ),
}


@lru_cache(maxsize=1024)
def check_stream(name: str) -> str:
    """Return ``name`` if it is a valid stream name, else raise :class:`ConfigError`."""
    if not 0 < len(name) <= 512 or printable(name) != name:
        raise ConfigError(
            f"{name[:60]!r} is not a valid stream name: "
            "use 1 to 512 characters, no control characters"
        )
    if "}" in name and not _has_tag(name):
        # What stands between braces cannot have a '}' in it: no other key has its slot.
        raise ConfigError(
            f"{name[:60]!r} is not a valid stream name: '}}' may stand only in a name whose "
            "first braces hold a hash tag, such as {{eu}}"
        )
    return name


def check_group(name: str) -> str:
    """Return ``name`` if it is a valid group name, else raise :class:`ConfigError`."""
    if not _GROUP.fullmatch(name):
        raise ConfigError(
            f"{name[:60]!r} is not a valid group name: "
            "use at most 128 letters, digits, '_', '-' and '.'"
        )
    return name


def _has_tag(name: str) -> bool:
    """Whether the slot is that of what stands in the first braces, not of the whole name."""
    opening = name.find("{")
    return opening >= 0 and name.find("}", opening) > opening + 1


def _prefix(stream: str) -> str:
    return stream if _has_tag(stream) else "{" + stream + "}"


def partition_name(stream: str, number: int) -> str:
    """The key of one partition of a stream, with a hash tag of its own: ``{jobs:3}``.

    Of a name that has a tag, ``{eu}:jobs``, it is ``{eu:3}:jobs``.
    """
    check_stream(stream)
    if not _has_tag(stream):
        return f"{{{stream}:{number}}}"
    closing = stream.index("}", stream.index("{"))
    return f"{stream[:closing]}:{number}{stream[closing:]}"


def partition_of(name: str) -> tuple[str, int] | None:
    """The stream and the number, if a key has the name of a partition. It need not be one."""
    match = _PARTITION.fullmatch(name)
    if match is None:
        return None
    before, tag, number, after = match.groups()
    stream = tag if not before and not after else f"{before}{{{tag}}}{after}"
    return stream, int(number)


class StreamKeys:
    """The keys that belong to one stream."""

    __slots__ = (
        "cron", "data_holders", "data_unheld", "prefix", "scheduled", "scheduled_jobs",
        "settings", "stream",
    )  # fmt: skip

    def __init__(self, stream: str) -> None:
        self.stream = check_stream(stream)
        self.prefix = _prefix(stream)
        self.scheduled = f"{self.prefix}:scheduled"
        self.scheduled_jobs = f"{self.prefix}:scheduled:jobs"
        self.cron = f"{self.prefix}:cron"
        self.data_holders = f"{self.prefix}:data:holders"
        self.data_unheld = f"{self.prefix}:data:unheld"
        self.settings = f"{self.prefix}:settings"

    def unique(self, key: str) -> str:
        """The string that maps an idempotency key to the entry it made."""
        return f"{self.prefix}:unique:{key}"

    def schedule_id(self, name: str) -> str:
        """The string that maps the name of a schedule to the entry that it has become."""
        return f"{self.scheduled}:id:{name}"

    def data(self, name: str) -> str:
        """The string with the data of a job that is kept outside the stream."""
        return f"{self.prefix}:data:{name}"

    def group(self, group: str) -> GroupKeys:
        """The keys of one consumer group of this stream."""
        return group_keys(self.stream, group)


class GroupKeys:
    """The keys that belong to one consumer group of one stream."""

    __slots__ = (
        "cancelled", "dlq", "flow", "group", "job_prefix", "reclaim_lock", "results", "retry",
        "state", "stream", "tail",
    )  # fmt: skip

    def __init__(self, stream: str, group: str) -> None:
        self.stream = check_stream(stream)
        self.group = check_group(group)
        base = f"{_prefix(stream)}:group:{group}"
        self.retry = f"{base}:retry"
        self.dlq = f"{base}:dlq"
        self.reclaim_lock = f"{base}:reclaim"
        self.state = f"{base}:state"
        self.cancelled = f"{base}:cancelled"
        self.flow = tuple(
            f"{base}:flow:{name}" for name in ("keys", "busy", "lines", "due", "queue", "rates")
        )
        self.job_prefix = f"{base}:job:"
        self.results = f"{base}:results"
        """A channel: whoever waits for a result of this group, or follows it, is subscribed to it,
        so that one question tells a script whether anybody does. Nothing is published on it."""
        self.tail = f"{base}:tail"
        """A channel: what becomes of the group's jobs is published on it while somebody listens."""

    def job(self, job_id: str) -> str:
        """The hash with the status record of one job in this group."""
        return self.job_prefix + job_id

    def result(self, job_id: str) -> str:
        """The channel on which the end of one job in this group is published."""
        return f"{self.results}:{job_id}"


def dead_letters_of(key: str) -> tuple[str, str] | None:
    """The prefix of the stream and the group whose dead letters ``key`` names, if it does."""
    match = _DLQ.fullmatch(key)
    return None if match is None else (match[1], match[2])


def record_of(key: str) -> tuple[str, str] | None:
    """The prefix of the stream and the group of which ``key`` is a job's record, if it is one."""
    match = _RECORD.fullmatch(key)
    return None if match is None else (match[1], match[2])


def kind_of(key: str) -> str:
    """The Redis type that a key must have, by its name."""
    return next((kind for kind, names in _KINDS.items() if names.fullmatch(key)), "stream")


def scheduled_of(key: str) -> str | None:
    """The stream whose jobs for later ``key`` holds, if it does."""
    prefix = key.removesuffix(":scheduled:jobs")
    # Of two streams that share a prefix, jobs and {jobs}, the one without a tag.
    for name in (prefix[1:-1], prefix):
        try:
            if stream_keys(name).scheduled_jobs == key:
                return name
        except ConfigError:
            pass
    return None


@lru_cache(maxsize=1024)
def stream_keys(stream: str) -> StreamKeys:
    """The keys of ``stream`` (cached)."""
    return StreamKeys(stream)


@lru_cache(maxsize=1024)
def group_keys(stream: str, group: str) -> GroupKeys:
    """The keys of ``group`` on ``stream`` (cached)."""
    return GroupKeys(stream, group)


def data_keys(stream: str) -> tuple[str, str]:
    """The keys that tell who has data outside the stream: holders, and what nobody has."""
    keys = stream_keys(stream)
    return keys.data_holders, keys.data_unheld
