"""Producers that are faster than the workers: told that a stream is full, or made to wait."""

import asyncio

from streamq import App
from streamq.errors import BacklogFull

app = App(stream="photos", max_backlog=3)
patient = App(stream="photos", max_backlog=3, on_full="wait", full_timeout=10)


@app.handler("photo_added")
async def make_thumbnail(number: int) -> None:
    """One of many."""
    print(f"photo {number}")


async def main() -> None:
    """Five photos do not fit; with a worker, those who wait bring in any number."""
    photos = [("photo_added", {"number": n}) for n in (1, 2, 3, 4, 5)]
    async with app, patient:
        try:
            await app.produce_many(photos)
        except BacklogFull as full:
            written = len(full.job_ids)
            print(f"{full.backlog} wait, {written} of 5 written")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(patient.produce_many(photos[written:]))
            tasks.create_task(app.worker(max_jobs=5).run())


if __name__ == "__main__":
    asyncio.run(main())

# 3 wait, 3 of 5 written
# photo 1
# photo 2
# photo 3
# photo 4
# photo 5
