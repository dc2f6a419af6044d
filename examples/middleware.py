"""Code around the handling of each job, and around the producing of each."""

import asyncio
from contextvars import ContextVar
from typing import Any

from streamq import App, Enqueued, Job, NewJob, Settings
from streamq.middleware import CallNext, ProduceNext

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


async def with_tenant(job: Job, call_next: CallNext) -> Any:
    """What comes before ``call_next`` happens before the handler, what follows it afterwards."""
    tenant.set(job.data["tenant"])
    try:
        return await call_next(job)
    except LookupError as error:
        print(f"{job.type} for {tenant.get()} failed: {error}")
        raise


async def stamped(job: NewJob, call_next: ProduceNext) -> Enqueued:
    """Every job that this app produces says for whom it is."""
    job.data = {**job.data, "tenant": tenant.get()}
    return await call_next(job)


app = App(middleware=[with_tenant], produce_middleware=[stamped])


@app.handler("greet", retries=0)
def greet(name: str) -> None:
    """A thread has the context, too."""
    if name == "eve":
        raise LookupError("unknown name")
    print(f"{name} of {tenant.get()}")


async def main() -> None:
    """The tenant goes with the job."""
    async with app:
        tenant.set("acme")
        await app.produce("greet", {"name": "ann"})
        await app.produce("greet", {"name": "eve"})
        tenant.set("nobody")
        one_by_one = Settings(concurrency=1)
        await app.worker(burst=True, max_jobs=2, settings=one_by_one).run()


if __name__ == "__main__":
    asyncio.run(main())

# ann of acme
# greet for acme failed: unknown name
