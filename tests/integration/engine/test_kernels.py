"""llama.cpp with our kernels, compared with llama.cpp's own kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from llmsuggestd.engine import kernels, protocol
from llmsuggestd.engine.engine import choose_kernels
from llmsuggestd.engine.protocol import KERNELS, Kernels
from llmsuggestd.models import store

# A process cannot take registered kernels back, so each kind of kernels has a process of its own.
FIRST_TOKENS = """
import json, sys
from llmsuggestd.engine import protocol
from llmsuggestd.engine.engine import Engine

path, own = sys.argv[1:]
kernels = ("own", "plain") if own == "own" else ("plain",)
engine = Engine(protocol.Load(path, "off", 2, 1024, kernels))
model = engine.llama
short = model.tokenize("[GOAL]p q : Prop\\nh : p ∧ q\\n⊢ q ∧ p[PROOFSTEP]")
rows = [*model.start([short]), *model.step([0] * 5, short[:5]), *model.start([short * 15])]
used = [engine.loaded.kernels, engine.loaded.instructions]
print(json.dumps([used, [row.tolist() for row in rows]]))
"""

needs_kernels = pytest.mark.skipif(bool(kernels.why_not()), reason=kernels.why_not())


def log_probabilities(
    own: str, limit: str = ""
) -> tuple[list[str], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """The kernels and instruction set that an engine uses, and rows of its log probabilities."""
    result = subprocess.run(
        [sys.executable, "-c", FIRST_TOKENS, str(store.SHIPPED), own],
        capture_output=True, check=True, timeout=60, env=os.environ | {kernels.LIMIT: limit},
    )  # fmt: skip
    used, rows = json.loads(result.stdout)
    return used, np.array(rows)


@needs_kernels
def test_both_kernels_give_the_same_log_probabilities_up_to_rounding() -> None:
    """The rows are of a prompt in one batch, a step of five candidates, and a longer prompt."""
    used, ours = log_probabilities("own")
    assert used == ["own", kernels.instructions()]
    used, theirs = log_probabilities("not")
    assert used == ["plain", None]
    likely = theirs > np.log(0.01)
    assert likely.sum() > len(theirs)
    # they differ, so both kinds were used, and by rounding only
    assert 0 < np.abs(ours - theirs)[likely].max() < 0.15
    assert np.abs(ours - theirs)[likely].mean() < 0.03


@needs_kernels
def test_every_instruction_set_gives_bit_identical_log_probabilities() -> None:
    """Suggestions do not depend on the processor's instruction set."""
    first, expected = log_probabilities("own", "avx2")
    assert first == ["own", "avx2"]
    for limit in kernels.INSTRUCTION_SETS[1:]:
        np.testing.assert_array_equal(log_probabilities("own", limit)[1], expected)


@pytest.mark.parametrize(
    ("file_type", "allowed", "chosen"),
    [
        (1, KERNELS, "repacked"),
        (2, ("own", "plain"), "plain"),
        (None, KERNELS, "repacked"),
        (15, KERNELS, "own"),
        (15, ("repacked", "plain"), "repacked"),
    ],
)
def test_our_kernels_are_chosen_for_their_types_if_no_layer_is_on_a_gpu(
    file_type: int | None, allowed: tuple[Kernels, ...], chosen: str
) -> None:
    if chosen == "own" and kernels.why_not():
        chosen = "repacked"
    load = protocol.Load("", "off", 1, 1024, allowed)
    assert choose_kernels(load, file_type, 0) == chosen
    assert choose_kernels(load, file_type, 1) != "own"  # with a layer on a GPU
