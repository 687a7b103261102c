"""Measures Lean's memory while it elaborates a file with many calls.

`python -m tests.benchmarks.lean_memory [CALLS]` prints the resident memory of Lean's process at the
first of CALLS calls (100 by default), and after every tenth. Each call gets five suggestions: some
are printed by `simp?`, some add lemmas, some fail. Needs Linux's `/proc`.

Lean elaborates the proofs one after the other, so the figures show what calls leave behind. In
parallel, each call would wait in a thread of its own, which takes 0.2 GB in the npm Lean
(docs/notes/lean.md).
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

from tests.end_to_end.lean.fake_daemon import fake_daemon
from tests.support.leanwasm import find_lean

ANSWERS = ("simp? [hp, hq]", "constructor <;> grind", "constructor", "omega", "exact ⟨hp, hq⟩")
EXAMPLE = "\ntheorem call{} (p q : Prop) (hp : p) (hq : q) : p ∧ q := by\n  llmsuggest\n"
ONE_AFTER_THE_OTHER = ("-DElab.async=false",)
HEAD = "import LlmSuggest\nset_option llmsuggest.inBuild true\n"


def resident_megabytes(pid: int) -> int:
    """The resident memory of a process in MB, including mapped files."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmRSS:\s*(\d+)", status)
    return int(match[1]) // 1024 if match else 0


def main() -> None:
    """Run the file and print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with fake_daemon() as fake, tempfile.TemporaryDirectory() as folder:
        fake.answer(*ANSWERS)
        file = Path(folder) / "Calls.lean"
        file.write_text(HEAD + "".join(EXAMPLE.format(i) for i in range(calls)))
        shown = -1
        with find_lean().process(file, fake.env, ONE_AFTER_THE_OTHER) as process:
            while process.poll() is None:
                done = len(fake.requests)
                if done and done // 10 > shown:
                    shown = done // 10
                    print(f"{done:4} calls: {resident_megabytes(process.pid)} MB", flush=True)
                time.sleep(0.05)
            print(f"{len(fake.requests):4} calls: ended with {process.returncode}")


if __name__ == "__main__":
    main()
