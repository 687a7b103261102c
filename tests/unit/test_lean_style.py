"""The style of the Lean package, as far as `lake lint` and Batteries' CI check lines.

Their checks of declarations (docstrings, unused arguments) are also in Lean's own linters, which
run when the tests compile the package. A warning is an error there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lean"
SOURCES = sorted([*PACKAGE.glob("LlmSuggest/*.lean"), *PACKAGE.glob("*.lean")])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_lines(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    lines = text.split("\n")
    assert lines[-1] == "", "a file must end with a newline"
    assert lines[-2] != ""
    assert [line for line in lines if len(line) > 100] == []
    assert [line for line in lines if line != line.rstrip() or "\t" in line] == []
    assert "↦" not in text, "Batteries writes fun x => x"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_order_of_a_file(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    header, _, rest = text.partition("-/\n")
    assert header.startswith("/-\nCopyright (c) ")
    assert rest.startswith("module\n\npublic meta import ")
    assert "import Lean\n" not in rest, "import only the needed part of Lean"
    assert "\n/-!\n# " in rest, "a module needs a docstring"


def test_only_its_own_file_adds_the_model_to_try() -> None:
    for source in SOURCES:
        assert "import LlmSuggest.Try" not in source.read_text().partition("/-!")[0]
