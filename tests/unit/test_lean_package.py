"""The Lean package on a machine: its folder, the Lean it needs, the projects that require it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from llmsuggestd import lake, lean_package
from llmsuggestd.errors import ConfigError, InputError
from llmsuggestd.paths import Paths
from llmsuggestd.resources import resource
from llmsuggestd.version import __version__


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / name for name in ("config", "data", "cache", "state", "runtime")))


def test_the_package_has_our_version() -> None:
    assert lake.package_version(resource("lean")) == __version__


def test_an_upgrade_renews_what_differs_and_nothing_else(paths: Paths) -> None:
    assert not lean_package.is_current(paths)
    folder = lean_package.place(paths)
    assert lean_package.is_current(paths)
    assert {path.name for path in folder.iterdir()} == {
        "LlmSuggest", "LlmSuggest.lean", "lakefile.toml", "lean-toolchain",
    }  # fmt: skip
    built = folder / ".lake/build/LlmSuggest.olean"
    built.parent.mkdir(parents=True)
    built.write_bytes(b"compiled")
    old, same = folder / "LlmSuggest/Client.lean", folder / "LlmSuggest/Check.lean"
    gone = folder / "LlmSuggest/OfAnOldVersion.lean"
    old.write_text("-- as an older version has it")
    gone.write_text("-- which this version no longer has")
    before = same.stat().st_mtime_ns
    assert not lean_package.is_current(paths)
    lean_package.place(paths)
    assert lean_package.is_current(paths)
    assert old.read_bytes() == (resource("lean") / "LlmSuggest/Client.lean").read_bytes()
    assert same.stat().st_mtime_ns == before
    assert not gone.exists()
    assert built.read_bytes() == b"compiled"


def test_a_folder_that_cannot_be_written_is_named(paths: Paths) -> None:
    paths.data.mkdir()
    lean_package.folder(paths).write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write the Lean package") as caught:
        lean_package.place(paths)
    assert caught.value.hint
    assert not lean_package.is_current(paths)


@pytest.mark.parametrize(
    ("toolchain", "too_old"),
    [
        ("leanprover/lean4:v4.9.0", True),
        ("leanprover/lean4:4.26.0", True),
        ("leanprover/lean4:v4.26.1-rc2", True),
        ("v4.3.0", True),
        ("leanprover/lean4:v4.27.0-rc1", False),
        ("leanprover/lean4:v4.27.0", False),
        ("leanprover/lean4:v4.100.0", False),
        ("leanprover/lean4:v5.0.0", False),
        ("leanprover/lean4:nightly-2025-03-01", True),
        ("leanprover/lean4-nightly:nightly-2024-12-31", True),
        ("leanprover/lean4:nightly-2026-02-01", False),
        ("stable", False),
        ("my-own-lean", False),
        ("leanprover/lean4-pr-releases:pr-release-4700", False),
        ("", False),
    ],
)
def test_a_lean_that_is_too_old(tmp_path: Path, toolchain: str, too_old: bool) -> None:
    (tmp_path / "lean-toolchain").write_text(f"{toolchain}\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    for project in (tmp_path, inside):  # elan looks in the folders above, too
        warning = lean_package.too_old(project)
        assert bool(warning) == too_old
        if too_old:
            assert toolchain in warning
            assert "needs 4.27.0 or newer" in warning


def test_the_package_supports_the_lean_that_it_is_made_with() -> None:
    made_with = (resource("lean") / "lean-toolchain").read_text().strip()
    assert not lean_package.is_too_old(made_with)
    document = (Path(__file__).parents[2] / "docs/lean.md").read_text(encoding="utf-8")
    oldest = ".".join(map(str, lean_package.OLDEST_LEAN))
    assert f"Lean {oldest} is the oldest version that the package supports" in document


def project(folder: Path, package: Path) -> Path:
    folder.mkdir()
    (folder / "lakefile.toml").write_text(lake.toml_entry(package))
    return folder


def test_projects_are_known_as_long_as_they_require_the_package(
    paths: Paths, tmp_path: Path
) -> None:
    package = lean_package.place(paths)
    first, second, third = (project(tmp_path / name, package) for name in "abc")
    for folder in (second, first, third, second):
        lean_package.note_project(paths, folder)
    assert lean_package.projects(paths) == [first, second, third]
    (second / "lakefile.toml").write_text("")  # edited manually
    (third / "lakefile.toml").unlink()
    assert lean_package.projects(paths) == [first]
    lean_package.forget_project(paths, first)
    assert lean_package.projects(paths) == []
    assert not lean_package.record_file(paths).exists()


def test_an_unreadable_record_counts_as_empty(paths: Paths, tmp_path: Path) -> None:
    package = lean_package.place(paths)
    lean_package.record_file(paths).write_text("{")
    assert lean_package.projects(paths) == []
    lean_package.note_project(paths, project(tmp_path / "a", package))
    assert lean_package.projects(paths) == [tmp_path / "a"]


def test_a_project_with_its_own_copy(paths: Paths, tmp_path: Path) -> None:
    folder = project(tmp_path / "a", lean_package.COPY)
    entry = tomllib.loads((folder / "lakefile.toml").read_text())["require"][0]
    assert entry == {"name": "llmsuggest", "path": "llmsuggest"}
    assert lean_package.has_copy(folder)
    lean_package.copy_into(folder)
    assert lake.package_version(folder / "llmsuggest") == __version__
    lean_package.note_project(paths, folder)
    assert lean_package.projects(paths) == []  # it does not use the user's copy
    (folder / "llmsuggest/LlmSuggest/Mine.lean").touch()
    (folder / "llmsuggest/LlmSuggest/Client.lean").unlink()
    lean_package.copy_into(folder)
    assert (folder / "llmsuggest/LlmSuggest/Client.lean").exists()
    assert (folder / "llmsuggest/LlmSuggest/Mine.lean").exists()


def test_a_folder_of_the_project_with_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "llmsuggest").mkdir()
    (tmp_path / "llmsuggest/notes.txt").touch()
    with pytest.raises(InputError, match="not a copy of the Lean package"):
        lean_package.copy_into(tmp_path)
    assert [path.name for path in (tmp_path / "llmsuggest").iterdir()] == ["notes.txt"]
