"""Every error that streamq raises: one tree under :class:`StreamqError`.

A message says what happened, to what, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class StreamqError(Exception):
    """The root: ``except StreamqError`` catches whatever streamq raises."""


class ConfigError(StreamqError):
    """A setting, a name or a handler that cannot work as given."""


# -- the server ---------------------------------------------------------------


class ServerError(StreamqError):
    """Something about the Redis or Valkey server.

    Attributes:
        passing: whether the same call may well succeed later, by itself.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class ServerUnavailable(ServerError):
    """The server cannot be reached, or went away; trying again later may succeed."""

    def __init__(self, message: str, *, passing: bool = True) -> None:
        super().__init__(message, passing=passing)


class OutcomeUnknown(ServerUnavailable):
    """The connection broke after a write was sent: it may or may not have been done."""


class AuthenticationFailed(ServerError):
    """The server refused the user name, the password, or the command (ACL)."""


class TLSFailed(ServerError):
    """The connection could not be made secure: a certificate, or one side speaks no TLS."""


class ServerUnsupported(ServerError):
    """The server is older than Redis 7.0 or Valkey 7.2."""


class DataTooNew(StreamqError):
    """A newer streamq works with the stream, and writes what this one does not know."""


class ServerRefused(ServerError):
    """The server answered a command with an error, such as out of memory."""


class NotReplicated(ServerError):
    """What was written has not reached as many replicas as were asked for, not in time.

    It is written all the same, and handed to workers; only a failover may lose it.

    Attributes:
        job_ids: the IDs of all that the call has written, in order.
    """

    def __init__(self, message: str, job_ids: Sequence[str]) -> None:
        super().__init__(message, passing=True)
        self.job_ids = list(job_ids)


class EmbeddedServerError(ServerError):
    """The embedded server could not be started, reached or stopped."""


# -- streams, groups, jobs ----------------------------------------------------


class WrongKeyType(StreamqError):
    """The key given as a stream holds another Redis type."""


class StreamNotFound(StreamqError):
    """No stream of that name exists."""


class GroupNotFound(StreamqError):
    """The stream has no consumer group of that name."""


class JobNotFound(StreamqError):
    """No job or dead letter of that ID is known."""


class ScheduleNotFound(StreamqError):
    """The stream has no schedule of that name."""


class ScheduleExists(StreamqError):
    """The stream has a schedule of that name already."""


class ConsumerNotFound(StreamqError):
    """The group has no consumer of that name."""


class StillInUse(StreamqError):
    """A group or a consumer cannot be removed while a worker uses it."""


class BacklogFull(StreamqError):
    """As many jobs of a stream wait as may wait (``max_backlog``); nothing more was written.

    Attributes:
        stream: where.
        backlog: how many wait.
        max_backlog: how many may.
        job_ids: the IDs of all that the call had written before, in order.
    """

    def __init__(self, stream: str, backlog: int, max_backlog: int, *, waited: float = 0.0) -> None:
        super().__init__(stream, backlog, max_backlog)
        self.stream, self.backlog, self.max_backlog = stream, backlog, max_backlog
        self.job_ids: list[str] = []
        self._waited = waited

    def __str__(self) -> str:
        still = f" after {self._waited:g} s still" if self._waited else ""
        written = f"; {len(self.job_ids):,} were written before that" if self.job_ids else ""
        return (
            f"the stream {self.stream} is{still} full: {self.backlog:,} jobs wait, and "
            f"{self.max_backlog:,} may (max_backlog); nothing more was written{written}"
        )


# -- results ------------------------------------------------------------------


class ResultError(StreamqError):
    """A job has no result to give: the root of those that waiting for one raises.

    Attributes:
        job_id: the job's ID.
        group: the group whose result was wanted.
    """

    def __init__(self, message: str, job_id: str = "", group: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id
        self.group = group


class JobDead(ResultError):
    """The group has given the job up: it is a dead letter.

    Attributes:
        type: the job's type.
        reason: a short fixed phrase, such as ``retries exhausted``.
        error: what went wrong, for a person; it begins with the name of the exception that
            the handler raised.
        attempts: how many the job had.
        letter_id: the ID of its dead letter.
    """

    def __init__(
        self, message: str, job_id: str = "", group: str = "", *, type: str = "",
        reason: str = "", error: str = "", attempts: int = 0, letter_id: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message, job_id, group)
        self.type = type
        self.reason = reason
        self.error = error
        self.attempts = attempts
        self.letter_id = letter_id


class JobCancelled(ResultError):
    """The job was cancelled."""


class JobExpired(ResultError):
    """The job was not run, because its ``expires`` had passed before its turn came."""


class JobSkipped(ResultError):
    """The group does not run the job, because it is for another one."""


class ResultExpired(ResultError):
    """The job is finished, but its result is not there: not kept, or not kept any longer."""


class ResultTimeout(ResultError, TimeoutError):
    """The job was not finished in the time for which it was waited."""


# -- payloads -----------------------------------------------------------------


class PayloadError(StreamqError):
    """The data of a job cannot be written or read."""


class PayloadTooLarge(PayloadError):
    """The encoded data is larger than the limit."""


class InvalidEntry(PayloadError):
    """A stream entry cannot be understood as a job."""


class DataGone(InvalidEntry):
    """The data of a job was kept outside the stream, and is not there."""


class InvalidArguments(PayloadError):
    """The data of a job does not fit the parameters of its handler."""


# -- handlers -----------------------------------------------------------------


_MAIN_GUARD = """\
a handler with process=True runs in processes that import your script, and your script starts a \
worker, or writes jobs, whenever it is imported. Write

    if __name__ == "__main__":
        app.run()

with all that is to happen once below the first of these lines"""


class NoMainGuard(ConfigError):
    """A script with handlers in processes starts a worker whenever it is imported."""

    def __init__(self, message: str = _MAIN_GUARD) -> None:  # which unpickling gives back
        super().__init__(message)


class JobTimeout(StreamqError):
    """A handler ran longer than its timeout."""


class HandlerFailed(StreamqError):
    """A handler failed in its process, with an error that could not leave it."""
