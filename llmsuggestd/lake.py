"""Lake projects: the `require` that lets one import the Lean package.

A lakefile belongs to its author. An entry is put at its end, or the path in the entry that is there
is changed; every other byte stays. Lake does not mind the order of entries.
"""

from __future__ import annotations

import copy
import json
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llmsuggestd.errors import InputError
from llmsuggestd.paths import write_atomically

NAME = "llmsuggest"
"""The Lean package's name."""
MODULE = "LlmSuggest"
"""What a Lean file imports."""
UPDATE = f"lake update --keep-toolchain {NAME}"
"""Tells Lake of the package. Without the option, Lake writes the Lean version in the package's
`lean-toolchain` into the project's, if it is newer."""


@dataclass(frozen=True)
class Change:
    """What there is to do to a lakefile."""

    file: Path
    action: Literal["add", "update", "none"]
    entry: str
    """The `require` as it stands in the file afterwards, without the line's end."""
    content: bytes
    """The whole file afterwards."""

    def write(self) -> None:
        """Put it into the file. Raises InputError, with the file as it was."""
        if self.action == "none":
            return
        target = self.file.resolve()  # a link stays one
        try:
            write_atomically(target, self.content, mode=stat.S_IMODE(target.stat().st_mode))
        except OSError as error:
            raise InputError(
                f"{self.file} cannot be written: {error.strerror}",
                "make it and its folder writable, or add the entry that `--dry-run` prints",
            ) from error


def toml_entry(package: Path) -> str:
    """The entry of a lakefile.toml that requires the package in this folder."""
    path = json.dumps(package.as_posix(), ensure_ascii=False)  # also a string of TOML
    return f'[[require]]\nname = "{NAME}"\npath = {path}'


def lean_entry(package: Path) -> str:
    """The command of a lakefile.lean that requires the package in this folder."""
    return f"require {NAME} from {_lean_string(package.as_posix())}"


def plan_require(project: Path, package: Path) -> Change:
    """How a Lake project comes to require the package in the folder `package`.

    Raises InputError if `project` is no Lake project, or its lakefile cannot be read, or has an
    entry for the package that nobody but its author should change.
    """
    file = _lakefile(project)
    if project.resolve() == package.resolve():
        raise InputError(
            f"{project} is the Lean package itself", "give the folder of the project that uses it"
        )
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}", "make it readable, and run this again"
        ) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text", "save it as UTF-8") from error
    edit = _edit_toml if file.suffix == ".toml" else _edit_lean
    return edit(file, text, package)


def _lakefile(project: Path) -> Path:
    """The lakefile of a project."""
    files = [project / f"lakefile.{kind}" for kind in ("toml", "lean")]
    found = [file for file in files if file.is_file()]
    if len(found) == 2:
        raise InputError(
            f"{project} has a lakefile.toml and a lakefile.lean",
            "Lake reads lakefile.lean only: remove the other one, and run this again",
        )
    if found:
        return found[0]
    for parent in project.resolve().parents:
        if any((parent / file.name).is_file() for file in files):
            hint = f"the project's folder is above it: `llmsuggestd lean add {parent}`"
            break
    else:
        hint = "give the folder of one; `lake init` makes one"
    raise InputError(f"{project} is no Lake project: it has no lakefile", hint)


def _appended(file: Path, text: str, entry: str) -> Change:
    """The entry as the last paragraph of the file, its lines ending as the others do."""
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text else newline if text.endswith("\n") else 2 * newline
    after = text + gap + entry.replace("\n", newline) + newline
    return Change(file, "add", entry, after.encode())


def _same_folder(project: Path, path: str, package: Path) -> bool:
    """Whether a path in a lakefile, which may be relative, leads to the package."""
    return (project / path).resolve() == package.resolve()


def _by_hand(file: Path, why: str) -> InputError:
    """The error for an entry that is left alone."""
    return InputError(
        f"{file} {why}", f"remove its `require` of {NAME}, and run `llmsuggestd lean add` again"
    )


# --- lakefile.toml


