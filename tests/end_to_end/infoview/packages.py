"""Downloads VS Code's infoview from npm. The package needs no other package to run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.support import npm
from tests.support.leanwasm import install

PACKAGE = "@leanprover/infoview@0.12.0"
SHA512 = "4DbTpK1lmqrpPb+kBFdcDW44kbB26NGtvlIzDLozmvbWkoqajlJdo+Fw3paXga0/9GnOP+KuO019n3obeaMDRg=="


def infoview() -> Path:
    """The directory of the infoview's scripts and styles, downloaded into the cache if missing.

    Raises npm.FetchError.
    """
    cache = install.cache_dir()
    dist = cache / PACKAGE.replace("/", "+") / "package/dist"
    with install.locked(cache):
        if not dist.exists():
            with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache) as tmp:
                npm.fetch(PACKAGE, Path(tmp) / "unpacked", SHA512)
                (Path(tmp) / "unpacked").rename(dist.parents[1])
    return dist
