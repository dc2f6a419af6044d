"""Large data outside the stream: an entry has a reference, and a worker reads it when it runs."""

import asyncio

from streamq import App, Job

app = App(offload=64 * 1024)  # larger data is kept in a key of its own, beside the stream


@app.handler("scan")
async def scan(job: Job, name: str, text: str) -> None:
    """It is there, as ever."""
    print(f"{name}: {len(text):,} characters")


async def main() -> None:
    """The stream stays small; with the job, its data goes."""
    async with app:
        job = await app.produce("scan", {"name": "report", "text": "x" * 5_000_000})
        size = await app.server.call("MEMORY", "USAGE", "jobs")
        print("the stream is small:", size < 5_000)
        status = await app.admin.status("jobs", job.id)
        print("outside:", f"{status.offloaded:,} bytes")

        await app.worker(burst=True).run()
        print("left:", await app.server.call("KEYS", "{jobs}:data:*"))


if __name__ == "__main__":
    asyncio.run(main())

# the stream is small: True
# outside: 5,000,027 bytes
# report: 5,000,000 characters
# left: []
