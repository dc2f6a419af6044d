"""A typed payload: one class for whoever produces a job and whoever handles it."""

import asyncio
from pathlib import Path

from streamq import App, Event, Job


class PhotoAdded(Event):
    """Its type is ``photo_added``."""

    file: Path
    width: int = 256


class ThumbnailReady(Event, type="thumbnail.ready"):
    """Its type is named."""

    file: Path


app = App()
images = app.group("images")


@images.handler()
async def make_thumbnail(job: Job, event: PhotoAdded) -> None:
    """A wrong field is found by the type checker, here and where the job is produced."""
    print(f"{job.type}: {event.file.name}, {event.width} pixels")
    job.emit(ThumbnailReady(file=event.file.with_suffix(".jpg")))


@images.handler()
async def announce(job: Job, event: ThumbnailReady) -> None:
    """One handler for each event."""
    print(f"{job.type}: {event.file}")


async def main() -> None:
    """Write an event, and work until nothing is left."""
    async with app:
        await app.produce(PhotoAdded(file=Path("cat.png")))
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# photo_added: cat.png, 256 pixels
# thumbnail.ready: cat.jpg
