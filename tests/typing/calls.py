"""Right and wrong calls of the public API, for type checkers; never run.

Each line that ends in ``# wrong`` must be an error for mypy and for pyright, and no other may be.
"""

from pathlib import Path

from streamq import App, Event, Group, Job, NewJob


class PhotoAdded(Event):
    file: Path
    width: int = 256


app = App()
images = app.group("images", ignore=["thumbnail_*"], retries=3, concurrency=32)
images.handler("photo_added", retries="3")  # wrong
Group("images", stream=7)  # wrong


@images.handler()
async def make_thumbnail(job: Job, event: PhotoAdded) -> dict[str, str]:
    job.emit("ready", {"file": str(event.file)}, key="user-7", expires=3.0)
    job.emit(PhotoAdded(file=event.file))
    job.emit("ready", file="a.png")  # wrong
    job.emit("ready", key=7)  # wrong
    job.emit(PhotoAdded(file=event.file), {"file": "a.png"})  # wrong
    job.emit(PhotoAdded(width=5))  # wrong
    print(event.height)  # wrong
    await job.emit("ready")  # wrong
    return {}


async def produce() -> None:
    job = await app.produce("photo_added", {"file": "a.png"}, unique="a", key="user-7", delay=60)
    print(job.id.upper(), job.created, job.scheduled_for)
    await app.produce(PhotoAdded(file=Path("a.png")), delay=60)
    await app.produce("t", unique="a", unique_until="settled", on_conflict="replace", delay=2)
    print(job.replaced)
    await app.produce("t", unique="a", unique_until="done")  # wrong
    await app.produce("t", unique="a", on_conflict="ignore")  # wrong
    await app.produce("photo_added", file="a.png")  # wrong
    await app.produce("photo_added", {"file": "a.png"}, retries=3)  # wrong
    await app.produce(PhotoAdded(file=Path("a.png"), size=3))  # wrong
    await app.produce(PhotoAdded(file=Path("a.png")), {"width": 3})  # wrong
    await app.produce(7)  # wrong
    await app.produce_many([("t", {}), PhotoAdded(file=Path("a")), NewJob("t", {}, unique="a")])
    await app.produce_many(["t"])  # wrong
    await app.produce_many([("t", {})], uniq="a")  # wrong
    await app.produce_many([("t", {})], unique="a", on_conflict="keep")
    await app.produce_many([("t", {})], unique="a", on_conflict="ignore")  # wrong
    NewJob("t", {}, unique="a", unique_until="settled", on_conflict="error")
    NewJob("t", {}, n=1)  # wrong


result: dict[str, str] = make_thumbnail.__name__  # wrong
