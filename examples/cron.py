"""Periodic jobs: in the code, and made at run time."""

import asyncio
from datetime import timedelta

from streamq import App, Job

app = App()
reports = app.group("reports")


@reports.every(timedelta(seconds=1))
async def sweep(job: Job) -> None:
    """One job a second, however many workers there are."""
    print("sweep", int(job.fields["tick"]) % 1000)


@reports.cron("0 7 * * MON", tz="Europe/Berlin", overlap="skip")
async def weekly_report(to: str = "all") -> None:
    """Every Monday at seven, or when somebody wants it."""
    print(f"report to {to}")


async def main() -> None:
    """A worker that waits for a tick, what it has written, and one that is made for a person."""
    async with app:
        await app.worker(max_jobs=1).run()
        schedules = app.admin.schedules
        await schedules.pause("jobs", "reports.sweep")
        await schedules.create(
            "jobs", "ann", "weekly_report", {"to": "ann"}, cron="0 8 * * MON", group="reports"
        )
        for one in await schedules.list("jobs"):
            print(one.name, one.cron or f"every {one.every:g} s", one.paused_since is not None)
        await schedules.run_now("jobs", "ann")
        await app.worker(burst=True).run()
        await schedules.delete("jobs", "ann")


if __name__ == "__main__":
    asyncio.run(main())

# sweep 0
# ann 0 8 * * MON False
# reports.sweep every 1 s True
# reports.weekly_report 0 7 * * MON False
# report to ann
