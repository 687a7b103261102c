"""Removes each protection of the tactic once. Its test must fail.

`python -m tests.benchmarks.lean_mutations [NAME…]` copies the Lean package without one protection,
runs the protection's test on the copy, and prints whether the test failed. The exit code is 1 if a
test passed. Each protection takes about a minute. On a busy machine, a test that fails by a timeout
proves little, except for protections against endless steps. One thing has two protections, so
neither is listed: a check makes no information for the editor, and restores it as well.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.leanwasm.lean import PACKAGE

TACTIC = "tests/end_to_end/lean/test_tactic.py::test_"
HOSTILE = TACTIC + "hostile_answers"
EDITOR = "tests/end_to_end/lean/test_editor.py::test_code_actions_and_edits"
# Runs one test with another folder as the Lean package.
RUN = """
import sys, pytest
from pathlib import Path
from tests.support.leanwasm import lean
lean.PACKAGE = Path(sys.argv[1])
# What a protection needed may be unused without it.
lean._PACKAGE_OPTIONS = [*lean._PACKAGE_OPTIONS, "-Dlinter.unusedVariables=false"]
sys.exit(pytest.main([sys.argv[2], "-q", "-x", "-p", "no:cacheprovider"]))
"""


@dataclass(frozen=True)
class Mutation:
    """A protection: its text, the text without it, and the test that must then fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "sorry", "Check", "unless sorries.all known.contains do", "unless true do",
        TACTIC + "checks",
    ),
    Mutation(
        "configuration", "Step", "isComputingItem part || isComputedItem part ||",
        "isComputingItem part ||", HOSTILE,
    ),
    Mutation("queries", "Step", " || isQueryWord word", "", HOSTILE),
    Mutation("unsafe", "Check", "if info.isUnsafe then", "if false then", HOSTILE),
    Mutation("compiler", "Check", "name ∈ compilerAxioms", "false", HOSTILE),
    Mutation(
        "own-name", "Check", "(lctx.find? fvar).any (·.isAuxDecl)", "false", TACTIC + "checks"
    ),
    Mutation(
        "universes",
        "Check",
        "levels.any fun level => (mctx.findLevelDepth? level).isNone",
        "!levels.isEmpty && false",
        HOSTILE,
    ),
    Mutation(
        "no-change",
        "Check",
        "if settled.isEmpty && (← sameGoal left goal) then",
        "if false then",
        TACTIC + "checks",
    ),
    Mutation(
        "earlier-errors", "Check", "  Core.resetMessageLog\n", "", TACTIC + "checks"
    ),
    Mutation(
        "restoring",
        "Check",
        "  before.restore (restoreInfo := true)\n  setTraceState",
        "  setTraceState",
        TACTIC + "checks",
    ),
    Mutation(
        "heartbeats",
        "Check",
        "let limit := heartbeats * 1000",
        "let limit := 10 ^ 12 * heartbeats",
        HOSTILE,
    ),
    Mutation(
        "own-heartbeats",
        "Check",
        "min limit (left.getD limit)",
        "limit",
        HOSTILE,
    ),
    Mutation(
        "other-goals", "Check", "settled.all shared &&", "(settled.all shared || true) &&",
        HOSTILE,
    ),
    Mutation(
        "deadline",
        "Check",
        "if (← IO.monoMsNow) ≥ check.deadline then",
        "if check.deadline == 0 then",
        HOSTILE,
    ),
    Mutation(
        "memory", "Check", ".any (· > megabytes)", ".any (· > megabytes * 1000000)",
        TACTIC + "memory",
    ),
    Mutation(
        "forbidden-words", "Step", "word ∈ forbiddenWords", "word == \"sleep\"",
        HOSTILE,
    ),
    Mutation(
        "options", "Step", "!(args[1]?.any fun name => isHarmlessOption name.getId)", "false",
        HOSTILE,
    ),
    Mutation(
        "numbers", "Step", "valueOf step.stx matches .error _", "false", HOSTILE
    ),
    Mutation("characters", "Step", "if text.all isPlain then", "if true then", TACTIC + "checks"),
    Mutation("length", "Step", "said.length > maxLength", "false", TACTIC + "checks"),
    Mutation(
        "what-follows",
        "Site",
        "site.isReplaced step site.command command",
        "true",
        TACTIC + "insertion",
    ),
    Mutation("canceling", "Client", "(← isCanceled) || (← isLate)", "(← isLate)", EDITOR),
    Mutation(
        "answer-size", "Client", '"--max-filesize", "1048576", ', "", TACTIC + "suggestions"
    ),
    Mutation("no-argument", "Client", '"@-"', 'body?.getD ""', TACTIC + "package"),
]  # fmt: skip


def failure_without(mutation: Mutation) -> str:
    """The failure of the test without the protection; empty if the test passes."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        package = Path(folder) / "lean"
        shutil.copytree(PACKAGE, package)
        file = package / f"LlmSuggest/{mutation.file}.lean"
        text = file.read_text()
        assert text.count(mutation.old) == 1, f"{mutation.name}: {mutation.old!r} is not there once"
        file.write_text(text.replace(mutation.old, mutation.new))
        command = [sys.executable, "-c", RUN, str(package), mutation.test]
        done = subprocess.run(command, capture_output=True, text=True)
        if "does not compile" in done.stdout:
            sys.exit(f"{mutation.name} does not compile:\n{done.stdout[-2000:]}")
        if done.returncode != 1:
            return ""
        kind = re.search(r"^E +(?:\w+\.)*(\w+): ", done.stdout, re.MULTILINE)
        return kind[1] if kind else "fails"


def main() -> int:
    """Try the named mutations, or all."""
    wanted = sys.argv[1:]
    survived = 0
    for mutation in MUTATIONS:
        if wanted and mutation.name not in wanted:
            continue
        start = time.monotonic()
        failure = failure_without(mutation)
        survived += not failure
        verdict = f"the test fails: {failure}" if failure else "NO TEST FAILS"
        test = mutation.test.rpartition("::")[2]
        print(
            f"{mutation.name:16} {test:28} {verdict} ({time.monotonic() - start:.0f} s)", flush=True
        )
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
