"""Tests of handlers: inline and without a server, or with a real one that is thrown away.

pytest finds them: ``pytest examples/unit_tests.py``.
"""

import asyncio

from streamq import App, Job, Retry, testing

app = App()


@app.group("shop").handler("order_placed")
async def place(job: Job, order: int, stock: int = 0) -> str:
    """What is to be tested."""
    if stock == 0:
        raise Retry("sold out", delay=3600)
    job.emit("mail", {"order": order})
    return "placed"


@app.group("shop").handler("mail")
async def mail(order: int) -> None:
    """What follows."""


async def sold_out() -> None:
    """One handler, as a worker would run it: its outcome, its result, what it emits."""
    done = await testing.handle(app, "order_placed", {"order": "42"})
    assert (done.outcome, done.error, done.delay) == (testing.Outcome.RETRY, "sold out", 3600)
    assert done.emitted == []


async def whole_app() -> None:
    """A job and all that follows from it."""
    done = await testing.Inline(app).produce("order_placed", {"order": 42, "stock": 1})
    assert [(one.type, one.result) for one in done] == [("order_placed", "placed"), ("mail", None)]


async def real_server() -> None:
    """A server and a worker in this process; nothing is left of them."""
    async with testing.server() as url, App(url) as real:
        real.include(*app.groups)
        await real.produce("order_placed", {"order": 42, "stock": 1})
        assert len(await testing.drain(real)) == 2


def test_all() -> None:
    """A plain test function, so that no plugin is needed."""
    for test in (sold_out, whole_app, real_server):
        asyncio.run(test())


if __name__ == "__main__":
    test_all()
    print("all passed")

# all passed
