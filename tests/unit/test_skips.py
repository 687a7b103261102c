"""In CI, a skip that is not listed is a failure. Elsewhere it stays a skip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import skips

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="no torch here")
def test_with_a_mark(): pass

@pytest.mark.parametrize("number", [1, 2])
def test_from_within(number): pytest.skip("no torch here")

@pytest.fixture
def browser(): pytest.skip("no browser here")

def test_with_a_fixture(browser): pass

@pytest.mark.xfail
def test_that_is_known_to_fail(): assert False
"""
MODULE = "import pytest\npytest.skip('no torch here', allow_module_level=True)\n"

Run = Callable[..., dict[str, int]]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a file of tests with a list of allowed skips. Returns the number of tests by outcome."""

    def run(text: str, *allowed: tuple[str, str], ci: str = "true") -> dict[str, int]:
        listed = [{"test": test, "says": says, "because": "…"} for test, says in allowed]
        monkeypatch.setattr(skips, "allowed", lambda: listed)
        monkeypatch.setenv("CI", ci)
        monkeypatch.syspath_prepend(ROOT)
        pytester.makeconftest("from tests.support.skips import *")
        pytester.makepyfile(test_it=text)
        return pytester.runpytest("-p", "no:asyncio").parseoutcomes()

    return run


@pytest.mark.parametrize("ci", ["", "false"])
def test_outside_of_ci_a_skip_stays_a_skip(run: Run, ci: str) -> None:
    assert run(TESTS, ci=ci) == {"passed": 1, "skipped": 4, "xfailed": 1}


def test_a_skip_fails_under_ci(run: Run) -> None:
    assert run(TESTS) == {"passed": 1, "failed": 2, "errors": 2, "xfailed": 1}


def test_a_skipped_module_fails_under_ci(run: Run) -> None:
    assert run(MODULE) == {"errors": 1}
    assert run(MODULE, ("test_it.py", "torch")) == {"skipped": 1}


def test_a_listed_test_may_be_skipped_for_its_reason(run: Run) -> None:
    names = ("test_with_a_mark", "test_from_within", "test_with_a_fixture")
    found = run(TESTS, *((f"test_it.py::{name}", "torch") for name in names))
    assert found == {"passed": 1, "skipped": 3, "errors": 1, "xfailed": 1}


def test_the_list_names_tests_that_exist() -> None:
    for entry in skips.allowed():
        file, _, function = entry["test"].partition("::")
        assert f"def {function}" in (ROOT / file).read_text(encoding="utf-8")
        assert entry["says"]
        assert entry["because"]
