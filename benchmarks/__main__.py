"""All benchmarks in order: `python benchmarks`.

Each prints how long it will take at most, and its tables at its end. One that fails does not
keep the others from running.
"""

import argparse
import sys
from pathlib import Path

import bare
import dashboard
import growth
import keys
import latency
import later
import looking
import memory
import startup
import throughput

SCRIPTS = {
    "bare": bare.main,
    "throughput": throughput.main,
    "latency": latency.main,
    "later": later.main,
    "memory": memory.main,
    "startup": startup.main,
    "growth": growth.main,
    "keys": keys.main,
    "looking": looking.main,
    "dashboard": dashboard.main,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python benchmarks",
        description="Run all benchmarks in order.",
        epilog="example:\n  python benchmarks --json results --svg docs/img",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--server", metavar="valkey|redis|PATH", help="which server to start")
    parser.add_argument("--transport", choices=["tcp", "unix"], help="how the systems connect")
    parser.add_argument(
        "--quick", action="store_true", help="to see that all works, not to measure"
    )
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="write all numbers there")
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="draw all charts there")
    arguments = parser.parse_args()

    failed = []
    for name, script in SCRIPTS.items():
        words = ["--quick"] if arguments.quick else []
        if arguments.server:
            words += ["--server", arguments.server]
        if arguments.transport:
            words += ["--transport", arguments.transport]
        if arguments.json:
            words += ["--json", str(arguments.json / f"{name}.json")]
        if arguments.svg:
            words += ["--svg", str(arguments.svg / f"{name}.svg")]
        if script(words) != 0:
            failed.append(name)
        print(flush=True)
    if failed:
        print(f"error: not all could be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
