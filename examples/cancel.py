"""Cancel a job that runs, and one that waits.

Run with ``python examples/cancel.py``.
"""

from __future__ import annotations

import asyncio

from streamq import App, Job
from streamq.errors import JobCancelled

app = App()
videos = app.group("videos", concurrency=1)
begun = asyncio.Event()


@videos.handler("convert")
async def convert(job: Job, file: str) -> None:
    print("converting", file)
    begun.set()
    await asyncio.sleep(3600)


async def main() -> None:
    async with app:
        worker = app.worker()
        working = asyncio.create_task(worker.run())
        first = await app.produce("convert", {"file": "a.mov"})
        await begun.wait()
        second = await app.produce("convert", {"file": "b.mov"})
        for job in (second, first):
            print("cancelled:", await job.cancel())
            try:
                await job.result(timeout=10)
            except JobCancelled as error:
                print(str(error).replace(job.id, "ID"))
        worker.stop()
        await working


if __name__ == "__main__":
    asyncio.run(main())

# converting a.mov
# cancelled: True
# the job ID was cancelled in the group videos
# cancelled: True
# the job ID was cancelled in the group videos: cancelled while it ran
