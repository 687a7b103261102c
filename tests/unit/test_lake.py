"""Edits of lakefiles, which keep everything else."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from llmsuggestd import lake
from llmsuggestd.errors import InputError

PACKAGE = Path("/opt/llms uggestd/lean")
OLD = "/opt/old/lean"

TOML = """# A project.
name = "demo"   # its name
defaultTargets = ["Demo"]

[[require]] # first
name = "mathlib"
scope = "leanprover-community"

[[lean_lib]]
name = "Demo"
path   =  'src'

[[require]]
name = "other"
path = "../other"

[leanOptions]
pp.unicode.fun = true # no newline after this"""

LEAN = """import Lake
open Lake DSL

/- require llmsuggest from "/comment" /- nested -/ " -/
package «demo» where
  -- require llmsuggest from "/comment"
  leanOptions := #[⟨`pp.unicode.fun, true⟩]

require mathlib from git
  "https://example.org/mathlib4" @ "master"
require "leanprover-community" / "batteries" @ git "main"

def note := "require llmsuggest from \\"/string\\""
def quote := '"'

@[default_target]
lean_lib Demo
"""


def planned(folder: Path, text: str, name: str = "lakefile.toml") -> lake.Change:
    (folder / name).write_bytes(text.encode())
    return lake.plan_require(folder, PACKAGE)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lakefile.toml", TOML),
        ("lakefile.toml", TOML + "\n"),
        ("lakefile.toml", TOML.replace("\n", "\r\n")),
        ("lakefile.toml", 'name = "demo"\n'),
        ("lakefile.toml", ""),
        ("lakefile.lean", LEAN),
        ("lakefile.lean", LEAN.rstrip("\n")),
        ("lakefile.lean", LEAN.replace("\n", "\r\n")),
        ("lakefile.lean", LEAN + 'require llmsuggestion from "/x"\n'),
        ("lakefile.lean", LEAN + 'require llmsuggest.more from "/x"\n'),
    ],
)
def test_an_entry_is_added_once_and_nothing_else_changes(
    tmp_path: Path, name: str, text: str
) -> None:
    change = planned(tmp_path, text, name)
    assert change.action == "add"
    assert change.content.startswith(text.encode())
    added = change.content.decode()[len(text) :]
    assert added.replace("\r\n", "\n").strip() == change.entry
    assert added.count("\r\n") == (added.count("\n") if "\r\n" in text else 0)
    change.write()
    again = lake.plan_require(tmp_path, PACKAGE)
    assert (again.action, again.content) == ("none", change.content)
    assert lake.required_path(tmp_path) == PACKAGE
    (removal,) = lake.plan_removal(tmp_path)
    assert removal.action == "remove"
    assert removal.entry.replace("\r\n", "\n") == change.entry
    newline = "\r\n" if "\r\n" in text else "\n"
    complete = text if not text or text.endswith("\n") else text + newline
    assert removal.content.decode() == complete
    removal.write()
    assert lake.required_path(tmp_path) is None
    assert [change.action for change in lake.plan_removal(tmp_path)] == ["none"]


@pytest.mark.parametrize(
    ("name", "before", "entry", "after"),
    [
        ("lakefile.toml", TOML + "\n\n", "[[require]]\nname = 'llmsuggest'\npath = 'x' # mine\n",
         "\n# of the next\n[[lean_exe]]\nname = 'x'\n"),
        ("lakefile.toml", "", "[[require]]\npath = 'x'\n# why\nname = 'llmsuggest'\n",
         "[[require]]\nname = 'other'\npath = 'x'\n"),
        ("lakefile.toml", "",
         "[[require]]\npath = 'x'\nname = 'llmsuggest'\n[require.options]\na = 1\n",
         "[leanOptions]\na = true\n"),
        ("lakefile.lean", LEAN, 'require llmsuggest from "x" -- mine\n', "-- the next\nopen A\n"),
        ("lakefile.lean", "", 'require\n  "llmsuggest" from\n  "x"\n', ""),
    ],
)  # fmt: skip
def test_an_entry_is_removed_and_nothing_else_changes(
    tmp_path: Path, name: str, before: str, entry: str, after: str
) -> None:
    (tmp_path / name).write_text(before + entry + after)
    (change,) = lake.plan_removal(tmp_path)
    assert change.action == "remove"
    assert change.content.decode() in (before + after, before.removesuffix("\n") + after)
    assert change.entry == entry.strip()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lakefile.toml", "require = [{name = 'llmsuggest', path = 'x'}]"),
        ("lakefile.toml", "[[require]]\nname = 'llmsuggest'\ngit = 'x'"),
        ("lakefile.lean", 'package p; require llmsuggest from "x"'),
        ("lakefile.lean", 'require llmsuggest from "x" with NameMap.empty'),
        ("lakefile.lean", '/-- why -/\nrequire llmsuggest from "x"'),
    ],
)
def test_an_entry_that_cannot_be_removed_is_left_to_the_author(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="requires llmsuggest") as caught:
        lake.plan_removal(tmp_path)
    assert "by hand" in caught.value.hint
    assert (tmp_path / name).read_text() == text


