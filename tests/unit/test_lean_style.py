"""How the Lean package is written, as far as `lake lint` and Batteries' CI look at lines.

What they look at in declarations (docstrings, unused arguments), Lean's own linters look at when
the tests compile the package: a warning is an error there.
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
    assert lines[-1] == "", "the last line ends"
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
    assert "import Lean\n" not in rest, "all of Lean is not needed"
    assert "\n/-!\n# " in rest, "it says what it is about"


def test_nothing_but_its_own_file_brings_the_model_into_try() -> None:
    for source in SOURCES:
        assert "import LlmSuggest.Try" not in source.read_text().partition("/-!")[0]
