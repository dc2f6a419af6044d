"""Note every event."""

from examples.shop.audit.group import audit, lines
from streamq import Job


@audit.handler("*")
def note(job: Job) -> None:
    """Only its type: the data is the customers'."""
    lines.append(job.type)
