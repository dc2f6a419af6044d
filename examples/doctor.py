"""What bites on a server, and what to do about it: here, a group that nobody reads."""

import asyncio

from streamq import App

app = App()


async def main() -> None:
    """Look twice: before the group has a worker, and after."""
    async with app:
        await app.produce("resize", {"file": "a.png"})
        await app.admin.create_group("jobs", "images")
        await look()
        await app.admin.delete_group("jobs", "images")
        await app.admin.create_group("jobs", "images", "$")
        await look()


async def look() -> None:
    """Say what there is about groups that nobody reads."""
    for finding in (await app.admin.doctor("jobs")).findings:
        if finding.name == "groups that nobody reads":
            print(f"{finding.level}: {finding.found}")
            print(finding.advice or "nothing to do")


if __name__ == "__main__":
    asyncio.run(main())

# warning: 1 job queued and no worker: the stream keeps them all
# start a worker for the group; if it is not wanted any more, streamq group delete
# ok: nothing found in 1 stream
# nothing to do
