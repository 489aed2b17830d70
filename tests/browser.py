"""A real browser for tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NO_CHROMIUM = "needs Chromium: apt-get install chromium"
NO_PLAYWRIGHT = "needs Playwright: pip install -e '.[dev]'"


def find_chromium() -> str | None:
    """The program, where it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def missing() -> str:
    """What there would have to be; empty where all is there."""
    if find_chromium() is None:
        return NO_CHROMIUM
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return NO_PLAYWRIGHT
    return ""


def opened_or_skipped() -> Iterator[Browser]:
    """What a fixture yields from: one browser, or a skip that says what is missing."""
    if said := missing():
        pytest.skip(said)
    with opened() as browser:
        yield browser


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser without a window; it is closed in the end."""
    from playwright.sync_api import sync_playwright

    # Chromium refuses its sandbox to root, whom containers run as.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield browser
        browser.close()
