"""Workers here look often."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _brisk(brisk: None) -> None:
    """Use :func:`tests.conftest.brisk` everywhere here."""
