"""Lake projects: edits the `require` with which a project imports the Lean package.

A lakefile belongs to its author. We append an entry, remove it, or change the path in it, and keep
every other byte. The order of entries does not matter to Lake.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import explained
from llmsuggestd.files import rewrite

NAME = "llmsuggest"
"""The Lean package's name."""
MODULE = "LlmSuggest"
"""The module that a Lean file imports."""
UPDATE = f"lake update --keep-toolchain {NAME}"
"""The command that makes Lake read the new entry. Without the option, Lake copies the Lean version
from the package's `lean-toolchain` into the project's, if it is newer."""
LOCAL = "of this machine only"
"""The comment behind a path that exists on this machine only."""


@dataclass(frozen=True)
class Change:
    """A planned edit of a lakefile or a manifest."""

    file: Path
    action: Literal["add", "update", "remove", "none"]
    entry: str
    """The `require` that is added, changed or removed, without its line end."""
    content: bytes
    """The content of the whole file after the edit."""

    def write(self) -> None:
        """Make the edit. Raises InputError, with the file unchanged."""
        if self.action == "none":
            return
        try:
            rewrite(self.file, self.content)
        except OSError as error:
            reason, hint = explained(self.file, error)
            raise InputError(
                f"{self.file} cannot be written: {reason}",
                f"{hint}; or make the change that `--dry-run` prints",
            ) from error


Span = tuple[int, int]
"""The start and end offsets of a part of a text."""


@dataclass(frozen=True)
class Entry:
    """The `require` of the package in the text of a lakefile."""

    path: str
    """The package's folder as Lake reads it, perhaps relative."""
    path_at: Span
    """The string literal with the path, including its quotes."""
    lines: Span | None
    """The lines that hold only the entry; None if it shares lines with something else."""


def toml_entry(package: Path) -> str:
    """The entry of a lakefile.toml that requires the package in this folder."""
    return f'[[require]]\nname = "{NAME}"\npath = {_toml_string(package)}{_comment("#", package)}'


def lean_entry(package: Path) -> str:
    """The command of a lakefile.lean that requires the package in this folder."""
    return f"require {NAME} from {_lean_string(package)}{_comment('--', package)}"


def _comment(sign: str, package: Path) -> str:
    return f" {sign} {LOCAL}" if package.is_absolute() else ""


def plan_require(project: Path, package: Path) -> Change:
    """Plan the edit that makes a Lake project require the package in the folder `package`.

    A relative path starts at the project. Raises InputError if `project` is not a Lake project, or
    if its lakefile cannot be read or has an entry that only its author should change.
    """
    file, text, found = _find(project)
    wanted = (project / package).resolve()
    if project.resolve() == wanted:
        raise InputError(
            f"{project} is the Lean package itself", "give the folder of the project that uses it"
        )
    is_toml = file.suffix == ".toml"
    entry = (toml_entry if is_toml else lean_entry)(package)
    if found is None:
        change = _appended(file, text, entry)
        if is_toml:
            _check_appended(change, text, package)
        return change
    if (project / found.path).resolve() == wanted:
        return Change(file, "none", entry, text.encode())
    string = (_toml_string if is_toml else _lean_string)(package)
    start, end = found.path_at
    after = text[end:]
    if not package.is_absolute():  # then our own comment is no longer true
        after = re.sub(rf"\A (?:#|--) {LOCAL}(?=\r?$)", "", after, flags=re.MULTILINE)
    return Change(file, "update", entry, (text[:start] + string + after).encode())


def plan_removal(project: Path) -> list[Change]:
    """Plan the edits that remove the package from a Lake project: its lakefile, then its manifest.

    Raises InputError if `project` is not a Lake project, or if one of the files cannot be read or
    has an entry that only its author should change.
    """
    file, text, found = _find(project)
    if found is None:
        changes = [Change(file, "none", "", text.encode())]
    elif found.lines is None:
        raise _by_hand(file, f"requires {NAME} in a form that cannot be removed")
    else:
        entry = text[slice(*found.lines)].strip()
        changes = [Change(file, "remove", entry, _cut(text, found.lines).encode())]
    manifest = project / "lake-manifest.json"
    if manifest.is_file():
        changes.append(_without_manifest(manifest, _read(manifest)))
    return changes


def required_path(project: Path) -> Path | None:
    """The folder that a Lake project requires the package from; None if it does not."""
    with contextlib.suppress(InputError):
        _, _, found = _find(project)
        return None if found is None else (project / found.path).resolve()
    return None


def importing_files(project: Path) -> Iterator[Path]:
    """The Lean files of a project that import the package."""
    statement = re.compile(rf"^\s*(?:public\s+|meta\s+)*import\s+{MODULE}\b", re.MULTILINE)
    for folder, directories, names in os.walk(project):
        directories[:] = [d for d in directories if not d.startswith(".") and d != NAME]
        for file in (Path(folder, name) for name in names if name.endswith(".lean")):
            with contextlib.suppress(OSError):
                if statement.search(file.read_text(encoding="utf-8", errors="replace")):
                    yield file


