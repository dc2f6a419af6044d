"""A program as a handler: one process a job, for workers that need no Python.

The program gets the job as JSON on its standard input, fields of it as arguments where
the command has placeholders, and the job's ID and the like in its environment::

    convert -resize 256 -- {file} thumbnails/{@id}.png

====================  =========================================================
exit code             what becomes of the job
====================  =========================================================
0                     succeeded; standard output, if it is one JSON value and
                      not larger than 64 KiB, is the result
75 (``EX_TEMPFAIL``)  attempted again later: the program asked for it
65 (``EX_DATAERR``)   dead letter at once: another attempt is of no use
any other             failed: attempted again while there are retries left
====================  =========================================================

The end of standard error tells why. When the job's time is over, or the worker stops or
is killed, the program and its children get SIGTERM, and SIGKILL three seconds later.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from streamq.handlers.binding import Arguments
from streamq.handlers.handler import ANY, Handler, make_handler
from streamq.job import Job
from streamq.limits import RETRIES
from streamq.programs import process
from streamq.programs.command import Command
from streamq.retry import Dead, Retry
from streamq.text import printable
from streamq.wire import json

TRY_AGAIN = 75
GIVE_UP = 65


def exec_handler(
    template: str,
    *,
    retries: int = RETRIES,
    timeout: float | None = None,
    output: Callable[[bytes], None],
) -> Handler:
    """A handler for every type that runs a program for each job.

    Args:
        template: the command line; see :class:`Command`.
        retries: attempts after a first failure.
        timeout: seconds that the program may run.
        output: called with what the program writes to its standard output, whole
            lines at a time.

    Raises:
        ConfigError: the command cannot be used.
    """
    command = Command(template)

    async def run(job: Job) -> Any:
        return await _run(command, job, output)

    def bind(job: Job) -> Arguments:
        _ = job.data  # entries that are not JSON are dead letters
        command.arguments(job)
        return (job,), {}

    return replace(make_handler(ANY, run, retries=retries, timeout=timeout), bind=bind)


async def _run(command: Command, job: Job, output: Callable[[bytes], None]) -> Any:
    try:
        ended = await process.run(
            command.arguments(job),
            environment=_environment(job),
            stdin=json.dumps(job.as_dict()) + b"\n",
            output=output,
        )
    except OSError as error:
        why = f"cannot run {command.program}: {error.strerror}"
        raise (Dead if error.errno == errno.E2BIG else Retry)(why) from None
    if ended.code == 0:
        return ended.stdout.result()
    why = _explain(ended.code, ended.stderr.lines())
    raise Dead(why) if ended.code == GIVE_UP else Retry(why)


def _environment(job: Job) -> dict[str, str]:
    return {
        "STREAMQ_JOB_ID": job.id,
        "STREAMQ_TYPE": printable(job.type),
        "STREAMQ_STREAM": job.stream,
        "STREAMQ_GROUP": job.group,
        "STREAMQ_ATTEMPT": str(job.attempt),
        "STREAMQ_RETRIES": str(job.retries),
    }


def _explain(code: int, tail: str) -> str:
    if code < 0:
        try:
            how = f"killed by {signal.Signals(-code).name}"
        except ValueError:
            how = f"killed by signal {-code}"
    elif code == TRY_AGAIN:
        how = "asked for another attempt (exit code 75)"
    else:
        how = f"exit code {code}"
    return f"{how}: {tail}" if tail else how
