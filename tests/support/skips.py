"""Makes skipped tests fail in CI, where a skip is easily missed, unless `tests/skips.toml` lists
them.

The hooks are pytest's; `tests/conftest.py` imports them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import TypedDict

import pytest

LIST = Path(__file__).parents[1] / "skips.toml"


class Allowed(TypedDict):
    """A skip that CI accepts."""

    test: str
    """A test's id, or the beginning of several: a file, or a function without its parameters."""
    says: str
    """A part of pytest's reason for the skip. With any other reason, the test fails."""
    because: str
    """Why CI cannot run the test."""


def allowed() -> list[Allowed]:
    """The list in the repository."""
    entries: list[Allowed] = tomllib.loads(LIST.read_text(encoding="utf-8"))["skip"]
    return entries


def in_ci() -> bool:
    """Whether this run is in CI: every CI service sets `CI`."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _demand(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that is not on the list into a failure."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if any(
        report.nodeid.startswith(entry["test"]) and entry["says"] in reason for entry in allowed()
    ):
        return
    report.outcome = "failed"
    report.longrepr = (
        f"{reason}\nUnder CI a skip is a failure. Install what is missing (tests/debian-packages), "
        f"or list the test in tests/skips.toml with the reason why CI cannot run it."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Check a skipped test."""
    report = yield
    if in_ci():
        _demand(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Check a skipped module."""
    report = yield
    if in_ci():
        _demand(report)
    return report