def package_version(package: Path) -> str | None:
    """The version that the lakefile in the Lean package's folder gives."""
    with contextlib.suppress(OSError, ValueError):
        data = tomllib.loads((package / "lakefile.toml").read_text(encoding="utf-8"))
        if data.get("name") == NAME and isinstance(data.get("version"), str):
            return str(data["version"])
    return None


def _find(project: Path) -> tuple[Path, str, Entry | None]:
    """A project's lakefile, its text, and the package's entry in it."""
    file = _lakefile(project)
    text = _read(file)
    return file, text, (_find_toml if file.suffix == ".toml" else _find_lean)(file, text)


def _lakefile(project: Path) -> Path:
    """The lakefile of a project."""
    files = [project / f"lakefile.{kind}" for kind in ("toml", "lean")]
    found = [file for file in files if file.is_file()]
    if len(found) == 2:
        raise InputError(
            f"{project} has a lakefile.toml and a lakefile.lean",
            "Lake reads only lakefile.lean: remove the other one, and run this again",
        )
    if found:
        return found[0]
    for parent in project.resolve().parents:
        if any((parent / file.name).is_file() for file in files):
            hint = f"the project's folder is above it: give {parent}"
            break
    else:
        hint = "give a Lake project's folder; `lake init` creates one"
    raise InputError(f"{project} is not a Lake project: it has no lakefile", hint)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}", "make it readable, and run this again"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text", "save it as UTF-8") from error


def _appended(file: Path, text: str, entry: str) -> Change:
    """The edit that appends an entry as the last paragraph, with the file's own line ends."""
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text else newline if text.endswith("\n") else 2 * newline
    after = text + gap + entry.replace("\n", newline) + newline
    return Change(file, "add", entry, after.encode())


def _cut(text: str, lines: Span) -> str:
    """A text without these lines, and without the blank line before them if it is now redundant."""
    before, after = text[: lines[0]], text[lines[1] :]
    if not after.strip() or after.lstrip(" \t").startswith(("\n", "\r\n")):
        before = re.sub(r"(?<=\n)[ \t]*\r?\n\Z", "", before)
    return before + after


def _by_hand(file: Path, why: str) -> InputError:
    """The error for an entry that only its author should change."""
    return InputError(
        f"{file} {why}",
        f"remove its `require` of {NAME} by hand, then run the command again",
    )


# --- lakefile.toml


def _find_toml(file: Path, text: str) -> Entry | None:
    data = _parse_toml(file, text)
    required = data.get("require", [])
    if not isinstance(required, list) or not all(isinstance(item, dict) for item in required):
        raise InputError(f"{file}: `require` is not a list of tables", "write it as `[[require]]`")
    ours = [index for index, item in enumerate(required) if item.get("name") == NAME]
    if not ours:
        return None
    if len(ours) > 1:
        raise _by_hand(file, f"requires {NAME} more than once")
    (index,) = ours
    path = required[index].get("path")
    if not isinstance(path, str):
        raise _by_hand(file, f"requires {NAME} from another source")
    path_at = _toml_path(text, data, index)
    if path_at is None:
        raise _by_hand(file, f"requires {NAME} in a form that cannot be changed")
    return Entry(path, path_at, _toml_lines(text, data, index))


def _toml_path(text: str, data: dict[str, Any], index: int) -> Span | None:
    """The position of the `path` of a `require`. The parser confirms the right candidate."""
    expected = copy.deepcopy(data)
    expected["require"][index]["path"] = "?"
    for match in re.finditer(r"""\bpath\b["']?\s*=\s*("(?:[^"\\\n]|\\.)*"|'[^'\n]*')""", text):
        start, end = match.span(1)
        if _loads(text[:start] + '"?"' + text[end:]) == expected:
            return start, end
    return None


def _toml_lines(text: str, data: dict[str, Any], index: int) -> Span | None:
    """The lines of a `[[require]]`. The parser confirms that the rest is the same without them."""
    expected = copy.deepcopy(data)
    del expected["require"][index]
    if not expected["require"]:
        del expected["require"]
    for header in re.finditer(r"""^[ \t]*\[\[[ \t]*["']?require["']?[ \t]*\]\]""", text, re.M):
        for line in re.finditer(r"[^\n]*(?:\n|\Z)", text[header.end() :]):
            end = header.end() + line.end()
            if _loads(text[: header.start()] + text[end:]) == expected:
                return header.start(), end
            # another table begins, not a subtable of this entry
            if re.match(r"""\s*\[(?!\s*["']?require["']?\s*\.)""", text[end:]):
                break
    return None


