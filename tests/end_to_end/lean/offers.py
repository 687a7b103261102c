"""The suggestions in Lean's messages, and whether each does what its mark says once inserted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.support.leanwasm import Lean

_CALL = re.compile(r"\bllmsuggest\b(?!\.)|^\s*alias$|<;> alias", re.MULTILINE)
_AXIOMS = ("propext", "Classical.choice", "Quot.sound")
# Number of offers that are inserted in one file.
_BATCH = 150


@dataclass(frozen=True)
class Offer:
    """A suggestion for the call between two positions. Lines count from 1, columns from 0."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str
    mark: str

    @property
    def closes(self) -> bool:
        """Whether the mark says that the step closes the goal."""
        return self.mark.startswith("closes the goal") and "recursive" not in self.mark

    @property
    def goals_left(self) -> int:
        """The number of remaining goals in the mark."""
        match = re.match(r"leaves (\d+) goals?", self.mark)
        return int(match[1]) if match else 0

    @property
    def is_certain(self) -> bool:
        """Whether the mark names the step's effect."""
        return self.closes or self.goals_left > 0


def messages(output: str) -> list[dict[str, Any]]:
    """The messages of `lean --json`."""
    assert "out of memory" not in output, output[-500:]
    return [json.loads(line) for line in output.splitlines()]


def offers(output: str) -> list[Offer]:
    """All suggestions in the output of `lean --json`."""
    found = []
    for message in messages(output):
        head, *entries = message["data"].split("\n  [apply] ")
        if head not in ("Try this:", "Try these:"):
            continue
        start, end = ((p["line"], p["column"]) for p in (message["pos"], message["endPos"]))
        for entry in entries:
            text, _, mark = entry.rpartition("  -- ")
            # Lean shows the lines of a suggestion two columns to the right.
            found.append(Offer(start, end, text.replace("\n  ", "\n"), mark))
    return found


@dataclass(frozen=True)
class _Paragraph:
    """Lines of a file, with the number of the first one, counted from 1."""

    first: int
    lines: list[str]

    def taken(self, offer: Offer) -> str:
        """The paragraph with an offer instead of the call."""
        start, end = offer.start[0] - self.first, offer.end[0] - self.first
        before, after = self.lines[start][: offer.start[1]], self.lines[end][offer.end[1] :]
        # What is written below the line of a `by` leaves no space at its end.
        if offer.text.startswith("\n"):
            before = before.rstrip()
        return "\n".join([*self.lines[:start], before + offer.text + after, *self.lines[end + 1 :]])


def _paragraphs(source: str) -> list[_Paragraph]:
    """The paragraphs of a file, separated by blank lines."""
    numbered = enumerate(source.splitlines(), 1)
    groups = groupby(numbered, key=lambda line: bool(line[1].strip()))
    blocks = [list(lines) for filled, lines in groups if filled]
    return [_Paragraph(block[0][0], [line for _, line in block]) for block in blocks]


def sample(source: str, every: int, part: int = 0) -> str:
    """The paragraphs without a call, and every `every`-th one with a call."""
    kept, calls = [], 0
    for paragraph in _paragraphs(source):
        text = "\n".join(paragraph.lines)
        if _CALL.search(text) and not text.startswith(("/-", "universe")):
            calls += 1
            if calls % every != part:
                continue
        kept.append(text)
    return "\n\n".join(kept) + "\n"


def mismatches(
    lean: Lean,
    file: Path,
    made: Sequence[Offer],
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """The offers that do something else than their marks say, each with what Lean says.

    Each offer is put in the place of its call, in the paragraph of the file around it, and
    elaborated again behind the paragraphs in front of the first call.
    """
    paragraphs = _paragraphs(file.read_text())
    head = [p for p in paragraphs if p.first < min(offer.start[0] for offer in made)]
    around = {offer: [p for p in paragraphs if p.first <= offer.start[0]][-1] for offer in made}
    preamble = "\n\n".join("\n".join(p.lines) for p in head[:-1])
    wrong = []
    for i in range(0, len(made), _BATCH):
        batch = [(offer, around[offer].taken(offer)) for offer in made[i : i + _BATCH]]
        wrong += _check(lean, preamble, batch, folder / f"Inserted{i}.lean", env)
    return wrong


def _check(
    lean: Lean,
    preamble: str,
    batch: Iterable[tuple[Offer, str]],
    file: Path,
    env: Mapping[str, str] | None,
) -> list[str]:
    text, ends = preamble + "\n", []
    for i, (_, paragraph) in enumerate(batch):
        text += f"\nnamespace Offer{i}\n{paragraph}\nend Offer{i}\n"
        ends.append(text.count("\n"))
    file.write_text(text)
    result = lean.run(file, env=env, options=["--json"], timeout=600)
    said: list[list[str]] = [[] for _ in ends]
    for message in messages(result.output):
        index = next(i for i, end in enumerate(ends) if message["pos"]["line"] <= end)
        text = message["data"]
        if message["severity"] == "error" or "declaration uses" in text or other_axioms(text):
            said[index].append(message["data"])
    return [
        f"{offer.text!r} is said to be: {offer.mark}\n{paragraph}\n{errors}"
        for (offer, paragraph), errors in zip(batch, said, strict=True)
        if not _is_so(offer, errors)
    ]


def other_axioms(message: str) -> list[str]:
    """The axioms that `#print axioms` lists in a message, without those of Lean's library."""
    _, _, listed = message.partition("depends on axioms: [")
    axioms = listed.rstrip("]\n").replace("\n", " ").split(",") if listed else []
    return [axiom for axiom in map(str.strip, axioms) if axiom not in _AXIOMS]


def _is_so(offer: Offer, errors: list[str]) -> bool:
    """Whether Lean says of an inserted offer what its mark does."""
    if offer.closes:
        return errors == []
    if "recursive" in offer.mark:
        return not errors or "termination" in errors[0] or "recursi" in errors[0]
    if not offer.goals_left:
        return True
    # What follows the call may have to do with the goals that are left.
    counts = [error.count("⊢") for error in errors if error.startswith("unsolved goals")]
    return (
        bool(errors)
        and "expected" not in errors[0].partition("\n")[0]
        and (counts in ([], [offer.goals_left]) or sum(counts) == offer.goals_left)
    )
