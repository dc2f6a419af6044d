"""What a worker opens before its first job and closes after its last: a pool, a client."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from streamq import App

database: sqlite3.Connection


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Entered once for each worker process."""
    global database
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE users (name TEXT)")
        yield
        print("users:", database.execute("SELECT count(*) FROM users").fetchone()[0])


app = App(lifespan=lifespan)


@app.handler("user_created")
async def store(name: str) -> None:
    """All handlers share it."""
    database.execute("INSERT INTO users VALUES (?)", (name,))


async def main() -> None:
    """It is closed when the worker has ended."""
    async with app:
        await app.produce_many([("user_created", {"name": name}) for name in ("ann", "bob")])
        await app.worker(burst=True).run()


if __name__ == "__main__":
    asyncio.run(main())

# users: 2
