"""The tactic against a daemon that does as told: each Lean file checks its own messages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llmsuggestd.goals import normalise
from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.end_to_end.lean.offers import check_offers, offers
from tests.support.leanwasm import Lean
from tests.support.leanwasm.lean import PACKAGE

HERE = Path(__file__).resolve().parent
# The first run fetches a Lean and compiles the package: about three minutes on a slow machine.
pytestmark = [pytest.mark.lean, pytest.mark.timeout(600)]


def check(lean: Lean, file: Path, env: dict[str, str] | None = None) -> None:
    """Run a Lean file whose `#guard_msgs` are the test: it is silent if all is as expected."""
    result = lean.run(file, env=env)
    assert (result.output, result.exit_code) == ("", 0)


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.glob("LlmSuggestTest/*.lean")), ids=lambda f: f.stem
)
def test_package(lean: Lean, file: Path) -> None:
    """What `lake test` runs."""
    check(lean, file)


def test_suggestions(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Suggestions.lean", fake.env)
    assert all(request["path"] == "/v1/suggest" for request in fake.requests)
    clients = {request["client"] for request in fake.requests}
    assert len(clients) == len(fake.requests), "each place in a file is a client of its own"
    asked = [request["goal"] for request in fake.requests]
    assert [normalise(goal) for goal in asked] == asked, "Lean's own spelling is the one we keep"


def test_checks(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Checks.lean", fake.env)


def test_hostile_answers(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Hostile.lean", fake.env)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_memory(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Memory.lean", fake.env)


def test_try(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Try.lean", fake.env)


def test_insertion(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Insertion.lean", fake.env)


def test_every_offer_can_be_taken(lean: Lean, fake: FakeDaemon, tmp_path: Path) -> None:
    texts = [
        "exact ⟨hp, hq⟩",
        "constructor\n· exact hp\n· exact hq",
        "constructor <;> assumption",
        "refine ⟨?_, hq⟩ -- )\nexact hp -- )",
        "  constructor\n  all_goals\n    assumption\n",
        "exact And.intro\n  hp\n   hq",
    ]
    fake.answer(*texts)
    file = HERE / "Places.lean"
    made = offers(lean.run(file, env=fake.env, options=["--json"]).output)
    calls = file.read_text().partition("/-!")[2].count("llmsuggest")
    # What acts on all goals is not offered in the last place, where there is another one.
    assert len(made) == calls * len(texts) - 1
    check_offers(lean, file, made, tmp_path)


def test_daemon_found(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "Discovery.lean", fake.env | {"LLMSUGGESTD_SOCKET": ""})


def test_no_curl(lean: Lean, fake: FakeDaemon) -> None:
    check(lean, HERE / "NoCurl.lean", fake.env | {"PATH": str(fake.directory)})
