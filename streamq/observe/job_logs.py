"""Which job a line of the log is about, for the standard :mod:`logging`."""

from __future__ import annotations

import logging
import time
from typing import Any

import orjson

from streamq.job import Job
from streamq.running import running_jobs
from streamq.text import printable, printable_lines

FIELDS = ("stream", "group", "job_id", "type", "attempt", "consumer")
"""What a line says of its job, in this order."""

_BARE = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "sum"}
"""What any record has, and what is no news."""


def about(job: Job) -> dict[str, Any]:
    """What a line says of its job: ``extra=`` of a call that logs it."""
    return {
        "stream": printable(job.stream),
        "group": job.group,
        "job_id": job.id,
        "type": printable(job.type),
        "attempt": job.attempt,
        "consumer": job.consumer,
    }


def about_running() -> dict[str, Any]:
    """The same of the job whose handler is running; of a batch how many ``jobs`` there are."""
    jobs = running_jobs()
    if not jobs:
        return {}
    said = about(jobs[0])
    if len(jobs) > 1:
        del said["job_id"], said["attempt"]
        if any(job.type != jobs[0].type for job in jobs):
            del said["type"]
        said["jobs"] = len(jobs)
    return said


class JobLogFilter(logging.Filter):
    """Gives each record the fields of the job whose handler logs it, for any formatter.

    ::

        output = logging.StreamHandler()
        output.addFilter(JobLogFilter())
        output.setFormatter(logging.Formatter("%(group)s %(job_id)s %(attempt)s %(message)s"))

    The fields are ``stream``, ``group``, ``job_id``, ``type``, ``attempt`` and ``consumer``; they
    are empty outside of handlers. A handler of batches has no one ``job_id`` and ``attempt``; there
    ``jobs`` tells how many it has. What a record has already stays. Add it to a handler of the
    log: a logger's own filter does not see what comes from loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Fill in the fields; all records go through."""
        known, said = vars(record), about_running()
        for name in FIELDS:
            known.setdefault(name, said.get(name, ""))
        if "jobs" in said:
            known.setdefault("jobs", said["jobs"])
        return True


class _Formatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802  # as logging calls it
        """A traceback whose lines are safe to show: messages of errors may be of payloads."""
        return "\n".join(printable_lines(super().formatException(ei)))


class JsonLogFormatter(_Formatter):
    """One JSON object a line, with the fields of the job whose handler logs it.

    ``time`` (ISO 8601, UTC), ``level``, ``logger`` and ``message``; where they are known
    ``stream``, ``group``, ``job_id``, ``type``, ``attempt`` and ``consumer``; what a call gave as
    ``extra``; and ``exception``, the text of a traceback.

    Args:
        more: fields for every line.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__()
        self._more = more

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.created % 1 * 1000):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._more,
        }
        extra = {name: value for name, value in vars(record).items() if name not in _BARE}
        empty = [name for name in FIELDS if extra.get(name) == ""]  # by the filter
        known = about_running() | {name: extra[name] for name in extra if name not in empty}
        for name in (*FIELDS, *known):
            if name in known:
                line.setdefault(name, known[name])
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        try:
            raw = orjson.dumps(line, default=printable, option=orjson.OPT_NON_STR_KEYS)
        except (TypeError, ValueError):  # text with half a character, a number of 65 bits, …
            raw = orjson.dumps({printable(name): printable(one) for name, one in line.items()})
        return raw.decode()


class TextLogFormatter(_Formatter):
    """Lines for a person, with the job whose handler logs them in brackets.

    Args:
        time_format: as :func:`time.strftime` takes it.
        who: the process, where there are several.
    """

    def __init__(self, time_format: str, who: str = "") -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {who}%(job)s%(message)s", time_format)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # as above
        """The line, without a traceback."""
        # A line of streamq's own that is about a job names it in its words.
        known = vars(record)
        job = "" if "job_id" in known else _brackets()
        return super().formatMessage(logging.makeLogRecord({**known, "job": job}))


def _brackets() -> str:
    said = about_running()
    if not said:
        return ""
    words = [said["group"], said.get("type", "")]
    words += [f"{said['jobs']} jobs"] if "jobs" in said else [said["job_id"], f"#{said['attempt']}"]
    return f"[{' '.join(filter(None, words))}] "