def _edit_toml(file: Path, text: str, package: Path) -> Change:
    data = _parse_toml(file, text)
    required = data.get("require", [])
    if not isinstance(required, list) or not all(isinstance(item, dict) for item in required):
        raise InputError(f"{file}: `require` is no list of tables", "write it as `[[require]]`")
    ours = [index for index, item in enumerate(required) if item.get("name") == NAME]
    entry = toml_entry(package)
    if not ours:
        change = _appended(file, text, entry)
        expected = {**data, "require": [*required, tomllib.loads(entry)["require"][0]]}
        if _loads(change.content) != expected:
            raise InputError(
                f"{file} has its `require` in a form that cannot be added to",
                f"write each as `[[require]]`, or add {{name = {NAME!r}, "
                f"path = {package.as_posix()!r}}} to the list",
            )
        return change
    if len(ours) > 1:
        raise _by_hand(file, f"requires {NAME} more than once")
    (index,) = ours
    path = required[index].get("path")
    if not isinstance(path, str):
        raise _by_hand(file, f"requires {NAME} from another source")
    if _same_folder(file.parent, path, package):
        return Change(file, "none", entry, text.encode())
    expected = copy.deepcopy(data)
    expected["require"][index]["path"] = package.as_posix()
    for start, end in _toml_paths(text):
        after = text[:start] + json.dumps(package.as_posix(), ensure_ascii=False) + text[end:]
        if _loads(after.encode()) == expected:
            return Change(file, "update", entry, after.encode())
    raise _by_hand(file, f"requires {NAME} in a form that cannot be changed")


def _toml_paths(text: str) -> Iterator[tuple[int, int]]:
    """Where the text may have the value of a `path`; which one it is, the parser decides."""
    for match in re.finditer(r"""\bpath\b["']?\s*=\s*("(?:[^"\\\n]|\\.)*"|'[^'\n]*')""", text):
        yield match.span(1)


def _loads(content: bytes) -> dict[str, Any] | None:
    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError:
        return None


def _parse_toml(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{file} is not TOML: {error}", "mend it, and run this again; nothing was changed"
        ) from error


# --- lakefile.lean

_LEAN_TOKEN = re.compile(
    r"""--[^\n]*|/-|r(\#*)".*?"\1|"(?:[^"\\]|\\.)*"|'(?:[^'\\\n]|\\[^\n]+?)'|«[^»]*»"""
    r"""|[\w'!?]+|\s+|.""",
    re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/-|-/")
_NAMES = (NAME, f"«{NAME}»", f'"{NAME}"')


def _edit_lean(file: Path, text: str, package: Path) -> Change:
    spans = list(_lean_tokens(file, text))
    words = [text[start:end] for start, end in spans]
    entry = lean_entry(package)
    ours = [
        index
        for index, word in enumerate(words)
        if word == "require" and _names_ours(words[index + 1 : index + 4])
    ]
    if not ours:
        return _appended(file, text, entry)
    if len(ours) > 1:
        raise _by_hand(file, f"requires {NAME} more than once")
    at = ours[0] + 3
    match words[at - 1 : at + 2]:
        case ["from", path, *after] if path.startswith('"') and after not in (["/"], ["+"]):
            pass
        case _:
            raise _by_hand(file, f"requires {NAME} from another source")
    if _same_folder(file.parent, re.sub(r"\\(.)", r"\1", path[1:-1]), package):
        return Change(file, "none", entry, text.encode())
    start, end = spans[at]
    changed = text[:start] + _lean_string(package.as_posix()) + text[end:]
    return Change(file, "update", entry, changed.encode())


def _names_ours(words: list[str]) -> bool:
    """Whether the name behind `require` is the package's, of whatever scope."""
    if words[1:2] == ["/"]:
        return words[2:3] != [] and words[2] in _NAMES
    return words[:1] != [] and words[0] in _NAMES and words[1:2] != ["."]


def _lean_tokens(file: Path, text: str) -> Iterator[tuple[int, int]]:
    """Where the words, strings and signs of a Lean text are, without comments and whitespace."""
    at = 0
    while match := _LEAN_TOKEN.match(text, at):
        at = match.end()
        if match.group() == "/-":
            at = _comment_end(file, text, at)
        elif not match.group().isspace() and not match.group().startswith("--"):
            yield match.span()


def _comment_end(file: Path, text: str, at: int) -> int:
    """Where a comment ends whose inside starts here; comments nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge.group() == "/-" else -1
        if depth == 0:
            return edge.end()
    raise InputError(f"{file} has a comment without an end", "end it, and run this again")


def _lean_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
