"""Jobs for later, and jobs that are not worth doing after a while."""

import asyncio
from datetime import UTC, datetime, timedelta

from streamq import App

app = App()


@app.handler("remind")
async def remind(user: str) -> None:
    """Its time has come."""
    print(f"remind {user}")


async def main() -> None:
    """A delay, a time with a time zone, one that is taken back, and one that has expired."""
    async with app:
        soon = await app.produce("remind", {"user": "ann"}, delay=0.05)
        await app.produce("remind", {"user": "bob"}, at=datetime.now(UTC) + timedelta(days=-1))
        never = await app.produce("remind", {"user": "eve"}, delay=3600)
        await app.produce("remind", {"user": "old"}, expires=0)
        print(soon.scheduled_for is not None, await never.cancel())
        await app.worker(max_jobs=3).run()


if __name__ == "__main__":
    asyncio.run(main())

# True True
# remind bob
# remind ann
