"""Debounce: of what comes in quick succession, only the last is run, once it has been quiet."""

import asyncio

from streamq import AlreadyEnqueued, App

app = App()


@app.handler("index")
async def index(page: str, text: str) -> None:
    """Index a page: once for each pause in the typing, with the text as it is then."""
    print(f"index {page}: {text}")


async def main() -> None:
    """Each key stroke gives the job that waits the new text and the new time."""
    async with app:
        for text in ("h", "he", "hello"):
            job = await app.produce(
                "index", {"page": "home", "text": text},
                unique="index-home", delay=0.2, on_conflict="replace",
            )  # fmt: skip
            print(job.created, job.replaced)
        try:
            await app.produce("index", unique="index-home", on_conflict="error")
        except AlreadyEnqueued as error:
            print(error.job.id == job.id, error.job.scheduled_for == job.scheduled_for)
        await app.worker(max_jobs=1).run()


if __name__ == "__main__":
    asyncio.run(main())

# True False
# False True
# False True
# True True
# index home: hello
