"""The edits of `lean add` in a lakefile.lean, as Lean's own parser reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmsuggestd import lake
from tests.support.leanwasm import Lean

pytestmark = [pytest.mark.lean, pytest.mark.timeout(600, func_only=True)]

HERE = Path(__file__).parent
OURS = Path('/opt/a "b"/\\c/lean')
HEAD = "import Lake\nopen Lake DSL\n\npackage demo where\n  version := v\n"
OTHERS = """
/-- A comment with `require llmsuggest from "/comment"`. -/
require "leanprover-community" / mathlib from git
  "https://example.org/mathlib4" @ "v4.28.0" / "sub"
require «batteries» @ git "main" with NameMap.empty

/- require llmsuggest from "/comment" /- nested -/ " -/
@[default_target]
lean_lib Demo where
  roots := #[`Demo, `llmsuggest] -- require llmsuggest from "/comment"
"""
OTHERS_READ = [["leanprover-community", "mathlib"], ["", "batteries"]]
ENDINGS = [
    "",
    "-- the end, without a line's end",
    "/- the end -/",
    "def text := \"require llmsuggest from \\\"/string\\\"\"\n",
    "def quote := '\"'\ndef other := '\\''\n",
    'def raw := r#"a" require llmsuggest from "/string" "#\ndef path := r"C:\\"\n',
    "def filled (h' : Nat) := s!\"{\"}\"} require llmsuggest {h'}\"\n",
    "require «llmsuggest.more» from \"/x\"\n",
    "lean_exe demo where\n  root := `Main",
]  # fmt: skip
OLD = [
    'require llmsuggest from "/old"',
    "require «llmsuggest» from\n  \"/old\" -- ours",
    'require "llmsuggest" from /- here -/ "/old\\\\"\n  with NameMap.empty',
    '/-- ours -/ require llmsuggest from "/old"\n\nlean_exe x where\n  root := `old',
]  # fmt: skip


def read_by_lean(lean: Lean, texts: list[str], folder: Path) -> list[list[list[str]]]:
    """The requirements of each lakefile: scope, name and source."""
    file = folder / "lakefiles.json"
    file.write_text(json.dumps(texts), encoding="utf-8")
    result = lean.run(HERE / "Lakefile.lean", env={"LAKEFILES": str(file)})
    assert (result.output, result.exit_code) == ("", 0)
    found: list[list[list[str]]] = json.loads(file.with_suffix(".json.read").read_text("utf-8"))
    return found


def test_lean_reads_what_is_meant(lean: Lean, tmp_path: Path) -> None:
    """A new entry follows the others, an old path changes in place, and the rest stays."""
    texts = [f"{HEAD}{OTHERS}{ending}" for ending in ENDINGS]
    texts += [f"{HEAD}{entry}\n{OTHERS}" for entry in OLD]
    texts += [text.replace("\n", "\r\n") for text in texts]
    changed = []
    for text in texts:
        (tmp_path / "lakefile.lean").write_bytes(text.encode())
        changed.append(lake.plan_require(tmp_path, OURS).content.decode())
    found = read_by_lean(lean, texts + changed, tmp_path)
    ours = ["", "llmsuggest", str(OURS)]
    for text, before, after in zip(texts, found, found[len(texts) :], strict=False):
        assert [entry[:2] for entry in before if entry[0] or entry[1] == "batteries"] == OTHERS_READ
        expected = [ours if entry[1] == "llmsuggest" else entry for entry in before]
        assert after == (expected if ours in expected else [*expected, ours]), text
