"""The suggestions in Lean's messages, and the files that one gets by taking them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.leanwasm import Lean


@dataclass(frozen=True)
class Offer:
    """A suggestion for the call between two positions (line from 1, column from 0)."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str
    mark: str

    @property
    def closes(self) -> bool:
        """Whether it is said to close the goal."""
        return self.mark == "closes the goal"

    @property
    def goals_left(self) -> int:
        """How many goals it is said to leave."""
        match = re.fullmatch(r"leaves (\d+) goals?", self.mark)
        return int(match[1]) if match else 0


def messages(output: str) -> list[dict[str, Any]]:
    """What `lean --json` printed."""
    return [json.loads(line) for line in output.splitlines()]


def offers(output: str) -> list[Offer]:
    """All suggestions in what `lean --json` printed."""
    found = []
    for line in output.splitlines():
        message = json.loads(line)
        head, *entries = message["data"].split("\n  [apply] ")
        if head not in ("Try this:", "Try these:"):
            continue
        start, end = ((p["line"], p["column"]) for p in (message["pos"], message["endPos"]))
        for entry in entries:
            text, _, mark = entry.rpartition("  -- ")
            # Lean shows the lines of a suggestion two columns to the right.
            found.append(Offer(start, end, text.replace("\n  ", "\n"), mark))
    return found


def _taken(source: str, offer: Offer) -> str:
    """The paragraph of a file in which the call stands, with the offer in the place of the call."""
    lines = source.splitlines()
    first, last = offer.start[0] - 1, offer.end[0] - 1
    before = lines[first][: offer.start[1]]
    after = lines[last][offer.end[1] :]
    lines[first : last + 1] = (before + offer.text + after).splitlines()
    top = max(i for i in range(first) if not lines[i].strip()) + 1
    end = next((i for i in range(top, len(lines)) if not lines[i].strip()), len(lines))
    return "\n".join(lines[top:end])


def check_offers(lean: Lean, file: Path, made: list[Offer], folder: Path) -> None:
    """Put each suggestion in the place of its call: Lean has to find what its mark says."""
    source = file.read_text()
    inserted = folder / "Inserted.lean"
    paragraphs = [_taken(source, offer) for offer in made]
    inserted.write_text("import LlmSuggest\n\n" + "\n\n".join(paragraphs) + "\n")
    found = messages(lean.run(inserted, options=["--json"]).output)
    assert not [message for message in found if "sorry" in message["data"]]
    errors = [message["data"] for message in found if message["severity"] == "error"]
    goals = [error.count("⊢") if error.startswith("unsolved goals") else error for error in errors]
    assert goals == [offer.goals_left for offer in made if not offer.closes], inserted.read_text()