MANIFEST = """{"version": "1.1.0",
 "packagesDir": ".lake/packages",
 "packages":
 [{"url": "https://example.org/b", "type": "git", "name": "b", "inherited": false},
  {"type": "path", "scope": "", "name": "llmsuggest", "inherited": false,
   "dir": "/opt/lean", "configFile": "lakefile.toml"},
  {"url": "https://example.org/c", "type": "git", "name": "c", "inherited": true}],
 "name": "demo",
 "lakeDir": ".lake"}
"""


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1), (1,)])
def test_the_entry_in_lakes_manifest_is_removed_too(tmp_path: Path, order: tuple[int, ...]) -> None:
    start, end = MANIFEST.index("[{") + 1, MANIFEST.index("}],") + 1
    entries = MANIFEST[start:end].split(",\n  {")
    entries = [entries[0], *("{" + entry for entry in entries[1:])]

    def manifest(order: tuple[int, ...]) -> str:
        return MANIFEST[:start] + ",\n  ".join(entries[i] for i in order) + MANIFEST[end:]

    (tmp_path / "lakefile.toml").write_text(TOML)
    (tmp_path / "lake-manifest.json").write_text(manifest(order))
    _, change = lake.plan_removal(tmp_path)
    assert change.action == "remove"
    assert change.content.decode() == manifest(tuple(i for i in order if i != 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a Lake manifest"),
        ('{"packages": 1}', "not a Lake manifest"),
        ("[]", "not a Lake manifest"),
    ],
)
def test_a_broken_manifest_is_named_before_anything_is_changed(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "lakefile.toml").write_text(TOML)
    (tmp_path / "lake-manifest.json").write_text(text)
    with pytest.raises(InputError, match=words):
        lake.plan_removal(tmp_path)


def test_a_package_of_that_name_that_another_requires_stays(tmp_path: Path) -> None:
    (tmp_path / "lakefile.toml").write_text(TOML)
    text = MANIFEST.replace('"llmsuggest", "inherited": false', '"llmsuggest", "inherited": true')
    (tmp_path / "lake-manifest.json").write_text(text)
    assert [change.action for change in lake.plan_removal(tmp_path)] == ["none", "none"]


