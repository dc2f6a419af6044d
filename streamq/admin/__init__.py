"""One face for all who look at jobs, and for what they do about them."""

from streamq.admin.admin import Admin
from streamq.admin.backlog import Backlog, Backlogs
from streamq.admin.consumers import LEASE, ConsumerInfo
from streamq.admin.cures import Released, RetryNow
from streamq.admin.dead_letter import DeadLetter
from streamq.admin.dead_letters import DeadLetters, Redriven, RedriveSummary
from streamq.admin.groups import DeletedGroup
from streamq.admin.overview import Overview
from streamq.admin.pending import Allowed, PendingJob
from streamq.admin.schedules import ScheduledJob
from streamq.admin.status import GroupStatus, JobStatus
from streamq.admin.streams import GroupInfo, StreamInfo

__all__ = [
    "LEASE", "Admin", "Allowed", "Backlog", "Backlogs", "ConsumerInfo", "DeadLetter",
    "DeadLetters", "DeletedGroup", "GroupInfo", "GroupStatus", "JobStatus", "Overview",
    "PendingJob", "RedriveSummary", "Redriven", "Released", "RetryNow", "ScheduledJob",
    "StreamInfo",
]  # fmt: skip
