"""Every default and every bound, once. Nothing is imported here: a command needs them at once."""

from __future__ import annotations

DEFAULT_STREAM = "jobs"
DEFAULT_GROUP = "default"

# -- a job --------------------------------------------------------------------

MAX_PAYLOAD = 1024 * 1024
"""The default limit of one job's encoded data, in bytes."""

MAX_OFFLOADED = 64 * 1024 * 1024
"""The same where large data is kept outside the stream."""

OFFLOAD_ABOVE = 64 * 1024
"""Bytes of encoded data above which it is kept outside, where nothing else is said."""

MAX_TYPE = 128
"""Characters of a job's type."""

MAX_KEY = 512
"""Characters of an order key and of an idempotency key."""

UNIQUE_FOR = 24 * 3600.0
"""Seconds for which an idempotency key is remembered, by default."""

SCHEDULE_REMEMBERED = 3600.0
"""Seconds for which the name of a scheduled job leads to the entry that it has become."""

# -- a periodic job -----------------------------------------------------------

MAX_SCHEDULE = 256
"""Characters of a schedule's name."""

MAX_CRON = 200
"""Characters of a cron expression."""

MIN_EVERY, MAX_EVERY = 1.0, 366 * 86_400.0
"""Seconds that an interval may have."""

MISSED = 100
"""Missed ticks that are made up for at most, by default, where all are to be."""

MAX_MISSED = 10_000

# -- what is kept of it -------------------------------------------------------

MAX_RESULT = 64 * 1024
"""Bytes of a result that are kept."""

MAX_PROGRESS_NOTE = 200
"""Characters of what a handler says of its progress."""

MAX_ERROR = 2000
"""Characters of an error that are kept."""

MAX_LOGGED = 32 * 1024
"""Characters of a traceback in the log."""

MAX_TRACEBACK = 4000
"""Characters of a traceback that a dead letter keeps."""

KEEP_DATA = 1024
"""Bytes of a job's data up to which its status record keeps them."""

HISTORY = 20
"""Attempts of a job that its record remembers, by default."""

MAX_HISTORY = 1000

# -- handlers -----------------------------------------------------------------

RETRIES = 3
"""Further attempts after a first one that failed, by default."""

MAX_HELD = 1_000_000
"""Jobs of a group that may be held back by its rules before it reads no more, by default."""

# -- a worker -----------------------------------------------------------------

CONCURRENCY = 16
"""Handlers that run at once, for each group on each stream, by default."""

PREFETCH = 1000
"""Entries that may wait for a handler, by default."""

LEASE = 30.0
"""Seconds without a heartbeat after which an entry counts as stalled, by default."""

MIN_LEASE = 0.05
"""Seconds that a lease must have."""

RESULT_TTL = 300.0
"""Seconds for which the record of a finished job is kept, by default."""

MAX_WEIGHT = 1_000_000
"""The largest weight of a stream among those of a group."""

MAX_PARTITIONS = 1024
"""The most partitions that a stream may have."""

GRACE = 30.0
"""Seconds that running handlers have when the worker stops, by default."""

STUCK_AFTER = 30.0
"""Seconds after which an event loop that does not turn counts as stuck, by default."""

MIN_STUCK_AFTER = 2.0
"""Seconds: less than that, and a loop that is only busy could count as stuck."""

# -- the server ---------------------------------------------------------------

REPLICA_TIMEOUT = 1.0
"""Seconds that replicas have for an acknowledgement, by default."""

MIN_REPLICA_TIMEOUT, MAX_REPLICA_TIMEOUT = 0.001, 3600.0

FULL_TIMEOUT = 30.0
"""Seconds that a producer waits for room in a stream, by default."""

METRICS_PORT = 8000
EXPORTER_PORT = 8001

EXPORTER_INTERVAL = 5.0
"""Seconds for which one answer of the server serves all scrapes of an exporter, by default."""

MAX_PORT = 65_535

# -- looking ------------------------------------------------------------------

LOOKED_AT = 10_000
"""Rows that are looked at for one page of a list, however few of them are wanted."""
