"""Waiting for results: of one job, of many as they come, and from a program without event loop."""

import asyncio

from streamq import App
from streamq.errors import JobDead, ResultTimeout

app = App()
images = app.group("images", retries=0)


@images.handler("resize")
async def resize(file: str, width: int = 256) -> dict[str, object]:
    """Make a thumbnail."""
    if not file.endswith(".png"):
        raise ValueError(f"{file} is not a picture")
    return {"thumbnail": f"thumbnails/{file}", "width": width}


async def main() -> None:
    """A worker, and several who wait for it."""
    async with app:
        job = await app.produce("resize", {"file": "a.png"})
        try:
            await job.result(timeout=0.05)
        except ResultTimeout:
            print("not yet")

        worker = asyncio.create_task(app.worker().run())
        print(await job.result(timeout=30))

        good, bad = await app.produce_many(
            [("resize", {"file": "b.png"}), ("resize", {"file": "b.txt"})]
        )
        ends = {one.id: one.state async for one in app.results([good, bad], timeout=30)}
        print(ends[good.id], ends[bad.id])
        try:
            await bad.result(timeout=30)
        except JobDead as dead:
            print(dead.error)

        print(await asyncio.to_thread(without_event_loop))
        worker.cancel()
        await asyncio.wait([worker])


def without_event_loop() -> object:
    """As in a Django view: each call blocks until it is done."""
    with app.sync as sync:
        return sync.produce("resize", {"file": "c.png", "width": 64}).result(timeout=30)


if __name__ == "__main__":
    asyncio.run(main())

# not yet
# {'thumbnail': 'thumbnails/a.png', 'width': 256}
# succeeded dead
# ValueError: b.txt is not a picture
# {'thumbnail': 'thumbnails/c.png', 'width': 64}
