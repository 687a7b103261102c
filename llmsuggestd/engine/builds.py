"""Chooses the llama.cpp that an engine runs: the installed one, or a build in a separate folder.

A build is the unpacked wheel of llama-cpp-python in `Paths.builds`, named after its accelerator and
version. Engines find it through PYTHONPATH, so the installation never changes, and deleting the
folder brings the installed one back.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Final

from llmsuggestd.paths import Paths

PACKAGE: Final = "llama-cpp-python"


def version() -> str:
    """The version of the installed llama-cpp-python, which is the one that builds must have."""
    return metadata.version(PACKAGE)


def folder(paths: Paths, accelerator: str) -> Path:
    """The folder of the build for an accelerator and the installed version."""
    return paths.builds / f"{accelerator}-{version()}"


def chosen(paths: Paths) -> Path | None:
    """The build that engines run; None if there is none for the installed version.

    There is one at most, since a new build takes the place of every other.
    """
    return next(iter(sorted(paths.builds.glob(f"[a-z]*-{version()}"))), None)


def outdated(paths: Paths) -> list[Path]:
    """Builds of another version of llama-cpp-python, which are not run."""
    return [found for found in sorted(paths.builds.glob("[a-z]*-*")) if found != chosen(paths)]


def library(build: Path | None) -> Path:
    """The folder with the libraries of a build, or of the installed llama-cpp-python."""
    if build is not None:
        return build / "llama_cpp" / "lib"
    return Path(str(metadata.distribution(PACKAGE).locate_file("llama_cpp/lib")))
