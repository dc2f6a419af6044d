"""Fixtures: a scratch directory, nothing of this machine's settings, and commands."""

from __future__ import annotations

from tests.cli.conftest import logging_as_before, scratch, start, streamq

__all__ = ["logging_as_before", "scratch", "start", "streamq"]
