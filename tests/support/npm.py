"""Gets npm packages for tests. None of their scripts runs."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path


class FetchError(Exception):
    """A package cannot be downloaded here. The message is one line."""


def fetch(package: str, into: Path, sha512: str | None = None) -> None:
    """Download a package, and unpack it into a directory. Raises FetchError."""
    with tempfile.TemporaryDirectory(prefix="npm-") as tmp:
        _npm("pack", package, folder=Path(tmp))
        (archive,) = Path(tmp).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert sha512 in (None, digest), f"npm's {package} differs from the tested one"
        with tarfile.open(archive) as tar:
            # Python has filters since 3.11.4; Debian 12 has 3.11.2
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(into)


def install(folder: Path) -> None:
    """Install what a folder's `package-lock.json` lists. Raises FetchError."""
    _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)


def _npm(*arguments: str, folder: Path) -> None:
    """Run npm in a folder. Raises FetchError."""
    if shutil.which("npm") is None:
        raise FetchError("npm is not installed")
    command = ["npm", *arguments, "--loglevel=error"]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise FetchError("npm's registry does not answer") from None
    if result.returncode != 0:
        reason = result.stderr.strip().splitlines() or ["no reason given"]
        raise FetchError(f"`{' '.join(command[:3])}` failed: {' '.join(reason[:3])[:300]}")
