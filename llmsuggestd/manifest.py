"""`install.json`: a record of the files that `install` made, for later installs and `uninstall`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmsuggestd.files import write_atomically
from llmsuggestd.paths import Paths


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files and directories that `install` made."""

    version: str = ""
    """The version of llmsuggestd that made them."""
    python: str = ""
    """The interpreter that `install` ran in."""
    files: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    """The service manager's files."""
    directories: tuple[str, ...] = ()
    """The directories that did not exist before, outermost first."""


def file(paths: Paths) -> Path:
    """The path of `install.json`."""
    return paths.data / "install.json"


def read(paths: Paths) -> Manifest:
    """The record of the last install; empty if there is none, or it cannot be read."""
    try:
        return msgspec.json.decode(file(paths).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return Manifest()


def write(paths: Paths, manifest: Manifest) -> None:
    """Write the record. Raises OSError."""
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    write_atomically(file(paths), data + b"\n", mode=0o600)
