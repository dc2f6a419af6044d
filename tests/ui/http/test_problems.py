"""Every error of ours has its HTTP status, and says what it is."""

from __future__ import annotations

import inspect

import pytest

from streamq import errors
from streamq.enqueued import AlreadyEnqueued, Enqueued
from streamq.errors import BacklogFull, NotReplicated, ServerRefused, StreamqError
from streamq.ui.http.problems import problem_of

NOT_FOR_CALLERS = {"StreamqError", "JobTimeout", "HandlerFailed"}
"""What no request can raise: these are a worker's."""

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]


def made(kind: type[StreamqError]) -> StreamqError:
    if kind is BacklogFull:
        return BacklogFull("jobs", 10, 10)
    if kind is NotReplicated:
        return NotReplicated("not in time", ["1-0"])
    return kind("what happened")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_error_is_a_problem_of_its_own(kind: type[StreamqError]) -> None:
    problem = problem_of(made(kind))

    assert (problem.status == 500) == (kind.__name__ in NOT_FOR_CALLERS)
    told = problem.to_dict()
    assert told["detail"] == str(made(kind))
    assert told["title"]
    assert told["type"] == f"urn:streamq:problem:{problem.code}"


def test_what_passes_may_be_tried_again() -> None:
    for error in (
        BacklogFull("jobs", 10, 10),
        errors.ServerUnavailable("gone"),
        ServerRefused("out of memory", passing=True),
    ):
        problem = problem_of(error)
        assert problem.status == 503
        assert problem.response().headers["retry-after"] == "1"
    assert problem_of(ServerRefused("no")).status == 502


def test_what_was_written_all_the_same_is_told() -> None:
    assert problem_of(NotReplicated("not in time", ["1-0"])).to_dict()["job_ids"] == ["1-0"]
    taken = problem_of(AlreadyEnqueued(Enqueued("7-0", known=True)))
    assert (taken.status, taken.to_dict()["id"]) == (409, "7-0")


def test_what_steers_a_terminal_is_escaped() -> None:
    assert problem_of(errors.JobNotFound("no \x1b[31mjob")).detail == "no \\x1b[31mjob"
