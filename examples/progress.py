"""How far a job is: told by its handler, seen by whoever waits for it or looks at it."""

import asyncio

from streamq import App, Job
from streamq.results import Progress

app = App()
imports = app.group("imports")
seen = asyncio.Event()


@imports.handler("import")
async def import_all(job: Job, files: list[str]) -> int:
    """Read some files; here it waits until it was seen at the second."""
    for number, file in enumerate(files):
        job.progress(number / len(files), f"reading {file}")
        if number == 1:
            await seen.wait()
    return len(files)


def show(now: Progress) -> None:
    """Called whenever the job has told how far it is."""
    print(f"{now.done:.0%} {now.note}")
    seen.set()


async def main() -> None:
    """One job, waited for."""
    async with app:
        job = await app.produce("import", {"files": ["a.csv", "b.csv"]})
        worker = asyncio.create_task(app.worker().run())
        print(await job.result(timeout=30, on_progress=show), "files")
        worker.cancel()
        await asyncio.wait([worker])


if __name__ == "__main__":
    asyncio.run(main())

# 50% reading b.csv
# 2 files
