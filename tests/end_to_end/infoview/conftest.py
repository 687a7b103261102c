"""Fixtures for the tests in the infoview: a Lean, and the infoview."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.infoview import packages
from tests.end_to_end.lean.conftest import fake, lean
from tests.support import npm

__all__ = ["fake", "infoview", "lean"]


@pytest.fixture(scope="session")
def infoview() -> Path:
    """The infoview's scripts and styles."""
    try:
        return packages.infoview()
    except npm.FetchError as error:
        pytest.skip(str(error))
