"""The Lean package on this machine: where Lake finds it, and which projects require it.

Lake projects name the package by its path, and Lake compiles it where it lies. So each user has a
copy among their data: its path is the same whatever Python, environment or Debian package
llmsuggestd itself is in, and survives an upgrade. That renews the files that differ and leaves
`.lake`, in which Lake finds out by itself what to compile again. A project whose lakefile is shared
can have a copy of its own instead.
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
from llmsuggestd.files import failed, make_private, write_atomically
from llmsuggestd.paths import Paths
from llmsuggestd.resources import resource

OLDEST_LEAN: Final = (4, 27, 0)
"""The first Lean that can compile the package. Its files are modules, which Lean reads without an
experimental option since 4.27.0 (lean4#11637), and they take parts of strings as slices, which the
functions of `String` give since then (lean4#11180)."""

OLDEST_NIGHTLY: Final = "2025-12-01"
"""No nightly before this day has what 4.27.0 brought."""


COPY: Final = Path(lake.NAME)
"""Where a project has its own copy, relative to it."""


def folder(paths: Paths) -> Path:
    """Where Lake finds the package."""
    return paths.data / "lean"


def is_current(paths: Paths) -> bool:
    """Whether the package is in its folder as this version ships it."""
    there = folder(paths)
    with contextlib.suppress(OSError):
        return not _left_over(there) and not list(_differing(there))
    return False


def place(paths: Paths) -> Path:
    """Put the package into its folder, and return that; what Lake has built there stays.

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
    """Put a copy of the package into a project, as `COPY`, or renew the one that is there.

    Raises ConfigError if it cannot be written, InputError if something else is in its place.
    """
    there = project / COPY
    if there.exists() and lake.package_version(there) is None:
        raise InputError(f"{there} is no copy of the Lean package", "move it away, or rename it")
    _renew(there)
    with contextlib.suppress(OSError):
        (there / ".gitignore").write_text("/.lake\n", encoding="utf-8")


def has_copy(project: Path) -> bool:
    """Whether a project requires a copy of its own."""
    return lake.required_path(project) == (project / COPY).resolve()


def _renew(there: Path) -> None:
    """Write the files that differ; the others stay untouched, so that Lake sees no change."""
    try:
        for name, content in _differing(there):
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(there / name, content)
    except OSError as error:
        raise failed(ConfigError, "cannot write the Lean package to", there, error) from error


def _differing(there: Path) -> Iterator[tuple[Path, bytes]]:
    """The package's files that a folder lacks or has otherwise, and what belongs into them."""
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
    """Lean files of another version in the package's folder, which an import would still find."""
    known = {there / name for name in _shipped()}
    found = there.rglob("*.lean")
    return [f for f in found if f not in known and ".lake" not in f.relative_to(there).parts]


# --- the Lean of a project


def toolchain(project: Path) -> str | None:
    """What a project's `lean-toolchain` says, or that of a folder above it, as elan looks it up."""
    project = project.resolve()
    for directory in (project, *project.parents):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (directory / "lean-toolchain").read_text(encoding="utf-8").strip()
    return None


def too_old(project: Path) -> str:
    """What is the matter where a project's Lean is too old for the package; empty if it is not."""
    name = toolchain(project)
    if name is None or not is_too_old(name):
        return ""
    oldest = ".".join(map(str, OLDEST_LEAN))
    return (
        f"this project's Lean, {name}, cannot compile the package, which needs {oldest} or newer: "
        "older ones do not read its modules"
    )


def is_too_old(toolchain: str) -> bool:
    """Whether a Lean certainly is older than the package needs; of names of one's own: no."""
    if version := re.search(r"(?:^|:)v?(\d+)\.(\d+)\.(\d+)(?:-|$)", toolchain):
        return tuple(map(int, version.groups())) < OLDEST_LEAN
    if nightly := re.search(r"nightly-(\d{4}-\d\d-\d\d)", toolchain):
        return nightly[1] < OLDEST_NIGHTLY
    return False


# --- the projects


def record_file(paths: Paths) -> Path:
    """Where the projects are noted that have come to require the package."""
    return paths.data / "lean-projects.json"


def projects(paths: Paths) -> list[Path]:
    """The projects that `lean add` has given a path of this machine, and that still have it."""
    return [p for p in _noted(paths) if lake.required_path(p) is not None and not has_copy(p)]


def note_project(paths: Paths, project: Path) -> None:
    """Note that a project requires the package, for `uninstall` and `doctor` to name it."""
    _note(paths, [*projects(paths), project.resolve()])


def forget_project(paths: Paths, project: Path) -> None:
    """Note that a project no longer requires the package."""
    if record_file(paths).exists():
        _note(paths, [known for known in projects(paths) if known != project.resolve()])


def _note(paths: Paths, projects: Iterable[Path]) -> None:
    names = sorted({str(project) for project in projects})
    with contextlib.suppress(OSError):  # of a full disk: the project itself is as it should be
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
