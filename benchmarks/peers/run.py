"""The command line of an adapter: `python -m peers.run PEER describe|enqueue|drip|work ...`.

It lives apart from the adapters so that they are imported by name: some systems refuse handlers
that are defined in `__main__`.
"""

import argparse
import importlib
import logging
import signal

from peers.adapter import Adapter, Pace, Timer, Turns, emit, payload, tally


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m peers.run")
    parser.add_argument("peer")
    parser.add_argument("verb", choices=["describe", "enqueue", "drip", "work"])
    parser.add_argument("--url", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first job")
    parser.add_argument("--payload", type=int, default=100, help="bytes of data in each job")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--interval", type=float, default=0.0)
    parser.add_argument(
        "--turns",
        type=lambda text: Turns(*map(int, text.split(","))),
        metavar="START_NS,LENGTH,MINE,AMONG",
        help="enqueue in turns with other processes",
    )
    parser.add_argument("--each", type=int, default=1, help="how often each job is to be handled")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()

    # Every system logs each job at INFO by default; production runs at WARNING, and so do all here.
    logging.basicConfig(level=logging.WARNING)
    options = dict(option.split("=", 1) for option in arguments.set)
    module = importlib.import_module(f"peers.{arguments.peer}.adapter")
    adapter: Adapter = module.adapter(arguments.url, options)

    match arguments.verb:
        case "describe":
            emit(
                "described",
                package=adapter.package,
                version=adapter.version,
                settings=adapter.settings,
                jobs=adapter.jobs,
                bulk_jobs=adapter.bulk_jobs,
                remaining=[list(command) for command in adapter.remaining],
            )
        case "enqueue":
            payloads = [payload(n, arguments.payload) for n in range(arguments.jobs)]
            timer = Timer()
            adapter.enqueue(payloads, timer)
            emit("enqueued", seconds=timer.seconds)
        case "drip":
            pace = Pace(
                arguments.jobs,
                arguments.seconds,
                arguments.interval,
                arguments.first,
                arguments.turns,
            )
            adapter.drip(pace)
            emit("dripped", jobs=pace.sent, seconds=pace.seconds)
        case "work":
            tally.expect(arguments.jobs, arguments.each, arguments.latency)
            signal.signal(signal.SIGTERM, lambda number, frame: tally.report())
            adapter.work()


if __name__ == "__main__":
    main()
