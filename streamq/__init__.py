"""Event processing on Redis Streams.

Many groups can process one stream, each with its own progress, retries and dead
letters::

    from streamq import App, Job

    app = App("redis://localhost:6379")
    images = app.group("images", retries=3, timeout=30)

    @images.handler("photo_added")
    async def make_thumbnail(job: Job, file: str, width: int = 256) -> dict: ...

    await app.produce("photo_added", {"file": "image_1.png"})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamq.app import App
    from streamq.enqueued import AlreadyEnqueued, Enqueued
    from streamq.errors import StreamqError
    from streamq.event import Event
    from streamq.group import Group
    from streamq.job import Job
    from streamq.new_job import NewJob
    from streamq.observe.job_logs import JobLogFilter, JsonLogFormatter
    from streamq.offload import Offload
    from streamq.partitions import Partitioned
    from streamq.retry import Backoff, Dead, Retry
    from streamq.running import current_job
    from streamq.version import __version__ as __version__
    from streamq.worker import Settings, Worker

__all__ = [
    "AlreadyEnqueued", "App", "Backoff", "Dead", "Enqueued", "Event", "Group", "Job",
    "JobLogFilter", "JsonLogFormatter", "NewJob", "Offload", "Partitioned", "Retry", "Settings",
    "StreamqError", "Worker", "current_job",
]  # fmt: skip

_HOMES = {
    "AlreadyEnqueued": "enqueued", "App": "app", "Backoff": "retry", "Dead": "retry",
    "Enqueued": "enqueued", "Event": "event", "Group": "group", "Job": "job",
    "JobLogFilter": "observe.job_logs", "JsonLogFormatter": "observe.job_logs",
    "NewJob": "new_job",
    "Offload": "offload", "Partitioned": "partitions", "Retry": "retry", "Settings": "worker",
    "StreamqError": "errors", "Worker": "worker",
    "__version__": "version", "current_job": "running",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # Imported at the first use: most commands of the command line need little of it.
    if name not in _HOMES:
        raise AttributeError(f"module 'streamq' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"streamq.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
