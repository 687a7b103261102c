"""Files that belong to the installation but stand at the top of a checkout."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.paths import Paths, get_paths, make_private

_PACKAGE = Path(__file__).parent


def resource(name: str) -> Path:
    """A top-level folder of the project (`lean`, `packaging`), installed or in a checkout.

    Of `lean`, the user's own copy where there is one: Lake builds a package in its folder, which an
    installation for all users does not allow.
    """
    shipped = _shipped(name)
    if name == "lean" and not os.access(shipped, os.W_OK):
        own = lean_copy(get_paths())
        return own if own.is_dir() else shipped
    return shipped


def lean_copy(paths: Paths) -> Path:
    """Where `install` puts the Lean package if it cannot be built where it is."""
    return paths.data / "lean"


def wants_lean_copy(paths: Paths) -> bool:
    """Whether the Lean package cannot be built where it is, and its copy is not up to date."""
    shipped, own = _shipped("lean"), lean_copy(paths)
    if os.access(shipped, os.W_OK):
        return False
    names = [str(path.relative_to(shipped)) for path in shipped.rglob("*.*") if path.is_file()]
    _, differing, missing = filecmp.cmpfiles(shipped, own, names, shallow=False)
    return bool(differing or missing)


def place_lean_copy(paths: Paths) -> None:
    """Put the Lean package among the user's data; what Lake has built there stays.

    Raises OSError.
    """
    make_private(paths.data)
    ignored = shutil.ignore_patterns(".lake", "__pycache__")
    shutil.copytree(
        _shipped("lean"),
        lean_copy(paths),
        ignore=ignored,
        copy_function=shutil.copyfile,
        dirs_exist_ok=True,
    )


def _shipped(name: str) -> Path:
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise LlmsuggestdError(
        f"the installation lacks its folder {name!r}", "install llmsuggestd again"
    )
