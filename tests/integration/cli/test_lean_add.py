"""`lean add`: a Lake project comes to require the Lean package."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Home

LAKEFILES = {
    "lakefile.toml": '# mine\nname = "demo"\n',
    "lakefile.lean": "import Lake\nopen Lake DSL\npackage demo\n",
}


@pytest.mark.parametrize("name", LAKEFILES)
def test_add_twice(home: Home, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(LAKEFILES[name])
    would = home.run("lean", "add", "--dry-run", str(tmp_path))
    assert would.returncode == 0, would.stderr
    assert file.read_text() == LAKEFILES[name]
    added = home.run("lean", "add", str(tmp_path))
    assert added.returncode == 0, added.stderr
    assert "    lake update --keep-toolchain llmsuggest\n" in added.stdout
    assert "import LlmSuggest" in added.stdout
    content = file.read_text()
    assert content.startswith(LAKEFILES[name])
    package = home.run("lean", "path").stdout.strip()
    assert package in content
    if name.endswith("toml"):
        assert tomllib.loads(content)["require"] == [{"name": "llmsuggest", "path": package}]
    again = home.run("lean", "add", str(tmp_path))
    assert again.returncode == 0
    assert "nothing was changed" in again.stdout
    assert file.read_text() == content
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_add_after_an_upgrade(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "lakefile.toml"
    file.write_text('[[require]]\nname = "llmsuggest"\npath = "/gone/lean" # ours\n')
    answer = json.loads(home.run("lean", "add", "--json", str(tmp_path)).stdout)
    assert answer["action"] == "update"
    assert answer["import"] == "LlmSuggest"
    package = home.run("lean", "path").stdout.strip()
    assert file.read_text() == f'[[require]]\nname = "llmsuggest"\npath = "{package}" # ours\n'


@pytest.mark.parametrize("text", [None, "[[require", b"\xff\xfe"])
def test_no_project_or_a_broken_one(home: Home, tmp_path: Path, text: str | bytes | None) -> None:
    file = tmp_path / "lakefile.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        before = file.read_bytes()
    result = home.run("lean", "add", str(tmp_path))
    assert result.returncode == 6
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first.startswith("llmsuggestd: ")
    assert second.startswith("  → ")
    if text is not None:
        assert file.read_bytes() == before


def test_a_folder_that_is_not_there(home: Home, tmp_path: Path) -> None:
    missing = home.run("lean", "add", str(tmp_path / "missing"))
    assert missing.returncode == 6
    assert "no Lake project" in missing.stderr
