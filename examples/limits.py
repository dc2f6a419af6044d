"""How many at once, and how fast: for each key, and for a group over all its workers."""

import asyncio
import time

from streamq import App, Job, NewJob

app = App()
reports = app.group("reports", limit_per_key=2, ignore=["mail"])
mails = app.group("mails", rate="40/s", ignore=["report"])
tenants: list[str] = []
sent: list[float] = []


@reports.handler("report")
async def write_report(job: Job) -> None:
    """At most two of a tenant run at a time."""
    tenants.append(job.key or "")


@mails.handler("mail")
async def send(to: str) -> None:
    """The provider allows 40 a second."""
    sent.append(time.monotonic())


async def main() -> None:
    """A tenant with a thousand reports, one with a single report, and nine mails."""
    async with app:
        await app.produce_many(NewJob("report", key="large") for _ in range(1000))
        await app.produce("report", key="small")
        await app.worker(groups=["reports"], burst=True).run()
        print(f"the small tenant was served among the first 500: {'small' in tenants[:500]}")

        await app.produce_many([("mail", {"to": "ann"})] * 9)
        started = time.monotonic()
        await app.worker(groups=["mails"], burst=True).run()
        print(f"nine mails took 200 ms or more: {sent[-1] - started >= 0.2}")


if __name__ == "__main__":
    asyncio.run(main())

# the small tenant was served among the first 500: True
# nine mails took 200 ms or more: True
