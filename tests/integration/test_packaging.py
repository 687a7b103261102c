"""The contents of the sdist and the wheel, which may lack files of the checkout."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from llmsuggestd.engine import kernels

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files in the wheel that is built from this checkout's sdist."""
    # not imported here: it replaces distutils, which other tests may have loaded
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs setuptools")
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "venv", "tests", "docs", "dist", "*.egg-info", ".*_cache", "build",
        "checkpoint", "__pycache__", ".lake",
    )  # fmt: skip
    shutil.copytree(ROOT, source, ignore=ignored)
    subprocess.run(
        [sys.executable, "-c", "from setuptools import build_meta as b; b.build_sdist('..')"],
        check=True, timeout=100, cwd=source, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(folder), str(next(folder.glob("*.tar.gz")))],
        check=True, timeout=100,
    )  # fmt: skip
    return set(zipfile.ZipFile(next(folder.glob("*.whl"))).namelist())


def test_the_wheel_has_all_that_the_package_needs(names: set[str]) -> None:
    checkout = {
        f"llmsuggestd/{path.relative_to(ROOT)}"
        for folder, patterns in {
            "lean": ["*.lean", "LlmSuggest/*.lean", "lakefile.toml", "lean-toolchain"],
            "packaging": ["icons/*", "linux/*.service", "macos/*.plist", "windows/*.xml"],
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
    assert "llmsuggestd/packaging/windows/llmsuggestd-task.xml" in checkout
    assert len(checkout) > 10
    assert (checkout | package) - names == set()


def test_the_wheel_has_the_kernels_compiled(names: set[str]) -> None:
    """If they are compiled here, the sdist has all files that they need."""
    if "not compiled" in kernels.why_not():
        pytest.skip(kernels.why_not())
    folder = "llmsuggestd/engine/kernels/"
    found = {name.removeprefix(folder).split(".")[0] for name in names if name.startswith(folder)}
    assert found == {"__init__", "_backend"}


def test_the_wheel_has_nothing_that_only_a_checkout_needs(names: set[str]) -> None:
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"llmsuggestd"}
    assert not any("test" in name.lower() for name in names)
    assert not any("convert/starter" in name or "build-deb" in name for name in names)
