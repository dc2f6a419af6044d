"""One face for all who look at jobs, and for what they do about them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamq.admin.activity import ConsumerActivity
    from streamq.admin.backlog import Backlog, Backlogs
    from streamq.admin.cancelling import Cancelled, CancelOutcome, CancelSummary
    from streamq.admin.causes import Cause, Causes
    from streamq.admin.consumers import ConsumerInfo
    from streamq.admin.cron import ScheduleChanges, ScheduleInfo, Schedules
    from streamq.admin.cures import Released, RetryNow
    from streamq.admin.dead_letter import DeadLetter
    from streamq.admin.dead_letters import DeadLetters, Matching, Redriven, RedriveSummary
    from streamq.admin.doctor.findings import Diagnosis, Finding, Level
    from streamq.admin.followed import Followed
    from streamq.admin.groups import DeletedGroup
    from streamq.admin.history import Attempt
    from streamq.admin.overview import Overview
    from streamq.admin.paging import Page
    from streamq.admin.partitions import Admin
    from streamq.admin.pending import Allowed, PendingJob
    from streamq.admin.places import RewoundGroup
    from streamq.admin.replays import Replayed
    from streamq.admin.schedules import ScheduledJob
    from streamq.admin.settings import AbandonedGroup, StreamSettings
    from streamq.admin.snapshot import GroupSnapshot, Snapshot, StreamSnapshot
    from streamq.admin.status import GroupStatus, JobStatus
    from streamq.admin.streams import GroupInfo, StreamInfo
    from streamq.flow.state import GroupState

__all__ = [
    "AbandonedGroup", "Admin", "Allowed", "Attempt", "Backlog", "Backlogs", "CancelOutcome",
    "CancelSummary", "Cancelled", "Cause", "Causes", "ConsumerActivity", "ConsumerInfo",
    "DeadLetter", "DeadLetters", "DeletedGroup", "Diagnosis", "Finding", "Followed", "GroupInfo",
    "GroupSnapshot", "GroupState", "GroupStatus", "JobStatus", "Level", "Matching", "Overview",
    "Page", "PendingJob", "RedriveSummary", "Redriven", "Released", "Replayed", "RetryNow",
    "RewoundGroup", "ScheduleChanges", "ScheduleInfo", "ScheduledJob", "Schedules", "Snapshot",
    "StreamInfo", "StreamSettings", "StreamSnapshot",
]  # fmt: skip

_HOMES = {
    "CancelOutcome": "cancelling", "CancelSummary": "cancelling", "Cancelled": "cancelling",
    "AbandonedGroup": "settings", "Replayed": "replays", "RewoundGroup": "places",
    "StreamSettings": "settings",
    "GroupSnapshot": "snapshot", "Snapshot": "snapshot", "StreamSnapshot": "snapshot",
    "Diagnosis": "doctor.findings", "Finding": "doctor.findings", "Level": "doctor.findings",
    "Admin": "partitions", "Allowed": "pending", "Attempt": "history", "Backlog": "backlog",
    "Backlogs": "backlog", "Cause": "causes", "Causes": "causes",
    "ConsumerActivity": "activity", "ConsumerInfo": "consumers", "DeadLetter": "dead_letter",
    "DeadLetters": "dead_letters", "DeletedGroup": "groups", "Followed": "followed",
    "GroupInfo": "streams",
    "Matching": "dead_letters", "GroupState": "control", "GroupStatus": "status",
    "JobStatus": "status", "Overview": "overview",
    "Page": "paging", "PendingJob": "pending", "RedriveSummary": "dead_letters",
    "Redriven": "dead_letters", "Released": "cures", "RetryNow": "cures",
    "ScheduleChanges": "cron", "ScheduleInfo": "cron",
    "ScheduledJob": "schedules", "Schedules": "cron", "StreamInfo": "streams",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # Imported at the first use: a command needs one or two of them, and starts quickly.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
