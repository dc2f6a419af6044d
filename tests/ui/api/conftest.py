"""The API of the app under test, asked without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from streamq import App
from streamq.ui.api import api


@asynccontextmanager
async def asking(app: App, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app's API; see :func:`streamq.ui.api.api` for the options."""
    transport = httpx.ASGITransport(api(app, **options))
    async with httpx.AsyncClient(transport=transport, base_url="http://queue") as client:
        yield client


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, with all rights."""
    async with asking(app) as client:
        yield client
