"""Fixtures for the tests in the infoview: a Lean, the infoview, and a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.infoview import packages
from tests.end_to_end.lean.conftest import fake, lean
from tests.support import chromium, npm, programs

__all__ = ["browser", "fake", "infoview", "lean"]


@pytest.fixture(scope="session")
def browser() -> str:
    """The Chromium to run."""
    program = chromium.find()
    if program is None:
        pytest.skip(programs.missing("Chromium"))
    return program


@pytest.fixture(scope="session")
def infoview() -> Path:
    """The infoview's scripts and styles."""
    try:
        return packages.infoview()
    except npm.FetchError as error:
        pytest.skip(str(error))
