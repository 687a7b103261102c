"""The example project, as its user finds it."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Home
from tests.end_to_end.lean.offers import offers
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
@pytest.mark.timeout(600, func_only=True)
def test_each_place_of_it_gets_suggestions(lean: Lean, served: Home) -> None:
    """In an editor with the starter model, the file has no errors before and after typing calls."""
    file = EXAMPLE / "Example.lean"
    option = "set_option llmsuggest.checkTime 100000"  # the npm Lean on a busy machine is slow
    text = file.read_text().replace("\n\n", f"\n\n{option}\n\n", 1)
    env = served.lean_env
    with lean.worker(file, text, env) as worker:
        assert {said["message"] for said in worker.diagnostics()} == {"declaration uses `sorry`"}
        worker.change(text.replace("sorry\n", "llmsuggest\n"))
        said = [said["message"] for said in worker.diagnostics()]
        assert [message for message in said if not message.startswith("Try th")] == []
        assert len(said) == text.count("sorry\n")


@pytest.mark.lean
@pytest.mark.timeout(600, func_only=True)
def test_the_tutorial_shows_what_is_offered(lean: Lean, served: Home, tmp_path: Path) -> None:
    """Only the steps are compared, without their marks."""
    page = (PACKAGE.parent / "docs/tutorial/first-proof.md").read_text(encoding="utf-8")
    call, shown = re.findall(r"```lean\n(.*?)```.*?```\n(Try these:.*?)```", page, re.DOTALL)[0]
    file = tmp_path / "Tutorial.lean"
    file.write_text(f"import LlmSuggest\n\n{call}", encoding="utf-8")
    env = served.lean_env
    options = ["-Dweak.llmsuggest.inBuild=true", "-Dweak.llmsuggest.checkTime=100000"]
    result = lean.run(file, env=env, options=["--json", *options])
    offered = [offer.text for offer in offers(result.output)]
    steps = re.findall(r"\[apply\] (.*?)  -- ", shown)
    assert len(steps) > 1
    assert [step for step in steps if step not in offered] == []
