"""Read-only answers: what is queued, running, waiting, stuck or dead, and why."""

from streamq.admin.info import ConsumerInfo, GroupInfo, StreamInfo
from streamq.admin.inspector import Inspector
from streamq.admin.overview import Overview
from streamq.admin.pending import PendingJob
from streamq.admin.status import GroupStatus, JobStatus

__all__ = [
    "ConsumerInfo", "GroupInfo", "GroupStatus", "Inspector", "JobStatus", "Overview",
    "PendingJob", "StreamInfo",
]  # fmt: skip
