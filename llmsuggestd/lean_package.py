"""The user's copy of the Lean package, and the projects that require it.

Lake projects require the package by its path, and Lake compiles it in place. So each user has a
copy in their data directory. Its path does not depend on the Python, environment or Debian package
that llmsuggestd is installed in, and an upgrade does not change it. An upgrade rewrites the files
that differ and keeps `.lake`, from which Lake knows what to recompile. A project whose lakefile is
shared can have its own copy instead.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from llmsuggestd import lake
from llmsuggestd.errors import ConfigError, InputError
from llmsuggestd.file_errors import failed
from llmsuggestd.files import make_private, write_atomically
from llmsuggestd.paths import Paths
from llmsuggestd.resources import resource

OLDEST_LEAN: Final = (4, 27, 0)
"""The first Lean version that can compile the package. Its files are modules, which need no
experimental option since 4.27.0 (lean4#11637), and use the string slices that the functions of
`String` return since then (lean4#11180)."""

OLDEST_NIGHTLY: Final = "2025-12-01"
"""The first nightly that can have the features of 4.27.0."""

COPY: Final = Path(lake.NAME)
"""The folder of a project's own copy, relative to the project."""


def folder(paths: Paths) -> Path:
    """The folder of the user's copy."""
    return paths.data / "lean"


def is_current(paths: Paths) -> bool:
    """Whether the user's copy is the package as this version ships it."""
    there = folder(paths)
    with contextlib.suppress(OSError):
        return not _left_over(there) and not list(_differing(there))
    return False


def place(paths: Paths) -> Path:
    """Write the user's copy, and return its folder. Lake's build results there are kept.

    Raises ConfigError if it cannot be written.
    """
    make_private(paths.data)
    there = folder(paths)
    _renew(there)
    for file in _left_over(there):
        with contextlib.suppress(OSError):
            file.unlink()
    return there


def copy_into(project: Path) -> None:
    """Write or renew a project's own copy of the package, in the folder `COPY`.

    Raises ConfigError if it cannot be written, InputError if that folder holds something else.
    """
    there = project / COPY
    if there.exists() and lake.package_version(there) is None:
        raise InputError(f"{there} is not a copy of the Lean package", "move or rename it")
    _renew(there)
    with contextlib.suppress(OSError):
        (there / ".gitignore").write_text("/.lake\n", encoding="utf-8")


def has_copy(project: Path) -> bool:
    """Whether a project requires its own copy."""
    return lake.required_path(project) == (project / COPY).resolve()


def _renew(there: Path) -> None:
    """Write the files that differ. The others stay untouched, so that Lake sees no change."""
    try:
        for name, content in _differing(there):
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(there / name, content)
    except OSError as error:
        raise failed(ConfigError, "cannot write the Lean package to", there, error) from error


def _differing(there: Path) -> Iterator[tuple[Path, bytes]]:
    """The package's files that are missing in a folder or differ there, with their content."""
    for name in _shipped():
        content, target = (resource("lean") / name).read_bytes(), there / name
        if not target.is_file() or target.read_bytes() != content:
            yield name, content


def _shipped() -> list[Path]:
    """The package's files, relative to its folder."""
    shipped = resource("lean")
    files = [
        shipped / "lakefile.toml",
        shipped / "lean-toolchain",
        *sorted(shipped.rglob("*.lean")),
    ]
    names = [file.relative_to(shipped) for file in files]
    return [name for name in names if name.parts[0] not in (".lake", "LlmSuggestTest")]


def _left_over(there: Path) -> list[Path]:
    """Lean files of another version in a copy. Imports would still find them."""
    known = {there / name for name in _shipped()}
    found = there.rglob("*.lean")
    return [f for f in found if f not in known and ".lake" not in f.relative_to(there).parts]


# --- the Lean of a project


def toolchain(project: Path) -> str | None:
    """The content of a project's `lean-toolchain`, or the nearest one above, as elan finds it."""
    project = project.resolve()
    for directory in (project, *project.parents):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (directory / "lean-toolchain").read_text(encoding="utf-8").strip()
    return None


def too_old(project: Path) -> str:
    """The warning if a project's Lean is too old for the package; empty if it is not."""
    name = toolchain(project)
    if name is None or not is_too_old(name):
        return ""
    oldest = ".".join(map(str, OLDEST_LEAN))
    return f"this project's Lean, {name}, cannot compile the package, which needs {oldest} or newer"


def is_too_old(toolchain: str) -> bool:
    """Whether a toolchain is too old for the package. An unknown name counts as new enough."""
    if version := re.search(r"(?:^|:)v?(\d+)\.(\d+)\.(\d+)(?:-|$)", toolchain):
        return tuple(map(int, version.groups())) < OLDEST_LEAN
    if nightly := re.search(r"nightly-(\d{4}-\d\d-\d\d)", toolchain):
        return nightly[1] < OLDEST_NIGHTLY
    return False


# --- the projects


def record_file(paths: Paths) -> Path:
    """The file that lists the projects that require the package."""
    return paths.data / "lean-projects.json"


def projects(paths: Paths) -> list[Path]:
    """The projects that `lean add` gave the path of the user's copy, and that still require it."""
    return [p for p in _noted(paths) if lake.required_path(p) is not None and not has_copy(p)]


def note_project(paths: Paths, project: Path) -> None:
    """Record that a project requires the package. `uninstall` and `doctor` name it."""
    _note(paths, [*projects(paths), project.resolve()])


def forget_project(paths: Paths, project: Path) -> None:
    """Record that a project no longer requires the package."""
    if record_file(paths).exists():
        _note(paths, [known for known in projects(paths) if known != project.resolve()])


def _note(paths: Paths, projects: Iterable[Path]) -> None:
    names = sorted({str(project) for project in projects})
    with contextlib.suppress(OSError):  # a full disk: the edit of the project succeeded
        if names:
            write_atomically(
                record_file(paths), msgspec.json.format(msgspec.json.encode(names)) + b"\n"
            )
        else:
            record_file(paths).unlink(missing_ok=True)


def _noted(paths: Paths) -> list[Path]:
    try:
        names = msgspec.json.decode(record_file(paths).read_bytes(), type=list[str])
    except (OSError, msgspec.DecodeError):
        return []
    return [Path(name) for name in names]
