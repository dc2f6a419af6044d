"""Event processing on Redis Streams.

Many groups can process one stream, each with its own progress, retries and dead
letters::

    from streamq import App, Job, Retry

    app = App("redis://localhost:6379")

    @app.handler("process_image", group="images", retries=3, timeout=30)
    async def process_image(job: Job, file: str, width: int = 256) -> dict: ...

    await app.produce("process_image", file="image_1.png")
"""

from streamq.app import App
from streamq.errors import Dead, Retry, StreamqError
from streamq.job import Job
from streamq.retry import Backoff
from streamq.worker import Settings, Worker

__version__ = "0.1.0"

__all__ = ["App", "Backoff", "Dead", "Job", "Retry", "Settings", "StreamqError", "Worker"]