def test_files_that_import_the_package(tmp_path: Path) -> None:
    for name, text in {
        "A.lean": "import Lean\nimport LlmSuggest\n",
        "B/C.lean": "module\npublic meta import LlmSuggest.Panel\n",
        "D.lean": "import LlmSuggestion\n-- import LlmSuggest\n",
        ".lake/packages/x/E.lean": "import LlmSuggest\n",
        "llmsuggest/LlmSuggest.lean": "public meta import LlmSuggest.Tactic\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert set(lake.importing_files(tmp_path)) == {tmp_path / "A.lean", tmp_path / "B" / "C.lean"}


def test_lake_sees_the_new_entry_among_the_others(tmp_path: Path) -> None:
    change = planned(tmp_path, TOML)
    before, after = tomllib.loads(TOML), tomllib.loads(change.content.decode())
    assert after.pop("require") == [
        *before.pop("require"),
        {"name": "llmsuggest", "path": PACKAGE.as_posix()},
    ]
    assert after == before
    assert lake.lean_entry(Path('/a "b"/\\c')) == (
        r'require llmsuggest from "/a \"b\"/\\c" -- of this machine only'
    )


@pytest.mark.parametrize(
    "entry",
    [
        f'[[require]]\nname = "llmsuggest"  # ours\npath   =  "{OLD}" # there',
        f"[[ require ]]\n  path = '{OLD}'\n  name = 'llmsuggest'",
        f'[[require]]\n"name" = "llmsuggest"\n"path" = "{OLD}"',
        f'[[require]]\npath="{OLD}"\nname = "same"\n[[require]]\nname="llmsuggest"\npath="{OLD}"',
    ],
)
@pytest.mark.parametrize(
    "ending", ["", "\n", "\n\n[[lean_exe]]\nname = 'x'\npath = '/opt/old/lean'\n"]
)
def test_only_a_path_that_moved_is_changed(tmp_path: Path, entry: str, ending: str) -> None:
    text = f"{TOML}\n\n{entry}{ending}"
    change = planned(tmp_path, text)
    assert change.action == "update"
    expected = tomllib.loads(text)
    expected["require"][-1]["path"] = PACKAGE.as_posix()
    after = change.content.decode()
    assert tomllib.loads(after) == expected
    old_lines, new_lines = text.split("\n"), after.split("\n")
    changed = [pair for pair in zip(old_lines, new_lines, strict=True) if pair[0] != pair[1]]
    assert len(changed) == 1
    assert "path" in changed[0][0]
    # The rest of the line stays, too.
    assert changed[0][1].endswith(changed[0][0].split(OLD)[1][1:])


@pytest.mark.parametrize(
    "entry",
    [
        f'require llmsuggest from "{OLD}"',
        f'require «llmsuggest» from\n  "{OLD}" -- ours',
        f'require "llmsuggest" from /- here -/ "{OLD}"\n  with NameMap.empty',
    ],
)
def test_only_a_path_that_moved_is_changed_in_lean(tmp_path: Path, entry: str) -> None:
    text = LEAN + entry + '\n\nlean_exe x where\n  root := "' + OLD + '"\n'
    change = planned(tmp_path, text, "lakefile.lean")
    assert change.action == "update"
    at = text.index(OLD)
    assert change.content.decode() == text[:at] + PACKAGE.as_posix() + text[at + len(OLD) :]


@pytest.mark.parametrize(("name", "text"), [("lakefile.toml", TOML), ("lakefile.lean", LEAN)])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_copy_is_not_called_local(tmp_path: Path, name: str, text: str, line_end: str) -> None:
    lakefile = tmp_path / name
    lakefile.write_bytes(text.replace("\n", line_end).encode())
    at_once = lake.plan_require(tmp_path, Path("llmsuggest")).content
    lake.plan_require(tmp_path, PACKAGE).write()
    assert lake.LOCAL in lakefile.read_text()
    assert lake.plan_require(tmp_path, Path("llmsuggest")).content == at_once


def test_an_equal_relative_path_stays(tmp_path: Path) -> None:
    package = tmp_path / "elsewhere" / "lean"
    project = tmp_path / "project"
    project.mkdir()
    (project / "lakefile.toml").write_text(
        '[[require]]\nname = "llmsuggest"\npath = "../elsewhere/lean"\n'
    )
    assert lake.plan_require(project, package).action == "none"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("lakefile.toml", 'name = "demo', "is not TOML"),
        ("lakefile.toml", "require = 1", "not a list of tables"),
        ("lakefile.toml", "require = [{name = 'a', git = 'b'}]", "cannot be extended"),
        ("lakefile.toml", "[[require]]\nname = 'llmsuggest'\ngit = 'x'", "another source"),
        ("lakefile.toml", "[[require]]\nname = 'llmsuggest'\n" * 2, "more than once"),
        ("lakefile.toml", "[[require]]\nname='llmsuggest'\npath='''/x'''", "cannot be changed"),
        ("lakefile.lean", "/- without an end", "comment that is not closed"),
        ("lakefile.lean", 'require llmsuggest from git "x"', "another source"),
        ("lakefile.lean", 'require llmsuggest from "a" / "b"', "another source"),
        ("lakefile.lean", 'require "me" / llmsuggest @ git "main"', "another source"),
        ("lakefile.lean", 'require llmsuggest from "a"\n' * 2, "more than once"),
    ],
)
def test_entries_that_are_left_to_the_author(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        planned(tmp_path, text, name)
    assert caught.value.hint
    assert (tmp_path / name).read_text() == text


def test_folders_that_are_not_projects(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a Lake project") as caught:
        lake.plan_require(tmp_path, PACKAGE)
    assert "lake init" in caught.value.hint
    (tmp_path / "lakefile.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(InputError, match="not UTF-8"):
        lake.plan_require(tmp_path, PACKAGE)
    (tmp_path / "lakefile.toml").write_text("")
    with pytest.raises(InputError, match="the Lean package itself"):
        lake.plan_require(tmp_path, tmp_path)
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(InputError, match="not a Lake project") as caught:
        lake.plan_require(inside, PACKAGE)
    assert f"give {tmp_path}" in caught.value.hint
    (tmp_path / "lakefile.lean").write_text("")
    with pytest.raises(InputError, match=r"a lakefile\.toml and a lakefile\.lean"):
        lake.plan_require(tmp_path, PACKAGE)


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text('name = "demo"\n')
    real.chmod(0o640)
    project = tmp_path / "project"
    project.mkdir()
    (project / "lakefile.toml").symlink_to(real)
    lake.plan_require(project, PACKAGE).write()
    assert (project / "lakefile.toml").is_symlink()
    assert "llmsuggest" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_write_that_fails_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = planned(tmp_path, TOML)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        change.write()
    assert (tmp_path / "lakefile.toml").read_text() == TOML
    assert [file.name for file in tmp_path.iterdir()] == ["lakefile.toml"]
