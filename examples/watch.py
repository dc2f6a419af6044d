"""Pictures of all streams and groups, and how fast they change: what `streamq top` shows."""

import asyncio

from streamq import App

app = App()
images = app.group("images")


@images.handler("resize")
async def resize(file: str) -> None:
    """Nothing to do here."""


async def main() -> None:
    """A picture before a worker has run, and one after it."""
    async with app:
        await app.admin.create_group("jobs", "images")
        await app.produce_many([("resize", {"file": f"{number}.png"}) for number in range(3)])
        pictures = app.admin.watch(["jobs"], interval=0.1)
        before = await anext(pictures)
        await app.worker(burst=True).run()
        after = await anext(pictures)

    for picture in (before, after):
        [group] = picture.groups
        print(f"{group.name}: {group.backlog.queued} queued, {group.backlog.pending} pending")
    [group] = after.groups
    print("settled since:", round((group.settled_rate or 0) * (after.at - before.at)))


if __name__ == "__main__":
    asyncio.run(main())

# images: 3 queued, 0 pending
# images: 0 queued, 0 pending
# settled since: 3
