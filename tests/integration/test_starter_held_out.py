"""The starter's data, as it is in the repository: nothing of the evaluation was learned."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from convert.starter.__main__ import CHECKPOINT
from convert.starter.evaluate import HELD_OUT, HELD_OUT_WORLDS, held_out
from convert.starter.examples import learned, read_pairs
from convert.starter.split import canonical

FILES = sorted(Path(HELD_OUT).parent.glob("*.jsonl.xz"))


def test_no_goal_of_the_evaluation_is_learned_under_any_names() -> None:
    known = [pair for path in FILES for pair in read_pairs(path)]
    pairs = learned(known)
    assert len(pairs) > 50_000
    ours = {canonical(goal.goal) for goal in held_out(HELD_OUT)}
    assert len(ours) > 350
    # Some goals are held out in one file, and on the way to another goal in another one.
    ours |= {canonical(pair.goal) for pair in known if pair.split != "train"}
    assert not ours & {canonical(pair.goal) for pair in pairs if "world" not in pair.start}
    statements = {pair.start["stated"] + pair.start["world"] for pair in held_out(HELD_OUT_WORLDS)}
    theirs = {p.start["stated"] + p.start["world"] for p in pairs if "world" in p.start}
    assert len(statements) > 300
    assert not statements & theirs


def test_the_checkpoint_was_trained_on_this_data() -> None:
    made = json.loads((CHECKPOINT / "training.json").read_text(encoding="utf-8"))
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}
    assert set(made["pairs_sha256"]) == digests
