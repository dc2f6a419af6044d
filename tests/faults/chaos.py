"""The program behind ``scripts/chaos``: a storm as long as one likes, and its report."""

from __future__ import annotations

import argparse
import random
import sys

from tests.faults.rig import Rig
from tests.faults.storm import SERVER_OPTIONS, Storm
from tests.servers import RedisServer, binaries


def main() -> int:
    """Run it; the exit code is 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos", description="Every fault at random, over a steady load."
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="of every choice; printed")
    parser.add_argument("--server", choices=sorted(binaries()), default=next(iter(binaries())))
    parser.add_argument("--rate", type=float, default=150.0, help="jobs produced per second")
    parser.add_argument("--verbose", action="store_true", help="tell of each fault as it strikes")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(
        f"a storm of {arguments.minutes:g} minutes on {arguments.server}, seed {seed}", flush=True
    )
    say = (lambda text: print(text, flush=True)) if arguments.verbose else (lambda text: None)
    server = RedisServer(binaries()[arguments.server], SERVER_OPTIONS).start()
    rig, kept = Rig(server), False
    try:
        storm = Storm(rig, seed, rate=arguments.rate, say=say)
        print(storm.run(arguments.minutes * 60))
        kept = True
    except AssertionError as error:
        print(f"NOT KEPT, seed {seed}:\n{error}")
        print(f"the workers' logs: {rig.directory}")
    finally:
        rig.close(keep_logs=not kept)
        server.stop()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
