"""Handlers that other processes can import."""

from __future__ import annotations

from streamq import Job


def in_a_process(job: Job) -> list[object]:
    """Where the job is."""
    job.progress(0.5)
    return [job.stream, job.partition, job.place]
