"""Check generated samples in a real Lean: the goal prints as we print it, and the step is right.

Each sample is stated as an `example`, and `verify.lean` judges every known step of it:

- `closed`: the step closes the goal;
- `finished`: it leaves goals that Lean's own automation closes;
- `open`: it leaves goals that automation does not close (right by construction only);
- `print`, `error`: the goal prints differently, or the step is wrong.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .goals import Goal, Sample

WRONG = ("print", "error")


@dataclass(frozen=True)
class Verdict:
    sample: Sample
    step: str
    kind: str
    detail: str

    @property
    def wrong(self) -> bool:
        return self.kind in WRONG


def statement(goal: Goal) -> str:
    """The goal as an `example`, up to its proof."""
    binders = " ".join(f"({h.name} : {h.type})" for h in goal.hypotheses)
    return f"example {binders} : {goal.target} := by"


def quoted(text: str) -> str:
    """A Lean string literal."""
    return json.dumps(text, ensure_ascii=False)


def source(tries: list[tuple[Sample, str]]) -> str:
    """A Lean file that judges every (sample, step)."""
    parts = [(Path(__file__).parent / "verify.lean").read_text(encoding="utf-8")]
    for number, (sample, step) in enumerate(tries):
        goal = Goal(sample.goal.hypotheses, sample.goal.target)
        parts.append(f"{statement(goal)} judge {number} {quoted(str(goal))} {quoted(step)}")
    return "\n".join(parts) + "\n"


def verify(samples: Iterable[Sample], lean: str, timeout: float = 600) -> list[Verdict]:
    """Judge every known step of the samples with the command `lean FILE`."""
    tries = [(sample, step) for sample in samples for step in sample.steps]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Samples.lean"
        file.write_text(source(tries), encoding="utf-8")
        done = subprocess.run(
            [*shlex.split(lean), str(file)], capture_output=True, text=True, timeout=timeout
        )
    found: dict[int, tuple[str, str]] = {}
    for line in done.stdout.splitlines():
        if "VERDICT " in line:
            number, kind, detail = json.loads(line.split("VERDICT ", 1)[1])
            found[number] = kind, detail
    if not found:
        raise RuntimeError(f"Lean judged nothing:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    missing = ("error", "Lean did not accept the statement")
    return [
        Verdict(sample, step, *found.get(number, missing))
        for number, (sample, step) in enumerate(tries)
    ]
