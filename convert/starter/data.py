"""Draws samples from the templates."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from .families import TEMPLATES, make
from .goals import Sample
from .scene import Scene


def samples(seed: int) -> Iterator[Sample]:
    """An endless stream of samples, which depends on the seed only."""
    rng = random.Random(seed)
    names = list(TEMPLATES)
    weights = [weight for _, weight in TEMPLATES.values()]
    while True:
        (name,) = rng.choices(names, weights)
        sample = make(name, Scene(rng))
        if sample is not None:
            yield sample


def mathlib_spelling(goal: str) -> str:
    """The goal as Lean prints it if Mathlib's notation for the number types is open."""
    return re.sub(r"\bInt\b(?!\.)", "ℤ", re.sub(r"\bNat\b(?!\.)", "ℕ", goal))
