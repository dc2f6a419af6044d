"""All commands: a name, the module whose ``register(app)`` adds it, and what the list says."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from streamq.cli.command import Abort, Context, Exit, LazyFamily, Option, UsageError
from streamq.cli.exits import ExitCode, exit_code
from streamq.cli.options import examples
from streamq.cli.output import complain, flush, give_up_failed, note, open_closed
from streamq.errors import StreamqError
from streamq.text import printable

EXAMPLES = examples(
    "streamq produce file=image_1.png action=process_image",
    "streamq consume --exec 'convert -resize 256 -- {file} thumbnails/{@id}.png'",
    "streamq pending",
)
EXIT_CODES = """\b
Exit codes:
  0    done
  1    refused, or not found
  2    wrong usage or bad input
  69   the server cannot be reached or started
  70   an error inside streamq
  74   the output cannot be written
  77   the server refused the login or the permission
  124  what was waited for did not happen in time
  130  interrupted by Ctrl-C
  141  whoever read the output has gone
  143  ended by SIGTERM
"""

COMMANDS = {
    "produce": ("streamq.cli.produce", "Write jobs to a stream."),
    "cancel": ("streamq.cli.cancel", "Cancel jobs, in every group or in one."),
    "scheduled": ("streamq.cli.scheduled", "List, show, move or cancel jobs for later."),
    "consume": ("streamq.cli.consume", "Process jobs until Ctrl-C."),
    "pending": (
        "streamq.cli.pending",
        "Show the jobs that were delivered to a group and are not settled.",
    ),
    "dlq": ("streamq.cli.dlq", "List, show, redrive or purge dead letters."),
    "tail": (
        "streamq.cli.tail",
        "Follow jobs and what becomes of them as it happens, until Ctrl-C.",
    ),
    "status": ("streamq.cli.status", "Show what has become of a job, in every group or in one."),
    "group": (
        "streamq.cli.groups",
        "List, create, pause, limit, rewind or delete the groups of a stream.",
    ),
    "cron": (
        "streamq.cli.cron",
        "List, create, change, pause, run or delete schedules of periodic jobs.",
    ),
    "replay": ("streamq.cli.replay", "Give a group jobs once more that it has settled."),
    "stream": ("streamq.cli.streams", "Show or change the settings of a stream, or let it grow."),
    "info": ("streamq.cli.info", "Show the server, its streams and their groups."),
    "top": ("streamq.cli.top", "Watch streams and groups live: rates, lag, what is stuck."),
    "doctor": ("streamq.cli.doctor", "Look for what bites, and say what to do about it."),
    "dashboard": (
        "streamq.cli.dashboard",
        "Serve a web page that shows all streams, and cures what is stuck.",
    ),
    "exporter": (
        "streamq.cli.exporter",
        "Serve metrics of all streams and groups to Prometheus.",
    ),
    "serve": (
        "streamq.cli.serve",
        "Serve the HTTP API: write jobs, look at them, cure what is stuck.",
    ),
    "key": ("streamq.cli.key", "Make keys for encrypted data."),
    "bench": ("streamq.cli.bench", "Measure the server, and one worker with it."),
    "server": ("streamq.cli.server", "Start, stop or look at the embedded server."),
}

app = LazyFamily(
    lazy=COMMANDS,
    name="streamq",
    help="Event processing on Redis Streams: many groups on one stream, each with its own "
    "progress, retries and dead letters.\n\n"
    "Without --url and STREAMQ_URL, streamq starts a server of its own and keeps its data in "
    "your home directory (STREAMQ_HOME names another one).\n\n"
    "A TIME is a number of seconds, or has its unit: 250ms, 30s, 5m, 2h, 1d.",
    epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 80},
    no_args_is_help=True,
)


@dataclass
class State:
    """What the options before the command say."""

    debug: bool = False


def _show_version(wanted: bool) -> None:
    if wanted:
        from streamq.version import __version__

        print(f"streamq {__version__}")
        raise Exit


@app.on_invoke()
def _options(
    ctx: Context,
    version: Annotated[
        bool,
        Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, Option("--debug", help="Show tracebacks. [env var: STREAMQ_DEBUG]")
    ] = False,
) -> None:
    ctx.obj.debug |= debug


def run(args: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    open_closed()
    code = _run(list(args))
    give_up_failed()
    return code


def _run(args: list[str]) -> int:
    state = State(debug=os.environ.get("STREAMQ_DEBUG", "") not in ("", "0"))
    try:
        if asked := os.environ.get("_STREAMQ_COMPLETE"):
            from streamq.cli.completing import answer

            answer(app, asked)
        with app.make_context("streamq", args, obj=state) as context:
            app.invoke(context)
            flush()
            return ExitCode.OK
    except Exit as ending:
        return ending.exit_code
    except (KeyboardInterrupt, Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except UsageError as error:
        return _misused(error)
    except StreamqError as error:
        if state.debug:
            traceback.print_exc()
        complain(error)
        return exit_code(error)
    except Exception as error:
        if state.debug:
            traceback.print_exc()
        told = printable(error, 500)
        complain(f"{type(error).__name__}: {told}" if told else type(error).__name__)
        note("This should not happen. STREAMQ_DEBUG=1 shows where it did.")
        return ExitCode.FAULT


def _misused(error: UsageError) -> int:
    message = error.format_message()
    if message.startswith("Usage:"):  # a command family without a command
        note(message)
    else:
        message = (message[:1].lower() + message[1:]).rstrip(".")
        if getattr(error, "option_name", None) == "--debug":
            message += ": it stands before the command, streamq --debug …"
        complain(message)
        path = error.ctx.command_path if error.ctx else "streamq"
        note(f"Try '{path} --help'.")
    return ExitCode.USAGE
