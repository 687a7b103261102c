"""`install.json`: what `install` has made, for the next one, `uninstall`, and after an upgrade."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmsuggestd.files import write_atomically
from llmsuggestd.paths import Paths


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `install` has made."""

    version: str = ""
    """Of the llmsuggestd whose files these are."""
    python: str = ""
    """The interpreter that it ran in."""
    files: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    """The files for the service manager."""
    directories: tuple[str, ...] = ()
    """Which were not there before, outermost first."""


def file(paths: Paths) -> Path:
    """Where it is."""
    return paths.data / "install.json"


def read(paths: Paths) -> Manifest:
    """What was installed before; an empty one if nothing was, or nobody knows."""
    try:
        return msgspec.json.decode(file(paths).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return Manifest()


def write(paths: Paths, manifest: Manifest) -> None:
    """Note what was installed. Raises OSError."""
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    write_atomically(file(paths), data + b"\n", mode=0o600)
