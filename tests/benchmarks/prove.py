"""How many theorems `llmprove` proves, beside Lean's own tactics.

    python -m tests.benchmarks.prove [--seconds 10] [--every 1] [--part 0]

The theorems are those of `Theorems.lean`. They take several steps and use their own definitions.
`llmprove` has the starter model and this many seconds for each. `grind`, `simp_all`, `exact?` and
`try?` have Lean's default limits. Then each proof from `llmprove` replaces its call and is
elaborated again. `--every N --part K` takes the K-th of every N theorems.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import make_home
from tests.end_to_end.lean.offers import Offer, messages, offers
from tests.support.leanwasm import Lean, find_lean

THEOREMS = Path(__file__).with_name("Theorems.lean")
CALL = "  llmprove"
OTHERS = ("grind", "simp_all", "exact?", "try?")


def theorems(every: int, part: int) -> str:
    """The file, with some of its theorems only."""
    kept, count = [], 0
    for paragraph in THEOREMS.read_text(encoding="utf-8").split("\n\n"):
        if CALL in paragraph:
            count += 1
            if count % every != part % every:
                continue
        kept.append(paragraph)
    return "\n\n".join(kept)


def calls(text: str) -> list[int]:
    """The lines of the calls, from 1 on."""
    return [i for i, line in enumerate(text.splitlines(), 1) if line == CALL]


class Runs:
    """Runs of one file with different tactics in the place of the calls."""

    def __init__(self, lean: Lean, text: str, folder: Path) -> None:
        self.lean = lean
        self.text = text
        self.file = folder / "Theorems.lean"

    def _output(self, text: str, env: Mapping[str, str]) -> str:
        self.file.write_text(text, encoding="utf-8")
        return self.lean.run(self.file, env=env, options=["--json"], timeout=7200).output

    def closed_by(self, tactic: str) -> set[int]:
        """The calls in whose place a tactic closes the goal."""
        lines = [f"  {tactic}" if line == CALL else line for line in self.text.splitlines()]
        failed = {
            message["pos"]["line"]
            for message in messages(self._output("\n".join(lines), {}))
            if message["severity"] == "error" or "declaration uses" in str(message["data"])
        }
        starts = [i for i, line in enumerate(lines, 1) if line.startswith("example")]
        ends = [*starts[1:], len(lines) + 1]
        return {
            call
            for call in calls(self.text)
            for start, end in zip(starts, ends, strict=True)
            if start <= call < end and not any(start <= line < end for line in failed)
        }

    def proofs(self, seconds: int, env: Mapping[str, str]) -> list[Offer]:
        """What `llmprove` offers that closes the goal."""
        option = f"set_option llmprove.seconds {seconds}"
        self.text = self.text.replace("\nnamespace", f"\n{option}\nnamespace", 1)
        output = self._output(self.text, env)
        return [offer for offer in offers(output) if offer.closes]

    def broken(self, made: list[Offer]) -> list[str]:
        """What Lean complains of when the proofs are in the place of the calls."""
        lines = self.text.splitlines()
        proofs = {offer.start[0]: offer.text for offer in made}
        for call in calls(self.text):
            lines[call - 1] = "  " + proofs.get(call, "sorry")
        said = messages(self._output("\n".join(lines), {}))
        return [str(message["data"]) for message in said if message["severity"] == "error"]


def main() -> None:
    """Print what each closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--part", type=int, default=0)
    options = parser.parse_args()
    text = theorems(options.every, options.part)
    total = len(calls(text))
    with tempfile.TemporaryDirectory(prefix="prove-", dir="/tmp") as folder:
        runs = Runs(find_lean(), text, Path(folder))
        print(f"{total} theorems; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        union: set[int] = set()
        for tactic in OTHERS:
            closed = runs.closed_by(tactic)
            union |= closed
            print(f"{tactic:10} {len(closed):4}  {len(closed) / total:6.1%}", flush=True)
        print(f"{'together':10} {len(union):4}  {len(union) / total:6.1%}")
        for home in make_home():
            home.install_starter()
            home.serve()
            env = home.lean_env
            made = runs.proofs(options.seconds, env)
        print(f"{'llmprove':10} {len(made):4}  {len(made) / total:6.1%}  in {options.seconds} s")
        broken = runs.broken(made)
        print(*broken, sep="\n")
        print(f"{len(made)} proofs inserted and elaborated again, {len(broken)} complaints")
        proved = {offer.start[0] for offer in made}
        lines = runs.text.splitlines()
        for call in calls(runs.text):
            if call not in proved:
                print("not proved:", " ".join(lines[call - 2].split()))


if __name__ == "__main__":
    main()
