"""Builds the page of the editor: VS Code's, the Lean extension and its infoview, all from npm."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support import npm
from tests.support.leanwasm import install

PAGE = Path(__file__).with_name("page")


def page() -> Path:
    """The folder of the page, built into the cache if need be: 25 MB, in half a minute.

    Raises npm.FetchError.
    """
    sources = sorted(PAGE.iterdir())
    key = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    built = install.cache_dir() / "editor" / key
    with install.locked(built.parent):
        if not built.exists():
            with tempfile.TemporaryDirectory(prefix="build-", dir=built.parent) as tmp:
                folder = Path(tmp) / "page"
                shutil.copytree(PAGE, folder)
                npm.install(folder)
                subprocess.run(["node", "build.mjs"], cwd=folder, check=True, timeout=120)
                (folder / "dist").rename(built)
    return built
