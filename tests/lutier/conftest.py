"""A browser, and pages to open in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import browser as chromium
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests, as Playwright runs once a process; skips where there is none."""
    yield from chromium.opened_or_skipped()
