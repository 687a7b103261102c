"""`lean add` and `lean remove`: a Lake project requires the Lean package, and no longer does."""

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
    assert answer["warning"] is None
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


def test_a_missing_folder(home: Home, tmp_path: Path) -> None:
    missing = home.run("lean", "add", str(tmp_path / "missing"))
    assert missing.returncode == 6
    assert "not a Lake project" in missing.stderr


def test_add_in_a_project_of_an_old_lean(home: Home, tmp_path: Path) -> None:
    (tmp_path / "lakefile.toml").write_text('name = "old"\n')
    (tmp_path / "lean-toolchain").write_text("leanprover/lean4:v4.9.0\n")
    added = home.run("lean", "add", str(tmp_path))
    assert added.returncode == 0
    warning, hint = added.stderr.splitlines()
    assert warning.startswith("warning: this project's Lean, leanprover/lean4:v4.9.0, cannot")
    assert "4.27.0 or newer" in warning
    assert hint.startswith("  → ")


@pytest.mark.parametrize("name", LAKEFILES)
def test_remove_leaves_the_project_as_it_was(home: Home, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LAKEFILES[name])
    (tmp_path / "Demo.lean").write_text("import LlmSuggest\n")
    home.run("lean", "add", str(tmp_path))
    added = (tmp_path / name).read_text()
    would = home.run("lean", "remove", "--dry-run", str(tmp_path))
    assert "would remove from" in would.stdout
    assert (tmp_path / name).read_text() == added
    removed = home.run("lean", "remove", str(tmp_path))
    assert removed.returncode == 0, removed.stderr
    assert str(tmp_path / "Demo.lean") in removed.stdout  # it still imports the package
    assert (tmp_path / name).read_text() == LAKEFILES[name]
    again = home.run("lean", "remove", str(tmp_path))
    assert again.returncode == 0
    assert "nothing was changed" in again.stdout


def test_uninstall_names_the_projects_that_still_require_the_package(
    home: Home, tmp_path: Path
) -> None:
    kept, undone = tmp_path / "a project", tmp_path / "undone"
    for project in (kept, undone):
        project.mkdir()
        (project / "lakefile.toml").write_text(LAKEFILES["lakefile.toml"])
        home.run("lean", "add", str(project))
    home.run("lean", "remove", str(undone))
    for arguments in ((), ("--purge",)):
        said = home.run("uninstall", *arguments).stdout
        assert f"    llmsuggestd lean remove '{kept}'\n" in said
        assert str(undone) not in said
    assert list(home.root.iterdir()) == []
    assert "nothing to remove" in home.run("uninstall", "--purge").stdout
    # the command works without the rest of the installation
    assert home.run("lean", "remove", str(kept)).returncode == 0
    assert (kept / "lakefile.toml").read_text() == LAKEFILES["lakefile.toml"]
    assert list(home.root.iterdir()) == []


def test_a_copy_for_a_shared_project(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "lakefile.toml"
    file.write_text(LAKEFILES["lakefile.toml"])
    assert home.run("lean", "add", "--copy", str(tmp_path)).returncode == 0
    assert tomllib.loads(file.read_text())["require"] == [
        {"name": "llmsuggest", "path": "llmsuggest"}
    ]
    old = tmp_path / "llmsuggest/LlmSuggest.lean"
    old.write_text("of an older version")
    home.run("lean", "add", str(tmp_path))  # renews the existing copy
    assert "import LlmSuggest.Tactic" in old.read_text()
    assert "lean remove" not in home.run("uninstall").stdout
    removed = home.run("lean", "remove", str(tmp_path))
    assert str(tmp_path / "llmsuggest") in removed.stdout
    assert file.read_text() == LAKEFILES["lakefile.toml"]
