"""The project that the documents point to, as its user finds it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Home
from tests.support.leanwasm import Lean
from tests.support.leanwasm.lean import PACKAGE

EXAMPLE = PACKAGE.parent / "example"


def test_it_comes_to_require_the_package(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "example"
    shutil.copytree(EXAMPLE, copy)
    added = home.run("lean", "add", str(copy))
    assert added.returncode == 0, added.stderr
    before = tomllib.loads((EXAMPLE / "lakefile.toml").read_text())
    after = tomllib.loads((copy / "lakefile.toml").read_text())
    package = home.run("lean", "path").stdout.strip()
    assert after == before | {"require": [{"name": "llmsuggest", "path": package}]}
    assert (EXAMPLE / "lean-toolchain").read_text() == (PACKAGE / "lean-toolchain").read_text()


@pytest.mark.lean
@pytest.mark.timeout(600)
def test_each_place_of_it_gets_suggestions(lean: Lean, served: Home) -> None:
    """In an editor, with the model that ships: as it is, and with the calls typed."""
    file = EXAMPLE / "Example.lean"
    text = file.read_text()
    env = {"LLMSUGGESTD_HOME": str(served.root), "LLMSUGGESTD_SOCKET": ""}
    with lean.worker(file, text, env) as worker:
        assert {said["message"] for said in worker.diagnostics()} == {"declaration uses `sorry`"}
        worker.change(text.replace("sorry\n", "llmsuggest\n"))
        said = [said["message"] for said in worker.diagnostics()]
        assert [message for message in said if not message.startswith("Try th")] == []
        assert len(said) == text.count("sorry\n")
