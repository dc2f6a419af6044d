"""What a worker tells of itself: the log and the metrics are observers, and so may yours be."""

import asyncio

from streamq import App
from streamq.signals import GroupCreated, Settled, Signal, Stopping

app = App()


@app.handler("t")
async def handle(n: int) -> None:
    """Something to do."""


def observe(signal: Signal) -> None:
    """It is called in the event loop, and returns at once."""
    match signal:
        case GroupCreated(stream, group):
            print(f"group {group} on {stream}")
        case Settled(verdicts):
            print(f"{len(verdicts)} settled, the first {verdicts[0].outcome.value}")
        case Stopping():
            print("stopping")


async def main() -> None:
    """Any number of observers; one that fails hurts no other."""
    async with app:
        await app.produce_many([("t", {"n": n}) for n in range(3)])
        await app.worker(observers=[observe], burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# group default on jobs
# 3 settled, the first succeeded
