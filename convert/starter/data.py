"""Samples drawn from the templates, and the split by shape that keeps some for evaluation."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from .families import TEMPLATES, make
from .goals import Sample
from .scene import Scene

FAMILIES = sorted({name.split("/")[0] for name in TEMPLATES})

HELD_OUT_SHARE = 0.06
ELEMENTARY = 45  # shapes of fewer characters are the alphabet of the others: never held out


def samples(seed: int) -> Iterator[Sample]:
    """Endless samples; the same ones for the same seed."""
    rng = random.Random(seed)
    names = list(TEMPLATES)
    weights = [weight for _, weight in TEMPLATES.values()]
    while True:
        (name,) = rng.choices(names, weights)
        sample = make(name, Scene(rng))
        if sample is not None:
            yield sample


def is_held_out(shape: str) -> bool:
    if len(shape) < ELEMENTARY:
        return False
    digest = hashlib.blake2b(shape.encode(), digest_size=4).digest()
    return int.from_bytes(digest) < HELD_OUT_SHARE * 2**32


def training(seed: int, count: int) -> list[Sample]:
    """Samples to train on, none of a held-out shape."""
    found = (s for s in samples(seed) if not is_held_out(s.shape))
    return [next(found) for _ in range(count)]


def held_out(seed: int, each: int, draws: int = 60_000) -> list[Sample]:
    """Held-out samples of different shapes, at most so many of each family."""
    found: dict[str, dict[str, Sample]] = {family: {} for family in FAMILIES}
    for sample in islice(samples(seed), draws):
        kept = found[sample.family.split("/")[0]]
        if is_held_out(sample.shape) and len(kept) < each:
            kept.setdefault(sample.shape, sample)
    return [sample for family in FAMILIES for sample in found[family].values()]


def mathlib_spelling(goal: str) -> str:
    """The goal as it prints where Mathlib's notation for the number types is open."""
    return re.sub(r"\bInt\b(?!\.)", "ℤ", re.sub(r"\bNat\b(?!\.)", "ℕ", goal))


def as_json(sample: Sample) -> str:
    row = {"family": sample.family, "goal": str(sample.goal), "steps": list(sample.steps)}
    return json.dumps(row, ensure_ascii=False)


def write(rows: list[Sample], path: Path) -> None:
    path.write_text("".join(as_json(row) + "\n" for row in rows), encoding="utf-8")