def _check_appended(change: Change, text: str, package: Path) -> None:
    """Raise InputError unless TOML reads the edited lakefile as the old one plus one entry."""
    data = tomllib.loads(text)
    new = tomllib.loads(change.entry)["require"]
    if _loads(change.content.decode()) != {**data, "require": [*data.get("require", []), *new]}:
        raise InputError(
            f"{change.file} has its `require` in a form that cannot be extended",
            f"write each entry as `[[require]]`, or add {{name = {NAME!r}, "
            f"path = {package.as_posix()!r}}} to the list",
        )


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _parse_toml(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{file} is not TOML: {error}", "correct it, and run this again; nothing was changed"
        ) from error


def _toml_string(package: Path) -> str:
    return json.dumps(package.as_posix(), ensure_ascii=False)  # JSON's strings are TOML's


# --- lakefile.lean

_LEAN_TOKEN = re.compile(
    r"""--[^\n]*|/-|r(\#*)".*?"\1|"(?:[^"\\]|\\.)*"|'(?:[^'\\\n]|\\[^\n]+?)'|«[^»]*»"""
    r"""|[\w'!?]+|\s+|.""",
    re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/-|-/")
_NAMES = (NAME, f"«{NAME}»", f'"{NAME}"')


def _find_lean(file: Path, text: str) -> Entry | None:
    spans = list(_lean_tokens(file, text))
    words = [text[start:end] for start, end in spans]
    ours = [
        index
        for index, word in enumerate(words)
        if word == "require" and _names_ours(words[index + 1 : index + 4])
    ]
    if not ours:
        return None
    if len(ours) > 1:
        raise _by_hand(file, f"requires {NAME} more than once")
    at = ours[0] + 3
    match words[at - 1 : at + 2]:
        case ["from", path, *after] if path.startswith('"') and after not in (["/"], ["+"]):
            pass
        case _:
            raise _by_hand(file, f"requires {NAME} from another source")
    lines = None if after == ["with"] else _lean_lines(text, spans[ours[0]][0], spans[at][1])
    return Entry(re.sub(r"\\(.)", r"\1", path[1:-1]), spans[at], lines)


def _lean_lines(text: str, start: int, end: int) -> Span | None:
    """The lines of a command, if they hold nothing else except a comment after it."""
    first = text.rfind("\n", 0, start) + 1
    rest = re.compile(r"[ \t]*(?:--[^\n]*?)?\r?(?:\n|\Z)").match(text, end)
    documented = text[:first].rstrip().endswith("-/")
    if text[first:start].strip() or rest is None or documented:
        return None
    return first, rest.end()


def _names_ours(words: list[str]) -> bool:
    """Whether the name after `require` is the package's, with any scope."""
    if words[1:2] == ["/"]:
        return words[2:3] != [] and words[2] in _NAMES
    return words[:1] != [] and words[0] in _NAMES and words[1:2] != ["."]


def _lean_tokens(file: Path, text: str) -> Iterator[Span]:
    """The positions of a Lean text's words, strings and symbols, without comments or whitespace."""
    at = 0
    while match := _LEAN_TOKEN.match(text, at):
        at = match.end()
        if match.group() == "/-":
            at = _comment_end(file, text, at)
        elif not match.group().isspace() and not match.group().startswith("--"):
            yield match.span()


def _comment_end(file: Path, text: str, at: int) -> int:
    """The end of the comment whose text starts at `at`. Comments nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge.group() == "/-" else -1
        if depth == 0:
            return edge.end()
    raise InputError(f"{file} has a comment that is not closed", "close it, and run this again")


def _lean_string(package: Path) -> str:
    return '"' + package.as_posix().replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- lake-manifest.json, which `lake update` writes


def _without_manifest(file: Path, text: str) -> Change:
    """The edit that removes the package from the manifest, if the project requires it by path."""
    try:
        data = json.loads(text)
        packages = list(data["packages"])
        ours = [
            index
            for index, package in enumerate(packages)
            if package["name"] == NAME and package["type"] == "path" and not package["inherited"]
        ]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{file} is not a Lake manifest", "restore it from version control"
        ) from error
    if not ours:
        return Change(file, "none", "", text.encode())
    (index, *_) = ours
    del packages[index]
    for start, end in _json_elements(text, index):
        after = text[:start] + text[end:]
        with contextlib.suppress(ValueError):
            if json.loads(after) == {**data, "packages": packages}:
                return Change(file, "remove", text[start:end].strip(" \n,"), after.encode())
    raise InputError(
        f"{file} has {NAME} in a form that cannot be removed",
        f"remove its entry of {NAME} by hand",
    )


def _json_elements(text: str, index: int) -> Iterator[Span]:
    """The possible positions of an element of the list `packages`, with one adjacent comma."""
    decoder = json.JSONDecoder()
    for opening in re.finditer(r'"packages"\s*:\s*\[\s*', text):
        ends, at = [opening.end()], opening.end()
        with contextlib.suppress(ValueError):
            while len(ends) < index + 2:
                _, end = decoder.raw_decode(text, at)
                ends.append(end)
                at = re.compile(r"\s*,?\s*").match(text, end).end()  # type: ignore[union-attr]
        if len(ends) == index + 2:
            yield (ends[index], ends[index + 1]) if index else (opening.end(), at)
