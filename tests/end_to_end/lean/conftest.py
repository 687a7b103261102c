"""Fixtures for the tests of the tactic: a Lean, and a scripted daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.lean.fake_daemon import FakeDaemon, fake_daemon
from tests.support.leanwasm import Lean, NoLeanError, find_lean


@pytest.fixture(scope="session")
def lean() -> Lean:
    """A real Lean that has compiled our package. Without one, the tests are skipped.

    In a new cache, the kit and the package take minutes, which `func_only` keeps out of the time of
    the test that happens to be the first.
    """
    try:
        lean = find_lean()
    except NoLeanError as error:
        pytest.skip(str(error))
    lean.compile_package()
    return lean


@pytest.fixture
def fake() -> Iterator[FakeDaemon]:
    """A daemon that follows the commands of FakeDaemon.lean."""
    with fake_daemon() as running:
        yield running
