"""What went wrong, as HTTP says it: a status and problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from streamq import errors
from streamq.enqueued import AlreadyEnqueued
from streamq.errors import BacklogFull, NotReplicated, ServerError, StreamqError
from streamq.text import printable

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER = 1
"""Seconds after which what fails in passing may be tried again."""


@dataclass(frozen=True)
class Problem:
    """What went wrong with a request.

    Attributes:
        status: the HTTP status.
        code: a short fixed name, for programs: ``job_not_found``.
        title: the same for a person, the same for every such problem.
        detail: what happened, to what, and what to do next.
        more: further members of the answer.
        headers: of the answer.
    """

    status: int
    code: str
    title: str
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The problem details."""
        return {
            "type": f"urn:streamq:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }

    def response(self) -> Response:
        """The answer."""
        answer = Response(orjson.dumps(self.to_dict()), self.status, media_type=MEDIA_TYPE)
        for name, value in self.headers:
            answer.headers.append(name, value)
        return answer


class Refusal(Exception):
    """A request that is refused; the answer is the problem.

    Attributes:
        problem: why.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


# The first that fits; before what it is a kind of.
_PROBLEMS: tuple[tuple[type[StreamqError], int, str, str], ...] = (
    (AlreadyEnqueued, 409, "already_enqueued", "Enqueued already"),
    (errors.StreamNotFound, 404, "stream_not_found", "No such stream"),
    (errors.GroupNotFound, 404, "group_not_found", "No such group"),
    (errors.JobNotFound, 404, "job_not_found", "No such job"),
    (errors.ScheduleNotFound, 404, "schedule_not_found", "No such schedule"),
    (errors.ConsumerNotFound, 404, "consumer_not_found", "No such consumer"),
    (errors.ScheduleExists, 409, "schedule_exists", "The schedule exists"),
    (errors.StillInUse, 409, "still_in_use", "Still in use"),
    (errors.WrongKeyType, 409, "wrong_key_type", "Not a stream"),
    (errors.BacklogFull, 503, "backlog_full", "The stream is full"),
    (errors.PayloadTooLarge, 413, "payload_too_large", "Too large"),
    (errors.DataGone, 410, "data_gone", "The data is gone"),
    (errors.InvalidEntry, 409, "invalid_entry", "Not a job"),
    (errors.PayloadError, 400, "invalid_payload", "Data that cannot be used"),
    (errors.ConfigError, 400, "invalid_request", "Cannot work as given"),
    (errors.ResultTimeout, 504, "result_timeout", "Not finished in time"),
    (errors.ResultExpired, 410, "result_expired", "The result is gone"),
    (errors.JobDead, 409, "job_dead", "The job is dead"),
    (errors.JobCancelled, 409, "job_cancelled", "The job was cancelled"),
    (errors.JobExpired, 409, "job_expired", "The job has expired"),
    (errors.JobSkipped, 409, "job_skipped", "The job is for another group"),
    (errors.ResultError, 409, "no_result", "No result"),
    (errors.NotReplicated, 504, "not_replicated", "Written, but not replicated in time"),
    (errors.OutcomeUnknown, 503, "outcome_unknown", "It may or may not have been done"),
    (errors.ServerUnavailable, 503, "server_unavailable", "The Redis server is away"),
    (errors.EmbeddedServerError, 503, "server_unavailable", "The Redis server is away"),
    (errors.DataTooNew, 502, "data_too_new", "Made by a newer version"),
    (errors.ServerError, 502, "server_refused", "The Redis server has refused it"),
    (errors.StreamqError, 500, "failed", "Failed"),
)


def problem_of(error: StreamqError) -> Problem:
    """The problem that an error of ours is."""
    status, code, title = next(row[1:] for row in _PROBLEMS if isinstance(error, row[0]))
    more: dict[str, Any] = {}
    match error:
        case AlreadyEnqueued():
            more = {"id": error.job.id}
        case BacklogFull():
            more = {
                "backlog": error.backlog, "max_backlog": error.max_backlog,
                "job_ids": error.job_ids,
            }  # fmt: skip
        case NotReplicated():
            more = {"job_ids": error.job_ids}
    passing = isinstance(error, ServerError) and error.passing
    if passing and status == 502:
        status = 503  # out of memory, loading, a replica that is no master yet
    headers = (("retry-after", str(RETRY_AFTER)),) if status == 503 else ()
    return Problem(status, code, title, printable(error, 2000), more, headers)


def of_starlette(error: HTTPException) -> Problem:
    """The problem that an error of Starlette's is, such as a path that does not exist."""
    headers = tuple((error.headers or {}).items())
    match error.status_code:
        case 404:
            return Problem(404, "not_found", "Not found", "there is nothing at this address")
        case 405:
            allowed = dict(headers).get("Allow", "")
            told = f"this address takes {allowed}" if allowed else "not with this method"
            return Problem(405, "method_not_allowed", "Not with this method", told, {}, headers)
    detail = printable(error.detail, 2000)
    return Problem(error.status_code, "refused", "Refused", detail, {}, headers)


UNEXPECTED = Problem(
    500, "unexpected", "An error inside streamq",
    "this should not happen; the server's log says what it was",
)  # fmt: skip


async def _answer_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, StreamqError)
    return problem_of(error).response()


async def _answer_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.problem.response()


async def _answer_starlette(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return of_starlette(error).response()


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    return UNEXPECTED.response()  # Starlette hands it on, and it comes into the log


HANDLERS: Mapping[Any, Callable[..., Any]] = {
    StreamqError: _answer_ours,
    Refusal: _answer_refused,
    HTTPException: _answer_starlette,
    Exception: _answer_unexpected,
}
"""For ``Starlette(exception_handlers=…)``."""
