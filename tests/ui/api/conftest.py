"""The API of the app under test, asked without a network."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from streamq import App
from streamq.ui.api import api
from streamq.ui.api.table import EVERYWHERE, OPERATIONS


@asynccontextmanager
async def asking(app: App, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app's API; see :func:`streamq.ui.api.api` for the options."""
    transport = httpx.ASGITransport(api(app, **options))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://queue", event_hooks={"response": [is_as_documented]}
    ) as client:
        yield client


async def is_as_documented(answer: httpx.Response) -> None:
    """Whatever an operation answers, its OpenAPI document says so: no field less, and none more."""
    for one in OPERATIONS:
        path = re.sub(r"{\w+}", "[^/]+", one.path)
        if answer.request.method == one.method and re.fullmatch(path, answer.request.url.path):
            if answer.status_code in one.answers:
                await answer.aread()
                TypeAdapter(one.answers[answer.status_code][1]).validate_python(answer.json())
            else:
                assert answer.status_code in {*EVERYWHERE, *one.refuses}, answer.status_code


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, with all rights."""
    async with asking(app) as client:
        yield client
