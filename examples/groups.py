"""Two groups on one stream: each gets every job, has its own retries, and ignores what it likes."""

import asyncio

from streamq import App

app = App()
images = app.group("images", ignore=["mail_*"], retries=5, timeout=30, concurrency=4)
audit = app.group("audit", retries=0)
lines: list[str] = []


@images.handler("photo_added")
async def make_thumbnail(file: str) -> None:
    """Only photographs; mails are ignored, and any other type would be a dead letter."""
    lines.append(f"images: thumbnail of {file}")


@audit.handler("*")
async def note(**data: str) -> None:
    """Every type, with all of its data."""
    lines.append(f"audit: {data}")


async def main() -> None:
    """Each group goes through the stream at its own pace.

    An entry goes when every group has settled it. A group sees what is in the stream when it
    is created and all that comes later; a worker creates all of its groups at its start.
    """
    async with app:
        await app.produce("photo_added", {"file": "cat.png"})
        await app.produce("mail_sent", {"to": "ann"})
        await app.worker(burst=True).run()
    print(*sorted(lines), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())

# audit: {'file': 'cat.png'}
# audit: {'to': 'ann'}
# images: thumbnail of cat.png
