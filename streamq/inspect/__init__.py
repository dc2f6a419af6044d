"""Read-only answers: what is queued, running, waiting, stuck or dead, and why."""

from streamq.inspect.groups import ConsumerInfo, GroupInfo, StreamInfo
from streamq.inspect.inspector import Inspector
from streamq.inspect.overview import Overview
from streamq.inspect.pending import PendingJob
from streamq.inspect.status import GroupStatus, JobStatus

__all__ = [
    "ConsumerInfo", "GroupInfo", "GroupStatus", "Inspector", "JobStatus", "Overview",
    "PendingJob", "StreamInfo",
]  # fmt: skip
