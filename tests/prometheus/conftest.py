"""Fixtures: metrics of a server that is not there."""

from __future__ import annotations

import pytest

from streamq import App


@pytest.fixture
def offline() -> App:
    app = App("redis://127.0.0.1:1")
    app.group("images").handler("resize")(lambda: None)
    return app
