"""Dead letters: what a group has given up, why, and how it is sent back."""

import asyncio

from streamq import App

app = App()
archive = app.group("archive", retries=0)
disk_is_full = True


@archive.handler("store")
async def store(file: str) -> None:
    """It fails until its cause is fixed."""
    if disk_is_full:
        raise OSError(f"no space left for {file}")
    print(f"stored {file}")


async def main() -> None:
    """Look, fix the cause, send them back to the group that failed them."""
    global disk_is_full
    async with app:
        await app.produce("store", {"file": "a.png"})
        await app.worker(burst=True).run()
        letters = app.admin.dead_letters("jobs", "archive")
        async for letter in letters.list():
            print(f"{letter.reason}: {letter.error}")
        disk_is_full = False
        print(f"redriven: {(await letters.redrive_all()).redriven}")
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# retries exhausted: OSError: no space left for a.png
# redriven: 1
# stored a.png
