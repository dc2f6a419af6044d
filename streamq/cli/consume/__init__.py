"""``streamq consume``: a worker, for an App, a program, or just to see the jobs.

``options`` is what a person may say, ``streams`` reads one of them, ``plan`` is what it comes to,
``work`` does it in one process, ``processes`` in several, each with its ``place``, both after
``start``; ``printing``, ``logs`` and ``tally`` are what is shown.
"""

from __future__ import annotations

from streamq.cli.command import Exit, Family
from streamq.cli.connection import run
from streamq.cli.consume.logs import LogLevel, set_up_logging
from streamq.cli.consume.options import ConsumeOptions
from streamq.cli.options import examples


def register(app: Family) -> None:
    """Add the command."""
    app.command(
        "consume",
        epilog=examples(
            "streamq consume --app worker:app",
            "streamq consume --exec 'convert -resize 256 -- {file} thumbnails/{@id}.png'",
            "streamq consume --group audit --burst",
            "streamq consume --app worker:app --stream urgent:9 --stream jobs:1",
        ),
    )(consume)


def consume(options: ConsumeOptions) -> None:
    """Process jobs until Ctrl-C.

    With an App, its handlers process them. With --exec, a program does: it gets the job
    as a JSON object on standard input and fields of its data as arguments, which no
    shell reads; a value that begins with - is only taken after a -- in the command. Exit
    code 0 is success, 75 asks for another attempt, 65 makes the job a dead letter, and any
    other is a failure, whose reason is the end of standard error.

    With neither, each job is printed and done with: it counts as succeeded for this
    group. To look without taking jobs: streamq pending.

    At Ctrl-C or SIGTERM, running jobs are finished and the others given back; a second
    one leaves at once.
    """
    from streamq.cli.consume.place import find_place
    from streamq.cli.consume.printing import Output

    place = find_place() if options.processes > 1 else None
    level = LogLevel.WARNING if options.quiet else options.log_level
    set_up_logging(level, None if place is None else place.number, options.log_format)

    from streamq.cli.consume.plan import make_plan
    from streamq.worker.shutdown import end_with_main

    output = Output()
    plan = make_plan(options, output, url=options.url if place is None else place.url)
    if options.processes > 1 and place is None:
        from streamq.cli.consume.processes import supervise

        raise Exit(run(lambda: supervise(plan), fast=True))

    from streamq.cli.consume.work import work

    run(lambda: work(plan, output, place), fast=True)
    end_with_main()
    output.check()
