"""The Admin of the app under test."""

from __future__ import annotations

import pytest

from streamq import App
from streamq.admin import Admin


@pytest.fixture
def admin(app: App) -> Admin:
    """What ``app.admin`` is, with the workers' default lease."""
    return app.admin
