"""Each offer in the places of `Places.lean` does what its mark says once it is inserted.

CI tests a part of the places. `python -m tests.benchmarks.lean_offers` tests all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.lean.answers import ANSWERS
from tests.end_to_end.lean.fake_daemon import FakeDaemon
from tests.end_to_end.lean.offers import messages, mismatches, offers, sample
from tests.support.leanwasm import Lean

PLACES = Path(__file__).with_name("Places.lean")

EVERY = 16
"""CI tests every sixteenth place, about 120 offers: a minute on an idle machine."""

pytestmark = [pytest.mark.lean, pytest.mark.timeout(900, func_only=True)]


def test_marks_hold_when_the_offer_is_inserted(
    lean: Lean, fake: FakeDaemon, tmp_path: Path
) -> None:
    fake.answers = ANSWERS
    file = tmp_path / "Places.lean"
    file.write_text(sample(PLACES.read_text(), EVERY))
    output = lean.run(file, env=fake.env, options=["--json"], timeout=600).output
    assert [m["data"] for m in messages(output) if m["severity"] == "error"] == []
    made = offers(output)
    assert len(made) > 60
    assert any(offer.closes for offer in made)
    assert any(offer.goals_left for offer in made)
    assert mismatches(lean, file, made, tmp_path) == []
