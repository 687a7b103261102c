"""From Lean through curl, the daemon and llama.cpp and back, with the model that ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Home
from tests.end_to_end.lean.offers import check_offers, messages, offers
from tests.support.leanwasm import Lean

pytestmark = [pytest.mark.lean, pytest.mark.timeout(600)]


def test_core_goals(lean: Lean, served: Home, tmp_path: Path) -> None:
    file = Path(__file__).with_name("CoreGoals.lean")
    env = {"LLMSUGGESTD_HOME": str(served.root), "LLMSUGGESTD_SOCKET": ""}
    result = lean.run(file, env=env, options=["--json"])
    for message in messages(result.output):
        if message["severity"] == "error":
            expected = ("unsolved goals", "llmsuggest: none of the model's suggestions")
            assert message["data"].startswith(expected)
    made = offers(result.output)
    assert any(offer.closes for offer in made)
    check_offers(lean, file, made, tmp_path)
