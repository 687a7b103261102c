"""What a wheel contains: a checkout has everything, an installation only what is packed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_all_that_the_package_needs(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".git", ".venv", "tests", "*.egg-info", ".*_cache", "build")
    shutil.copytree(ROOT, source, ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(tmp_path), str(source)],
        check=True, timeout=100,
    )  # fmt: skip
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    checkout = {
        f"llmsuggestd/{path.relative_to(ROOT)}"
        for folder, patterns in {
            "lean": ["*.lean", "LlmSuggest/*.lean", "lakefile.toml", "lean-toolchain"],
            "packaging": ["icons/*", "linux/*.service", "macos/*.plist", "windows/*.xml"],
            "convert": ["**/*.py", "starter/lean/**/*.lean"],
        }.items()
        for pattern in patterns
        for path in (ROOT / folder).glob(pattern)
    }
    package = {
        str(path.relative_to(ROOT))
        for pattern in ("*.py", "*.gguf", "py.typed")
        for path in (ROOT / "llmsuggestd").rglob(pattern)
    }
    assert "llmsuggestd/models/starter.gguf" in package
    assert len(checkout) > 10
    assert (checkout | package) - names == set()
    assert not any("test" in name.lower() for name in names)
