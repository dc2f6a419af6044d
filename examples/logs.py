"""Which job a line of the log is about, with the standard ``logging``."""

import asyncio
import logging
import sys

from streamq import App, JobLogFilter, Settings, current_job

app = App()
images = app.group("images")
log = logging.getLogger("shop")


def resize(file: str) -> None:
    """Nobody has handed it the job."""
    job = current_job()
    assert job is not None
    log.info("resizing %s, %d bytes of data", file, len(job.raw))


@images.handler("photo_added")
def make_thumbnail(file: str) -> None:
    """A thread has the context, too."""
    resize(file)


@images.handler("photo_deleted")
async def forget(file: str) -> None:
    """So has a task that the handler starts."""
    await asyncio.create_task(tell(file))


async def tell(file: str) -> None:
    """Part of a handler."""
    log.info("forgetting %s", file)


async def main() -> None:
    """Each line has the group, the type and the attempt of its job."""
    lines = logging.StreamHandler(sys.stdout)
    lines.addFilter(JobLogFilter())
    lines.setFormatter(logging.Formatter("[%(group)s %(type)s %(attempt)s] %(message)s"))
    log.addHandler(lines)
    log.setLevel(logging.INFO)

    async with app:
        await app.produce("photo_added", {"file": "1.png"})
        await app.produce("photo_deleted", {"file": "2.png"})
        await app.worker(burst=True, settings=Settings(concurrency=1)).run()
    log.info("done")


if __name__ == "__main__":
    asyncio.run(main())

# [images photo_added 1] resizing 1.png, 16 bytes of data
# [images photo_deleted 1] forgetting 2.png
# [  ] done
