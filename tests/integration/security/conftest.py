"""Fixture: a daemon with every door open, for the attacks in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Home, make_home

COMPAT = ("llmstep", "tutorial", "leancopilot", "llmlean")


@pytest.fixture(scope="module")
def target() -> Iterator[Home]:
    """A daemon with all its compatibility listeners."""
    for home in make_home():
        home.install_starter()
        flags = [flag for name in COMPAT for flag in ("--compat", f"{name}:0")]
        home.serve(*flags)
        yield home
