"""What the tactics close of the starter's held-out goals, in Lean.

    python -m tests.benchmarks.held_out [--worlds] [--every 4] [--part 0] [--seconds 10]

Each goal of `convert/starter/heldout.jsonl` becomes an `example`; with `--worlds`, each goal of
`heldout-worlds.jsonl` below the definitions that it is about. `llmsuggest` gets Lean's own
tactics alone (`llmsuggest.finishers`, with a model whose answers never work), the starter model
alone, and both. `llmprove` gets both and this many seconds. A goal counts as closed if an offer
closes it and does not name the theorem from which the goal was made. The median is the time of a
whole example, so it includes Lean's own work. `--every N --part K` takes the K-th of every N goals.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import make_home
from tests.end_to_end.lean.fake_daemon import fake_daemon
from tests.end_to_end.lean.offers import messages, offers
from tests.support.leanwasm import Lean, find_lean

STARTER = Path(__file__).parents[2] / "convert" / "starter"
HELD_OUT = STARTER / "heldout.jsonl"
HELD_OUT_WORLDS = STARTER / "heldout-worlds.jsonl"
HEAD = """import LlmSuggest
open Lean Elab Command
set_option Elab.async false
set_option llmsuggest.inBuild true
set_option linter.unusedVariables false

/-- Says how many milliseconds a command takes. -/
elab "timed " command:command : command => do
  let start ← IO.monoMsNow
  elabCommand command
  logInfoAt command m!"took {(← IO.monoMsNow) - start}"
"""
NO_FINISHERS = 'set_option llmsuggest.finishers ""\n'


def example(row: Mapping[str, Any], tactic: str) -> str:
    """The goal as an `example` whose proof is a tactic."""
    steps = [*row["path"], tactic]
    if stated := row["start"].get("stated"):
        header = f"example {stated}"
    else:
        header = f"example : type_of% @{row['start']['theorem']}"
        if names := hypotheses(row["goal"]):
            steps.insert(0, f"intro {' '.join(names)}")
    body = "\n".join("  " + line for step in steps for line in step.split("\n"))
    return f"timed {header} := by\n{body}\n"


def hypotheses(goal: str) -> list[str]:
    """The names of a goal's hypotheses, `_` for those that cannot be named."""
    names = []
    for line in goal.partition("⊢")[0].splitlines():
        if " : " in line and not line.startswith((" ", "case ")):
            names += line.partition(" : ")[0].split()
    return ["_" if "✝" in name else name for name in names]


class Run:
    """A file with all goals and one tactic, elaborated against a daemon."""

    def __init__(
        self, lean: Lean, rows: Sequence[Mapping[str, Any]], tactic: str, options: str
    ) -> None:
        self.lean = lean
        self.rows = rows
        self.text, self.starts = HEAD + options, []
        self.offered: dict[int, list[str]] = {}
        """The texts offered for each goal in the last elaboration."""
        for number, row in enumerate(rows):
            self.starts.append(self.text.count("\n") + 1)
            world = row["start"].get("world", "")
            text = f"{world}\n{example(row, tactic)}"
            self.text += f"namespace Goal{number}\n{text}end Goal{number}\n" if world else text

    def _row(self, line: int) -> int:
        return sum(start <= line for start in self.starts) - 1

    def elaborate(self, folder: Path, env: Mapping[str, str]) -> tuple[set[int], float]:
        """The goals that are closed, and the median of the milliseconds."""
        file = folder / "HeldOut.lean"
        file.write_text(self.text, encoding="utf-8")
        output = self.lean.run(file, env=env, options=["--json"], timeout=7200).output
        taken = [
            int(message["data"].split()[1])
            for message in messages(output)
            if message["data"].startswith("took ")
        ]
        closed = set()
        self.offered = {}
        for offer in offers(output):
            row = self._row(offer.start[0])
            theorem = self.rows[row]["start"].get("theorem", "?").rpartition(".")[2]
            self.offered.setdefault(row, []).append(offer.text)
            if offer.closes and theorem not in offer.text:
                closed.add(row)
        return closed, statistics.median(taken)

    def report(self, name: str, folder: Path, env: Mapping[str, str]) -> set[int]:
        """Elaborate, and print a line. Returns the goals that are closed."""
        closed, median = self.elaborate(folder, env)
        share = len(closed) / len(self.rows)
        print(f"{name:28} {len(closed):4}  {share:6.1%}  {median:6.0f} ms", flush=True)
        return closed


def main() -> None:
    """Print a line for each tactic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", action="store_true", help="goals about their own definitions")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--part", type=int, default=0)
    options = parser.parse_args()
    file = HELD_OUT_WORLDS if options.worlds else HELD_OUT
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows = rows[options.part :: options.every]
    seconds = f"set_option llmprove.seconds {options.seconds}\n"
    lean = find_lean()
    model = Run(lean, rows, "llmsuggest", NO_FINISHERS)
    both = Run(lean, rows, "llmsuggest", "")
    proof = Run(lean, rows, "llmprove", seconds)
    print(f"{len(rows)} goals; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="held-out-", dir="/tmp") as name:
        folder = Path(name)
        with fake_daemon() as fake:
            fake.answer("nonsense")
            by_tactics = both.report("Lean's tactics alone", folder, fake.env)
        for home in make_home():
            home.install_starter()
            home.serve()
            env = home.lean_env
            by_model = model.report("the model alone", folder, env)
            print(f"{'one of these two':28} {len(by_tactics | by_model):4}")
            by_both = both.report("llmsuggest", folder, env)
            closed = proof.report(f"llmprove, {options.seconds} s", folder, env)
    for i, row in enumerate(rows):
        goal = f"{row['family']} {' '.join(row['goal'].split())[:120]}"
        if i in (by_tactics | by_model) - by_both:
            print("missed by llmsuggest:", goal, both.offered.get(i, []))
        if i not in closed:
            print("not proved:", goal)


if __name__ == "__main__":
    main()
