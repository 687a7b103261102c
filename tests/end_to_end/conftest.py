"""A browser for the tests that show a page."""

from __future__ import annotations

import pytest

from tests.support import chromium, programs


@pytest.fixture(scope="session")
def browser() -> str:
    """The Chromium to run."""
    program = chromium.find()
    if program is None:
        pytest.skip(programs.missing("Chromium"))
    return program
