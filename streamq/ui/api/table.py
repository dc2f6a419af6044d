"""All operations, once: routes, OpenAPI and the documentation are made of this."""

from __future__ import annotations

from typing import Any

from streamq.ui.api import dead_letters, jobs, producing, streams
from streamq.ui.api.operation import Operation, StreamQuery
from streamq.ui.api.values import GROUP, JOB_ID, LETTER_ID, STREAM

PATH: dict[str, tuple[str, dict[str, Any]]] = {
    "id": ("The ID of the job, or the name of one for later.", JOB_ID),
    "letter": ("The letter's own ID, or that of its job.", LETTER_ID),
    "group": ("The consumer group.", GROUP),
    "stream": ("The stream.", STREAM),
}
"""What stands in a path, and what can."""

EVERYWHERE = (400, 401, 403, 421, 502, 503)
"""What any operation may be refused with."""

_CHANGED = "What became of it."

OPERATIONS = (
    Operation(
        "POST", "/jobs", producing.produce, "Jobs",
        {
            201: ("Written.", producing.Written | list[producing.Written]),
            200: (
                "Known already: nothing was written.",
                producing.Written | list[producing.Written],
            ),
        },
        body=producing.Jobs,
        refuses=(409, 413, 415, 504),
        headers=producing.HEADERS,
    ),
    Operation(
        "GET", "/jobs/{id}", jobs.job, "Jobs", {200: ("What has become of it.", jobs.JobStatus)},
        query=jobs.GroupQuery, refuses=(404, 409),
    ),
    Operation(
        "GET", "/jobs/{id}/result", jobs.result, "Jobs",
        {
            200: ("It is finished.", jobs.JobEnd),
            202: ("It is not finished; ask again.", jobs.NotFinished),
        },
        query=jobs.ResultQuery, refuses=(404, 409),
    ),
    Operation(
        "POST", "/jobs/{id}/cancel", jobs.cancel, "Jobs", {200: (_CHANGED, jobs.CancelledJob)},
        query=jobs.GroupQuery, refuses=(404, 409),
    ),
    Operation(
        "POST", "/jobs/{id}/retry", jobs.retry, "Jobs", {200: (_CHANGED, jobs.RetriedJob)},
        query=jobs.GroupQuery, refuses=(404, 409),
    ),
    Operation(
        "GET", "/pending", jobs.pending, "Jobs", {200: ("A page of them.", jobs.PendingPage)},
        query=jobs.PendingQuery, refuses=(404, 409),
    ),
    Operation(
        "GET", "/scheduled", jobs.scheduled, "Jobs",
        {200: ("Those due first.", jobs.ScheduledPage)},
        query=jobs.ScheduledQuery, refuses=(409,),
    ),
    Operation(
        "GET", "/groups", streams.groups, "Groups", {200: ("Its groups.", streams.Groups)},
        query=StreamQuery, refuses=(404, 409),
    ),
    Operation(
        "GET", "/groups/{group}", streams.group, "Groups", {200: ("The group.", streams.Group)},
        query=StreamQuery, refuses=(404, 409),
    ),
    Operation(
        "POST", "/groups/{group}/pause", streams.pause, "Groups",
        {200: (_CHANGED, streams.Changed)},
        query=streams.PauseQuery, refuses=(404, 409),
    ),
    Operation(
        "POST", "/groups/{group}/resume", streams.resume, "Groups",
        {200: (_CHANGED, streams.Changed)},
        query=streams.PauseQuery, refuses=(404, 409),
    ),
    Operation(
        "GET", "/groups/{group}/dead-letters", dead_letters.dead_letters, "Dead letters",
        {200: ("A page of them.", dead_letters.LettersPage)},
        query=dead_letters.LettersQuery, refuses=(404, 409),
    ),
    Operation(
        "GET", "/groups/{group}/dead-letters/{letter}", dead_letters.dead_letter, "Dead letters",
        {200: ("The letter.", dead_letters.DeadLetter)},
        query=StreamQuery, refuses=(404, 409),
    ),
    Operation(
        "DELETE", "/groups/{group}/dead-letters/{letter}", dead_letters.purge_one, "Dead letters",
        {200: ("It is gone.", dead_letters.Gone)},
        query=StreamQuery, refuses=(404, 409),
    ),
    Operation(
        "POST", "/groups/{group}/dead-letters/{letter}/redrive", dead_letters.redrive_one,
        "Dead letters", {200: ("It is a job again.", dead_letters.Redriven)},
        query=StreamQuery, refuses=(404, 409),
    ),
    Operation(
        "POST", "/groups/{group}/redrive", dead_letters.redrive, "Dead letters",
        {200: (_CHANGED, dead_letters.RedriveSummary)},
        query=StreamQuery, body=dead_letters.WhichLetters, refuses=(404, 409, 413, 415),
    ),
    Operation(
        "POST", "/groups/{group}/purge", dead_letters.purge, "Dead letters",
        {200: (_CHANGED, dead_letters.PurgeSummary)},
        query=StreamQuery, body=dead_letters.WhichLetters, refuses=(404, 409, 413, 415),
    ),
    Operation(
        "GET", "/streams", streams.streams, "Streams",
        {200: ("The streams that are served.", streams.Streams)},
        query=streams.StreamsQuery, refuses=(409,),
    ),
    Operation(
        "GET", "/streams/{stream}", streams.stream, "Streams",
        {200: ("The stream.", streams.Stream)}, refuses=(404, 409),
    ),
    Operation(
        "GET", "/schedules", streams.schedules, "Streams",
        {200: ("The schedules.", streams.Schedules)}, query=StreamQuery, refuses=(409,),
    ),
    Operation(
        "GET", "/healthz", streams.healthz, "Service", {200: ("It answers.", streams.Health)},
    ),
)  # fmt: skip
